; run: print
.cimc 1
.layer "a" "x"
.layer "b" "y"
.loc "a"
    halt

; expect:
; error_layer_without_instruction.asm:3: error[CIM0428]: layer 'b' has no instruction
;   hint: a program runs without its table too: remove every .layer line, and its layers have no names
