; run: print
.cimc 2
    whatever

; expect:
; error_other_version.asm: error[CIM0421]: program text of format version '2', this cimc reads version 1
