; run: print
.cimc 1
    move out=s1, in=s0

; expect:
; error_misplaced_operand.asm:3:10: error[CIM0403]: found 'out=s1' where move has operand in, wanted in= and s0..s15
