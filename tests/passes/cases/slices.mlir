// $ cimc opt slices.mlir --target small.toml --pass-pipeline im2col
// An input of 12 bits is read in two slices of the DAC, x = 15 h + l: five operations for one, rounded once.

!c0 = !cim.code<16 : -32767, 32767, 0, 0.0001>
!c1 = !cim.code<16 : -32767, 32767, 0, 0.0002>
%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
%h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">}> {cim.bits = array<i64: 12, 8>} : (tensor<2x!c0>) -> tensor<2x!c1>
"nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()

// becomes
// !c0 = !cim.code<12 : -1912, 1912, 0, 0.001713755230125523>
// !c1 = !cim.code<8 : -127, 127, 0, 0.025706328451882844>
// !c2 = !cim.code<8 : -7, 7, 0, 0.001713755230125523>
// !c3 = !cim.code<32 : -2147483647, 2147483647, 0, 3.0517578125e-09>
// !c4 = !cim.code<16 : -32767, 32767, 0, 0.0002>
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
// %h.digits.high = "xbar.affine"(%x) <{scale = #cim.inline<"h.digits.scale", "<i4", "1", "34953">,
//     offset = #cim.inline<"h.digits.offset", "<i8", "1", "0">, shift = 19 : i64,
//     low = -127 : i64, high = 127 : i64}> : (tensor<2x!c0>) -> tensor<2x!c1> loc("h")
// %h.digits.low = "xbar.add"(%x, %h.digits.high) <{ma = 1 : i64,
//     mb = -15 : i64, bias = 0 : i64, shift = 0 : i64, low = -7 : i64,
//     high = 7 : i64}> : (tensor<2x!c0>, tensor<2x!c1>) -> tensor<2x!c2> loc("h")
// %h.product.high = "xbar.mvm"(%h.digits.high) <{weight = #cim.inline<"h.matrix", "<f4", "1x2x2", "0.5 -1.0 0.25 1.0">,
//     bias = #cim.inline<"h.bias", "<f8", "2", "0.0 0.0">, low = -2147483647 : i64,
//     high = 2147483647 : i64}> : (tensor<2x!c1>) -> tensor<2x!c3> loc("h")
// %h.product.low = "xbar.mvm"(%h.digits.low) <{weight = #cim.inline<"h.matrix", "<f4", "1x2x2", "0.5 -1.0 0.25 1.0">,
//     bias = #cim.inline<"h.product.low.bias", "<f8", "2", "0.0 0.0">,
//     low = -2147483647 : i64, high = 2147483647 : i64, shares = "h.product.high"}> : (tensor<2x!c2>) -> tensor<2x!c3> loc("h")
// %h = "xbar.add"(%h.product.high, %h.product.low) <{ma = 1 : i64,
//     mb = 1 : i64, bias = 0 : i64, shift = 16 : i64, low = -32767 : i64,
//     high = 32767 : i64}> : (tensor<2x!c3>, tensor<2x!c3>) -> tensor<2x!c4>
// "nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c4>) -> ()
