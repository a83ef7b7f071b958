; run: print
.cimc 1
.activation 5
.activation 5
    halt

; expect:
; error_directive_twice.asm:4:1: error[CIM0405]: directive .activation is given twice
