; run: print
.cimc 1
.activation 11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111
    halt

; expect:
; error_number_of_absurd_length.asm:3:1: error[CIM0404]: a number of 101 digits is beyond every field
