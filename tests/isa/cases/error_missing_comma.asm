; run: print
.cimc 1
    move in=s0 out=s1

; expect:
; error_missing_comma.asm:3:16: error[CIM0401]: found 'out=s1', wanted a comma
