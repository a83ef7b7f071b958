// $ cimc opt mixed_precision.mlir --target small.toml --pass-pipeline 'mixed-precision{budget=12.0}'
// A loss of 12 dB at the output allows the weights of the layer 6 bits.

!c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
!c1 = !cim.code<16 : -32767, 32767, -32767, 6.36597033600879e-05>
%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
%h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">,
    clamp = array<f64: 0.000000e+00, 3.4028234663852886e+38>}> : (tensor<2x!c0>) -> tensor<2x!c1>
"nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()

// becomes
// !c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
// !c1 = !cim.code<16 : -32767, 32767, -32767, 6.36597033600879e-05>
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
// %h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight.1", "<f4", "2x2", "0.475 -1.0 0.27142859 1.0">,
//     clamp = array<f64: 0.000000e+00, 3.4028234663852886e+38>}> {cim.bits = array<i64: 8, 4>} : (tensor<2x!c0>) -> tensor<2x!c1>
// "nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()
