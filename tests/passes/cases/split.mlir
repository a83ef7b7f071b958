// $ cimc opt split.mlir --target small.toml --pass-pipeline split
// A tile of 4 x 4 holds no 6 rows: the matrix is cut in two row blocks of 3.

!c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
!c1 = !cim.code<16 : -32767, 32767, 0, 0.00012231246375927>
%x = "nn.input"() <{model_shape = array<i64: 6>, order = array<i64: 0>}> : () -> tensor<6x!c0>
%y = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64, weight = #cim.inline<"y.matrix", "<f4", "1x6x2", "0.5 -1.0 0.25 1.0 0.5 0.5 -0.25 1.0 -0.5 0.25 1.0 -1.0">,
    bias = #cim.inline<"y.bias", "<f8", "2", "0.0 0.0">}> : (tensor<6x!c0>) -> tensor<2x!c1>
"nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()

// becomes
// !c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
// !c1 = !cim.code<16 : -32767, 32767, 0, 0.00012231246375927>
// %x = "nn.input"() <{model_shape = array<i64: 6>, order = array<i64: 0>}> : () -> tensor<6x!c0>
// %y = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64, weight = #cim.inline<"y.matrix", "<f4", "1x6x2", "0.5 -1.0 0.25 1.0 0.5 0.5 -0.25 1.0 -0.5 0.25 1.0 -1.0">,
//     bias = #cim.inline<"y.bias", "<f8", "2", "0.0 0.0">, row_cuts = array<i64: 0, 3, 6>,
//     col_cuts = array<i64: 0, 2>}> : (tensor<6x!c0>) -> tensor<2x!c1>
// "nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()
