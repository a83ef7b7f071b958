; run: lint
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.activation 16
    tensor s0, space=act, type=i8, base=2, shape=[1, 4, 1, 1], pitch=[4, 1, 1, 1]
    window s0, kernel=[2, 1], stride=[1, 1], dilation=[1, 1], pad=[0, 0], out=[3, 1], fill=0
    tensor s1, space=act, type=i8, base=8, shape=[1, 3, 1, 1], pitch=[4, 1, 1, 1]
    poolmax in=s0, out=s1, low=-128, high=127
    halt

; expect:
; instruction 3: error[CIM0440]: stream s0 (in) reads activation byte 4, which nothing has written
