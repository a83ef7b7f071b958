; run: print

    halt

; expect:
; error_no_header.asm: error[CIM0420]: no program text, wanted `.cimc 1` as the first line
;   hint: `cimc compile` writes programs
