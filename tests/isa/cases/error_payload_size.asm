; run: print
.cimc 1
.payload "00x5"
.constants 4

; expect:
; error_payload_size.asm:3: error[CIM0426]: payload has 5 bytes, the header says 4 + 0
