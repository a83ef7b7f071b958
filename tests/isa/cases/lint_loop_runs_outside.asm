; run: lint
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.output {"base":8,"high":127,"low":-128,"model_shape":[4],"name":"y","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.activation 16
    tensor s0, space=act, type=i8, base=0, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]
    tensor s1, space=act, type=i8, base=8, shape=[1, 1, 1, 1], pitch=[1, 1, 1, 1]
    loop count=9
    fill out=s1, value=1
    advance s1, by=1
    endloop
    halt

; expect:
; instruction 3: error[CIM0430]: stream s1 (out) touches bytes 16..16, the activation memory has 16
