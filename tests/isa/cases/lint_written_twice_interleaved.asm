; run: lint
.cimc 1
.input {"base":0,"high":127,"low":-128,"model_shape":[4],"name":"x","order":[0],"scale":0.5,"shape":[4],"type":"i8","zero":0}
.activation 16
    tensor s1, space=act, type=i8, base=8, shape=[1, 1, 2, 3], pitch=[1, 1, 3, 2]
    fill out=s1, value=0
    tensor s1, space=act, type=i8, base=0, shape=[1, 1, 2, 3], pitch=[1, 1, 4, 2]
    fill out=s1, value=0
    halt

; expect:
; instruction 3: error[CIM0442]: shape (1, 1, 2, 3) with pitch (1, 1, 4, 2) writes an element twice
