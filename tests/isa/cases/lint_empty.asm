; run: lint
.cimc 1

; expect:
; program: error[CIM0439]: the program does not end with halt
