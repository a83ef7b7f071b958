; run: print
.cimc 1
.payload "../x"
.constants 4

; expect:
; error_payload_with_folder.asm:3: error[CIM0426]: payload file '../x', wanted a plain file name
