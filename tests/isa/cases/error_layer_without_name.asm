; run: print
.cimc 1
.layer "" "x"
    halt

; expect:
; error_layer_without_name.asm:3:1: error[CIM0428]: layer ['', 'x'], wanted its name, its tensor (empty for a loop), its nodes
;   hint: a program runs without its table too: remove every .layer line, and its layers have no names
