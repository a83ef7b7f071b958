// $ cimc opt dither.mlir --target small.toml --pass-pipeline im2col
// Columns of a layer that are to round apart: its input has one more channel, a constant, whose row holds nothing yet.

!c0 = !cim.code<7 : 0, 62, 0, 0.01>
!c1 = !cim.code<16 : -32767, 32767, 0, 0.0002>
%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
%h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 0.5 0.25 0.25">}> {cim.apart = 2 : i64} : (tensor<2x!c0>) -> tensor<2x!c1>
"nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()

// becomes
// !c0 = !cim.code<7 : 0, 62, 0, 0.01>
// !c1 = !cim.code<16 : -32767, 32767, 0, 0.0002>
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
// %h.constant = "xbar.constant"() <{table = #cim.inline<"h.constant", "|i1", "1", "0">}> : () -> tensor<1x!c0> loc("h")
// %h.driven = "xbar.concat"(%x, %h.constant) <{axis = 0 : i64}> : (tensor<2x!c0>, tensor<1x!c0>) -> tensor<3x!c0> loc("h")
// %h = "xbar.mvm"(%h.driven) <{low = -32767 : i64, high = 32767 : i64,
//     weight = #cim.inline<"h.driven", "<f4", "1x3x2", "0.5 0.5 0.25 0.25 0.0 0.0">,
//     bias = #cim.inline<"h.bias", "<f8", "2", "0.0 0.0">}> {cim.apart = 2 : i64} : (tensor<3x!c0>) -> tensor<2x!c1>
// "nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()
