; run: print
.cimc 1
.activation -5
    halt

; expect:
; error_count_below_zero.asm:3:1: error[CIM0405]: found -5, wanted at least 0 bytes
