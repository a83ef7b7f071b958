; run: print
.cimc 1
.meta "a" 1
.meta "a" 2
    halt

; expect:
; error_meta_twice.asm:4:1: error[CIM0405]: meta 'a' is given twice
