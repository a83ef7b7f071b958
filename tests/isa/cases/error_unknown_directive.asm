; run: print
.cimc 1
.activtion 5
    halt

; expect:
; error_unknown_directive.asm:3:1: error[CIM0402]: unknown directive '.activtion'
;   hint: did you mean '.activation'?
