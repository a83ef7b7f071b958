; run: print
.cimc 1
.isa "sha256:0000000000000000000000000000000000000000000000000000000000000000"
    whatever

; expect:
; error_other_instruction_set.asm: error[CIM0422]: program for the instruction set 0000000000000000..., this cimc has 2154de3e7bf17db4...
;   hint: compile the model again, or use the cimc that wrote the program
