// $ cimc opt place.mlir --target small.toml --pass-pipeline place
// Both row blocks of a layer get a place: tile 0, row 1, columns 0 and 2.

!c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
!c1 = !cim.code<16 : -32767, 32767, 0, 0.00012231246375927>
%x = "nn.input"() <{model_shape = array<i64: 6>, order = array<i64: 0>}> : () -> tensor<6x!c0>
%y = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64, row_cuts = array<i64: 0, 3, 6>,
    col_cuts = array<i64: 0, 2>, scale = #cim.inline<"y.scale", "<i4", "1x2x2", "26015 46083 46083 53111">,
    offset = #cim.inline<"y.offset", "<i8", "2", "0 0">, shift = 8 : i64,
    adc_multiplier = 45952 : i64, adc_shift = 24 : i64, adc_low = -127 : i64,
    adc_high = 127 : i64, conductance = #cim.inline<"y.conductance", "<i2", "1x6x2", "450 -508 225 508 450 254 -127 441 -254 110 508 -441">}> : (tensor<6x!c0>) -> tensor<2x!c1>
"nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()

// becomes
// !c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
// !c1 = !cim.code<16 : -32767, 32767, 0, 0.00012231246375927>
// %x = "nn.input"() <{model_shape = array<i64: 6>, order = array<i64: 0>}> : () -> tensor<6x!c0>
// %y = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64, row_cuts = array<i64: 0, 3, 6>,
//     col_cuts = array<i64: 0, 2>, scale = #cim.inline<"y.scale", "<i4", "1x2x2", "26015 46083 46083 53111">,
//     offset = #cim.inline<"y.offset", "<i8", "2", "0 0">, shift = 8 : i64,
//     adc_multiplier = 45952 : i64, adc_shift = 24 : i64, adc_low = -127 : i64,
//     adc_high = 127 : i64, conductance = #cim.inline<"y.conductance", "<i2", "1x6x2", "450 -508 225 508 450 254 -127 441 -254 110 508 -441">,
//     blocks = array<i64: 0, 1, 0, 0, 1, 2>, first_block = 0 : i64}> : (tensor<6x!c0>) -> tensor<2x!c1>
// "nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()
