; run: print
.cimc 1
    move in=s0, otu=s1

; expect:
; error_unknown_operand.asm:3:17: error[CIM0403]: move has no operand 'otu', wanted out= and s0..s15
;   hint: did you mean 'out'?
