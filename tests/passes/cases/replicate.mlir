// $ cimc opt replicate.mlir --target small.toml --pass-pipeline 'replicate{tiles=4}'
// A convolution of 4 positions gets copies in the free tiles, each for a part of the vectors.

!c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
!c1 = !cim.code<16 : -32767, 32767, 0, 9.76353877376629e-05>
%x = "nn.input"() <{model_shape = array<i64: 3, 3, 1>, order = array<i64: 0, 1, 2>}> : () -> tensor<3x3x1x!c0>
%y = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64, window = array<i64: 2, 2, 1, 1, 1, 1, 0, 0, 2, 2>,
    row_cuts = array<i64: 0, 4>, col_cuts = array<i64: 0, 1>, scale = #cim.inline<"y.scale", "<i4", "1x1x1", "34313">,
    offset = #cim.inline<"y.offset", "<i8", "1", "0">, shift = 7 : i64,
    adc_multiplier = 38656 : i64, adc_shift = 24 : i64, adc_low = -127 : i64,
    adc_high = 127 : i64, conductance = #cim.inline<"y.conductance", "<i2", "1x4x1", "254 -508 127 508">}> : (tensor<3x3x1x!c0>) -> tensor<2x2x1x!c1>
"nn.output"(%y) <{model_shape = array<i64: 2, 2, 1>, order = array<i64: 0, 1, 2>}> : (tensor<2x2x1x!c1>) -> ()

// becomes
// !c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
// !c1 = !cim.code<16 : -32767, 32767, 0, 9.76353877376629e-05>
// %x = "nn.input"() <{model_shape = array<i64: 3, 3, 1>, order = array<i64: 0, 1, 2>}> : () -> tensor<3x3x1x!c0>
// %y = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64, window = array<i64: 2, 2, 1, 1, 1, 1, 0, 0, 2, 2>,
//     row_cuts = array<i64: 0, 4>, col_cuts = array<i64: 0, 1>, scale = #cim.inline<"y.scale", "<i4", "1x1x1", "34313">,
//     offset = #cim.inline<"y.offset", "<i8", "1", "0">, shift = 7 : i64,
//     adc_multiplier = 38656 : i64, adc_shift = 24 : i64, adc_low = -127 : i64,
//     adc_high = 127 : i64, conductance = #cim.inline<"y.conductance", "<i2", "1x4x1", "254 -508 127 508">,
//     replicas = 2 : i64}> : (tensor<3x3x1x!c0>) -> tensor<2x2x1x!c1>
// "nn.output"(%y) <{model_shape = array<i64: 2, 2, 1>, order = array<i64: 0, 1, 2>}> : (tensor<2x2x1x!c1>) -> ()
