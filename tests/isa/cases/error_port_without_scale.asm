; run: print
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.0,"shape":[4],"type":"i8","zero":0}

; expect:
; error_port_without_scale.asm:3:1: error[CIM0425]: scale of port 'x' is 0.0, wanted a finite float above 0
