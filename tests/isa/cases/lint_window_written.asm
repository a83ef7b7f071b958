; run: lint
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.activation 16
    tensor s0, space=act, type=i8, base=0, shape=[1, 4, 1, 1], pitch=[4, 1, 1, 1]
    window s0, kernel=[1, 1], stride=[1, 1], dilation=[1, 1], pad=[0, 0], out=[4, 1], fill=0
    fill out=s0, value=0
    halt

; expect:
; instruction 2: error[CIM0436]: the output stream has a window, which is read only
