; run: print
.cimc 1
.layer "a" "x"
.loc "a"
    nop
.loc
    program b0, tile=0, row=0, col=0, rows=1, cols=1, data=0x0, zeros=program
    halt

; expect:
; error_block_of_no_layer.asm:3: error[CIM0428]: instruction 1, program, belongs to nothing, wanted the name of a layer
;   hint: a program runs without its table too: remove every .layer line, and its layers have no names
