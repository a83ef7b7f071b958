; run: print
.cimc 1
.code "sha256:0000000000000000000000000000000000000000000000000000000000000000"
    halt

; expect:
; error_wrong_code_hash.asm:3: error[CIM0424]: code: sha256 is 01d0fabd251fcbbe..., the header states 0000000000000000...
;   hint: the file was changed; remove the hash of .code if the change is meant
