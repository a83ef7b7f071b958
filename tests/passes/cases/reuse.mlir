// $ cimc opt reuse.mlir --target small.toml --pass-pipeline 'reuse{weights=equal}'
// The second of two layers with equal weights uses the blocks of the first; both get the larger peaks.

!c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
!c1 = !cim.code<8 : 0, 127, 0, 0.032849409448818895>
!c2 = !cim.code<16 : -32767, 32767, 0, 0.00010180784020508439>
"builtin.module"() ({
  %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
  %h = "xbar.mvm"(%x) <{low = 0 : i64, high = 127 : i64, weight = #cim.inline<"h.matrix", "<f4", "1x2x2", "0.5 -1.0 0.25 1.0">,
      bias = #cim.inline<"h.bias", "<f8", "2", "0.0 0.0">, row_cuts = array<i64: 0, 2>,
      col_cuts = array<i64: 0, 2>}> {cim.peaks = #cim.inline<"h.peaks", "<i8", "1x1x2", "27680 69120">} : (tensor<2x!c0>) -> tensor<2x!c1>
  %y = "xbar.mvm"(%h) <{low = -32767 : i64, high = 32767 : i64,
      weight = #cim.inline<"y.matrix", "<f4", "1x2x2", "0.5 -1.0 0.25 1.0">,
      bias = #cim.inline<"y.bias", "<f8", "2", "0.0 0.0">, row_cuts = array<i64: 0, 2>,
      col_cuts = array<i64: 0, 2>}> {cim.peaks = #cim.inline<"y.peaks", "<i8", "1x1x2", "44928 51840">} : (tensor<2x!c1>) -> tensor<2x!c2>
  "nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c2>) -> ()
}) {cim.gain = array<i64: 42112, 24>} : () -> ()

// becomes
// !c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
// !c1 = !cim.code<8 : 0, 127, 0, 0.032849409448818895>
// !c2 = !cim.code<16 : -32767, 32767, 0, 0.00010180784020508439>
// "builtin.module"() ({
//   %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
//   %h = "xbar.mvm"(%x) <{low = 0 : i64, high = 127 : i64, weight = #cim.inline<"h.matrix", "<f4", "1x2x2", "0.5 -1.0 0.25 1.0">,
//       bias = #cim.inline<"h.bias", "<f8", "2", "0.0 0.0">, row_cuts = array<i64: 0, 2>,
//       col_cuts = array<i64: 0, 2>}> {cim.peaks = #cim.inline<"h.peaks.1", "<i8", "1x1x2", "44928 69120">} : (tensor<2x!c0>) -> tensor<2x!c1>
//   %y = "xbar.mvm"(%h) <{low = -32767 : i64, high = 32767 : i64,
//       weight = #cim.inline<"y.matrix", "<f4", "1x2x2", "0.5 -1.0 0.25 1.0">,
//       bias = #cim.inline<"y.bias", "<f8", "2", "0.0 0.0">, row_cuts = array<i64: 0, 2>,
//       col_cuts = array<i64: 0, 2>, shares = "h"}> {cim.peaks = #cim.inline<"h.peaks.1", "<i8", "1x1x2", "44928 69120">} : (tensor<2x!c1>) -> tensor<2x!c2>
//   "nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c2>) -> ()
// }) {cim.gain = array<i64: 42112, 24>} : () -> ()
