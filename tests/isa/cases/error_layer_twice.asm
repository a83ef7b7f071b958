; run: print
.cimc 1
.layer "a" "x"
.layer "a" "y"
.loc "a"
    halt

; expect:
; error_layer_twice.asm:3: error[CIM0428]: two layers have the name 'a'
;   hint: a program runs without its table too: remove every .layer line, and its layers have no names
