; run: print
.cimc 1
.layer "a"
    halt

; expect:
; error_layer_without_tensor.asm:3:11: error[CIM0401]: directive .layer with the end of the line, wanted .layer "..." "..." ["..." ...]
