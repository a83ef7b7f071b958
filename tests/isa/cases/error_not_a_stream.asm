; run: print
.cimc 1
    move in=5, out=s1

; expect:
; error_not_a_stream.asm:3:10: error[CIM0404]: operand in of move is '5', wanted s0..s15
