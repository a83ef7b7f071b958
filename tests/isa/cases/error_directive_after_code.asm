; run: print
.cimc 1
    halt
.activation 5

; expect:
; error_directive_after_code.asm:4:1: error[CIM0405]: directive .activation at this place, wanted `.cimc 1`, then the header, then instructions and .loc
