; run: print
.cimc 1
    move in=s0, out=s1, shift=3

; expect:
; error_extra_operand.asm:3:23: error[CIM0403]: move goes on with ', shift=3' after its last operand, wanted the line's end
