; run: print
.cimc 1
.layer "a" "x"
.layer "b" "y"
.loc "a"
    nop
.loc "a" "b"
    halt

; expect:
; error_location_of_two_layers.asm:3: error[CIM0428]: instruction 1, halt, belongs to 'a' 'b', wanted the name of a layer
;   hint: a program runs without its table too: remove every .layer line, and its layers have no names
