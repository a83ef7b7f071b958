; run: print
.cimc 1
.meta "target" {"a":NaN}

; expect:
; error_not_a_number.asm:3:1: error[CIM0425]: malformed JSON: NaN is not a JSON number
