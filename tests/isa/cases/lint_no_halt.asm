; run: lint
.cimc 1
    nop

; expect:
; program: error[CIM0439]: the program does not end with halt
