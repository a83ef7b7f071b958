// $ cimc opt conductance.mlir --target small.toml --pass-pipeline conductance
// Weights become device targets in quarters of a level, and what undoes their scale behind the ADC.

!c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
!c1 = !cim.code<16 : -32767, 32767, -32767, 6.36597033600879e-05>
"builtin.module"() ({
  %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
  %h = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64,
      weight = #cim.inline<"h.matrix", "<f4", "1x2x2", "0.5 -1.0 0.25 1.0">,
      bias = #cim.inline<"h.bias", "<f8", "2", "0.0 0.0">, row_cuts = array<i64: 0, 2>,
      col_cuts = array<i64: 0, 2>}> {cim.peaks = #cim.inline<"h.peaks", "<i8", "1x1x2", "27680 69120">} : (tensor<2x!c0>) -> tensor<2x!c1>
  "nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()
}) {cim.gain = array<i64: 65024, 25>} : () -> ()

// becomes
// !c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
// !c1 = !cim.code<16 : -32767, 32767, -32767, 6.36597033600879e-05>
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
// %h = "xbar.mvm"(%x) <{low = -32767 : i64, high = 32767 : i64, row_cuts = array<i64: 0, 2>,
//     col_cuts = array<i64: 0, 2>, conductance = #cim.inline<"h.conductance", "<i2", "1x2x2", "508 -482 254 482">,
//     scale = #cim.inline<"h.scale", "<i4", "1x1x2", "15643 32996">,
//     offset = #cim.inline<"h.offset", "<i8", "2", "-2097088 -2097088">,
//     shift = 6 : i64, adc_multiplier = 65024 : i64, adc_shift = 25 : i64,
//     adc_low = -127 : i64, adc_high = 127 : i64}> : (tensor<2x!c0>) -> tensor<2x!c1>
// "nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()
