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
    pick in=s0, out=s1, group=0, table=0x0, entries=4
    pick in=s0, out=s1, group=3, table=0x0, entries=1
    argmax in=s0, out=s1, which=largest, tie=first
    halt

; expect:
; instruction 2: error[CIM0445]: pick with 4 entries from groups of 0, wanted at least 1
; instruction 3: error[CIM0435]: pick takes 1 vectors of 4 in groups of 3, out has 4 elements
; instruction 4: error[CIM0435]: argmax reads 1 vectors, out has 4 elements
