; run: lint
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.output {"base":8,"high":127,"low":-128,"model_shape":[4],"name":"y","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.activation 16
.payload "05x0-00x64-00x64"
.constants 64
.conductances 64
    tensor s0, space=act, type=i8, base=0, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]
    tensor s1, space=act, type=i8, base=8, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]
    softmax in=s0, out=s1, table=0x0, entries=4, numerator=256, zero=-128, low=-128, high=127
    halt

; expect:
; instruction 2: error[CIM0445]: table of exponentials starts with 0 or less, or has a negative entry
