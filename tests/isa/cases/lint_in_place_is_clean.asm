; run: lint
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.activation 16
    tensor s0, space=act, type=i8, base=0, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]
    tensor s1, space=act, type=i8, base=0, shape=[1, 2, 2, 1], pitch=[4, 2, 1, 1]
    move in=s0, out=s1
    halt

; expect:
; clean
