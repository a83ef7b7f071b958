; run: print
.cimc 1
.layer "a" "x"
.layer "b" "x"
.loc "a"
    nop
.loc "b"
    halt

; expect:
; error_layer_with_a_tensor_twice.asm:3: error[CIM0428]: two layers have the tensor 'x'
;   hint: a program runs without its table too: remove every .layer line, and its layers have no names
