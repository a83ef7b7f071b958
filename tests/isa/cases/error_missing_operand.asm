; run: print
.cimc 1
    move in=s0

; expect:
; error_missing_operand.asm:3:15: error[CIM0403]: move ends before operand out, wanted out= and s0..s15
