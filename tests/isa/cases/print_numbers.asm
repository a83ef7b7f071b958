; run: print
.cimc 1
; decimal, hexadecimal and negative numbers, loose spaces, comments
   tensor   s0 ,space = act,type=i16,base=16,shape=[ 1,0x2 , 3,4 ],pitch=[-0x18, 12, 4, 1]  ; a comment
advance s0, by=-0x10

fill out=s0, value=0x7F
halt

; expect:
; tensor s0, space=act, type=i16, base=0x10, shape=[1, 2, 3, 4], pitch=[-24, 12, 4, 1]
; advance s0, by=-16
; fill out=s0, value=127
; halt
