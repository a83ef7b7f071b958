; run: lint
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.activation 16
.meta "target" {"array":{"columns":8,"rows":8,"tiles":1},"memory":{"activation_bytes":16,"constant_bytes":64}}
.payload "05x0-00x64-00x64"
.constants 64
.conductances 64
    program b0, tile=0, row=0, col=0, rows=2, cols=4, data=0x0, zeros=program
    program b1, tile=0, row=2, col=0, rows=2, cols=3, data=0x20, zeros=program
    tensor s0, space=act, type=i8, base=0, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]
    tensor s1, space=act, type=i8, base=8, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]
    mvm in=s0, out=s1, block=b0, blocks=2, scale=0x0, bias=0x20, shift=4, low=-128, high=127
    halt

; expect:
; instruction 4: error[CIM0435]: blocks of 3 and 4 columns share outputs, wanted the same number
