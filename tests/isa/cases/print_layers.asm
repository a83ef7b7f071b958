; run: print
.cimc 1
.layer "a" "x"
.layer "b.part" "y" "b" "c"
.layer "b.loop" "" "b"
.loc "a"
    nop
.loc
    time seconds=3
.loc "b.loop"
    loop count=2
.loc "b.part"
    nop
.loc "b.loop"
    endloop
.loc "a"
    halt

; expect:
; nop
; time seconds=3
; loop count=2
; nop
; endloop
; halt
