; run: print
.cimc 1
    mvn in=s0, out=s1

; expect:
; error_unknown_instruction.asm:3:5: error[CIM0402]: unknown instruction 'mvn'
;   hint: did you mean 'mvm'?
