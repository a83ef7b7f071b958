; run: print
.cimc 1
    tensor s0, space=ram, type=i8, base=0x0, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]

; expect:
; error_not_a_member.asm:3:16: error[CIM0404]: operand space of tensor is 'ram', wanted act or const
