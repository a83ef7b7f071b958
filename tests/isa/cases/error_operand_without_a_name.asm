; run: print
.cimc 1
    fill out=s0, value=1, value=2

; expect:
; error_operand_without_a_name.asm:3:25: error[CIM0403]: fill goes on with ', value=2' after its last operand, wanted the line's end
