; run: print
.cimc 1
    move in=s16, out=s1

; expect:
; error_no_such_stream.asm:3:10: error[CIM0404]: operand in of move is s16, wanted s0..s15
