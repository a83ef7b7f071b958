; run: print
.cimc 1
.layer "a" "x" "a"
.loc "a"
    halt

; expect:
; error_layer_with_itself_as_node.asm:3:1: error[CIM0428]: layer 'a' with itself as its only node, which is not written
;   hint: a program runs without its table too: remove every .layer line, and its layers have no names
