; run: print
.cimc 1
    tensor s0, space=act, type=i8, base=0x0, shape=[1, 1, 4], pitch=[4, 4, 4, 1]

; expect:
; error_short_list.asm:3:46: error[CIM0404]: operand shape of tensor is '[1, 1, 4]', wanted a list of 4 integers 0..1048575
