; run: print
.cimc 1
.layer "a" "x"
.layer "b" "y"
.loc "a"
    program b0, tile=0, row=0, col=0, rows=1, cols=1, data=0x0, zeros=program
.loc "b"
    program b0, tile=0, row=0, col=1, rows=1, cols=1, data=0x0, zeros=program
.loc
    halt

; expect:
; error_block_of_two_layers.asm:3: error[CIM0428]: block b0 is programmed by 'a' and by 'b'
;   hint: a program runs without its table too: remove every .layer line, and its layers have no names
