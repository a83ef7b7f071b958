// $ cimc opt im2col.mlir --target small.toml --pass-pipeline im2col
// A convolution becomes a stream of vectors, one a position, through a matrix of kernel rows.

!c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
!c1 = !cim.code<16 : -32767, 32767, 0, 9.76353877376629e-05>
%x = "nn.input"() <{model_shape = array<i64: 3, 3, 1>, order = array<i64: 0, 1, 2>}> : () -> tensor<3x3x1x!c0>
%y = "nn.conv"(%x) <{weight = #cim.inline<"y.weight", "<f4", "2x2x1x1", "0.5 -1.0 0.25 1.0">,
    group = 1 : i64, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>,
    pads = array<i64: 0, 0, 0, 0>}> : (tensor<3x3x1x!c0>) -> tensor<2x2x1x!c1>
"nn.output"(%y) <{model_shape = array<i64: 2, 2, 1>, order = array<i64: 0, 1, 2>}> : (tensor<2x2x1x!c1>) -> ()

// becomes
// !c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
// !c1 = !cim.code<16 : -32767, 32767, 0, 9.76353877376629e-05>
// %x = "nn.input"() <{model_shape = array<i64: 3, 3, 1>, order = array<i64: 0, 1, 2>}> : () -> tensor<3x3x1x!c0>
// %y = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64, weight = #cim.inline<"y.matrix", "<f4", "1x4x1", "0.5 -1.0 0.25 1.0">,
//     bias = #cim.inline<"y.bias", "<f8", "1", "0.0">, window = array<i64: 2, 2, 1, 1, 1, 1, 0, 0, 2, 2>}> : (tensor<3x3x1x!c0>) -> tensor<2x2x1x!c1>
// "nn.output"(%y) <{model_shape = array<i64: 2, 2, 1>, order = array<i64: 0, 1, 2>}> : (tensor<2x2x1x!c1>) -> ()
