; run: print
.cimc 1
.layer "a" "x"
.loc "a"
    nop
.loc "b"
    halt

; expect:
; error_location_of_no_layer.asm:3: error[CIM0428]: instruction 1, halt, belongs to 'b', wanted the name of a layer
;   hint: a program runs without its table too: remove every .layer line, and its layers have no names
