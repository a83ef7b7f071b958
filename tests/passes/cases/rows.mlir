// $ cimc opt rows.mlir --target small.toml --pass-pipeline im2col
// Two rows for each of two: codes of 7 bits are read as two parts of 6, x = floor(x / 2) + floor((x + 1) / 2).

!c0 = !cim.code<7 : 0, 62, 0, 0.01>
!c1 = !cim.code<16 : -32767, 32767, 0, 0.0002>
%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
%h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">}> {cim.bits = array<i64: 6, 8>, cim.rows = 2 : i64} : (tensor<2x!c0>) -> tensor<2x!c1>
"nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()

// becomes
// !c0 = !cim.code<7 : 0, 62, 0, 0.01>
// !c1 = !cim.code<6 : 0, 31, 0, 0.01>
// !c2 = !cim.code<16 : -32767, 32767, 0, 0.0002>
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
// %h.part0 = "xbar.affine"(%x) <{scale = #cim.inline<"h.part0.scale", "<i4", "1", "2">,
//     offset = #cim.inline<"h.part0.offset", "<i8", "1", "-1">, shift = 2 : i64,
//     low = 0 : i64, high = 31 : i64}> : (tensor<2x!c0>) -> tensor<2x!c1> loc("h")
// %h.part1 = "xbar.affine"(%x) <{scale = #cim.inline<"h.part1.scale", "<i4", "1", "2">,
//     offset = #cim.inline<"h.part1.offset", "<i8", "1", "1">, shift = 2 : i64,
//     low = 0 : i64, high = 31 : i64}> : (tensor<2x!c0>) -> tensor<2x!c1> loc("h")
// %h.parts = "xbar.concat"(%h.part0, %h.part1) <{axis = 0 : i64}> : (tensor<2x!c1>, tensor<2x!c1>) -> tensor<4x!c1> loc("h")
// %h = "xbar.mvm"(%h.parts) <{low = -32767 : i64, high = 32767 : i64,
//     weight = #cim.inline<"h.rows", "<f4", "1x4x2", "0.5 -1.0 0.25 1.0 0.5 -1.0 0.25 1.0">,
//     bias = #cim.inline<"h.bias", "<f8", "2", "0.0 0.0">}> {cim.rows = 2 : i64} : (tensor<4x!c1>) -> tensor<2x!c2>
// "nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c2>) -> ()
