// $ cimc opt compensation.mlir --target small.toml --pass-pipeline compensation
// A layer gets the vectors it reads to find its drift, and the sum of what they give when it is new.

!c0 = !cim.code<8 : -127, 127, 0, 0.01531742125984252>
!c1 = !cim.code<16 : -32767, 32767, 0, 2.9684018982512894e-05>
%x = "nn.input"() <{model_shape = array<i64: 1>, order = array<i64: 0>}> : () -> tensor<1x!c0>
%y = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64, row_cuts = array<i64: 0, 1>,
    col_cuts = array<i64: 0, 1>, scale = #cim.inline<"y.scale", "<i4", "1x1x1", "33547">,
    offset = #cim.inline<"y.offset", "<i8", "1", "0">, shift = 7 : i64,
    adc_multiplier = 65024 : i64, adc_shift = 25 : i64, adc_low = -127 : i64,
    adc_high = 127 : i64, conductance = #cim.inline<"y.conductance", "<i2", "1x1x1", "508">}> : (tensor<1x!c0>) -> tensor<1x!c1>
"nn.output"(%y) <{model_shape = array<i64: 1>, order = array<i64: 0>}> : (tensor<1x!c1>) -> ()

// becomes
// !c0 = !cim.code<8 : -127, 127, 0, 0.01531742125984252>
// !c1 = !cim.code<16 : -32767, 32767, 0, 2.9684018982512894e-05>
// %x = "nn.input"() <{model_shape = array<i64: 1>, order = array<i64: 0>}> : () -> tensor<1x!c0>
// %y = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64, row_cuts = array<i64: 0, 1>,
//     col_cuts = array<i64: 0, 1>, scale = #cim.inline<"y.scale", "<i4", "1x1x1", "33547">,
//     offset = #cim.inline<"y.offset", "<i8", "1", "0">, shift = 7 : i64,
//     adc_multiplier = 65024 : i64, adc_shift = 25 : i64, adc_low = -127 : i64,
//     adc_high = 127 : i64, conductance = #cim.inline<"y.conductance", "<i2", "1x1x1", "508">,
//     vectors = #cim.inline<"y.vectors", "|i1", "32x1", "0 0 0 -44 0 0 -39 0 0 65 0 37 0 0 0 19 0 0 0 0 -55 0 0 0 0 0 0 0 8 37 0 0">,
//     reference = #cim.inline<"y.reference", "<i8", "1x1x1", "298">}> : (tensor<1x!c0>) -> tensor<1x!c1>
// "nn.output"(%y) <{model_shape = array<i64: 1>, order = array<i64: 0>}> : (tensor<1x!c1>) -> ()
