; run: print
.cimc 1
.constants 4

; expect:
; error_no_payload.asm: error[CIM0405]: the header states constants or conductances and no .payload
