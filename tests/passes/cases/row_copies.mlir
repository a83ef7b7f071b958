// $ cimc opt row_copies.mlir --target small.toml --pass-pipeline 'row-copies{most=4}'
// Codes of 4 bits become twice as fine: each row is to stand twice, and no tile has rows for more.

!c0 = !cim.code<4 : 0, 7, 0, 0.08>
!c1 = !cim.code<16 : -32767, 32767, 0, 0.0002>
%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
%h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">}> : (tensor<2x!c0>) -> tensor<2x!c1>
"nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()

// becomes
// !c0 = !cim.code<5 : 0, 14, 0, 0.04>
// !c1 = !cim.code<16 : -32767, 32767, 0, 0.0002>
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
// %h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">}> {cim.rows = 2 : i64} : (tensor<2x!c0>) -> tensor<2x!c1>
// "nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()
