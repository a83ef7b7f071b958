; run: print
.cimc 1
    loop count=16777216

; expect:
; error_out_of_range.asm:3:10: error[CIM0404]: operand count of loop is 16777216, wanted 0..16777215
