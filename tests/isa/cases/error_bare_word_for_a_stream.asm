; run: print
.cimc 1
    advance x, by=1

; expect:
; error_bare_word_for_a_stream.asm:3:13: error[CIM0404]: operand stream of advance is 'x', wanted s0..s15
