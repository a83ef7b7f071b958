; run: print
.cimc 1
    advance , by=1

; expect:
; error_leading_operand_left_out.asm:3:13: error[CIM0403]: advance ends before operand stream, wanted s0..s15
