; run: lint
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.output {"base":8,"high":127,"low":-128,"model_shape":[4],"name":"y","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.activation 16
.payload "05x64"
.constants 64
    tensor s0, space=const, type=i8, base=60, shape=[1, 1, 1, 8], pitch=[8, 8, 8, 1]
    tensor s1, space=act, type=i8, base=8, shape=[1, 1, 1, 8], pitch=[8, 8, 8, 1]
    move in=s0, out=s1
    halt

; expect:
; instruction 2: error[CIM0430]: stream s0 (in) touches bytes 60..67, the constant memory has 64
