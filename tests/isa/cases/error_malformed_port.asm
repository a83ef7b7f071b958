; run: print
.cimc 1
.input {"base":0}
    halt

; expect:
; error_malformed_port.asm:3:1: error[CIM0425]: port {'base': 0} has other members than name, base, type, shape, model_shape, order, scale, zero, low, high, whole, preprocessing
