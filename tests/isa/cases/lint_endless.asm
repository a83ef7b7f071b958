; run: lint
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.output {"base":8,"high":127,"low":-128,"model_shape":[4],"name":"y","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.activation 16
    tensor s0, space=act, type=i8, base=0, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]
    tensor s1, space=act, type=i8, base=8, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]
    move in=s0, out=s1
    loop count=0xffffff
    nop
    endloop
    halt

; expect:
; instruction 4: error[CIM0447]: the walk stopped here after 50000 steps
