; run: print
.cimc 1
.activation many
    halt

; expect:
; error_directive_argument.asm:3:13: error[CIM0401]: directive .activation with many, wanted .activation INTEGER
