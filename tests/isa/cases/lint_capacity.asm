; run: lint
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.output {"base":8,"high":127,"low":-128,"model_shape":[4],"name":"y","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.activation 17
.meta "target" {"array":{"columns":8,"rows":8,"tiles":1},"memory":{"activation_bytes":16,"constant_bytes":64}}
.payload "00x65"
.constants 65
    tensor s0, space=act, type=i8, base=0, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]
    tensor s1, space=act, type=i8, base=8, shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]
    move in=s0, out=s1
    halt

; expect:
; program: error[CIM0443]: activation bytes are 17, the target has 16
; program: error[CIM0443]: constant bytes are 65, the target has 64
