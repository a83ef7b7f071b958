// $ cimc opt quantise.mlir --target small.toml --pass-pipeline quantise
// Ranges become codes: 8 bits where the DAC reads them, 16 where nothing but an output does.

%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> {cim.range = array<f64: -3.890625, 3.890625>} : () -> tensor<2xf32>
%h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">,
    clamp = array<f64: 0.000000e+00, 3.4028234663852886e+38>}> {cim.range = array<f64: 0.000000e+00, 4.171875>} : (tensor<2xf32>) -> tensor<2xf32>
"nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2xf32>) -> ()

// becomes
// !c0 = !cim.code<8 : -127, 127, 0, 0.03063484251968504>
// !c1 = !cim.code<16 : -32767, 32767, -32767, 6.36597033600879e-05>
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
// %h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">,
//     clamp = array<f64: 0.000000e+00, 3.4028234663852886e+38>}> : (tensor<2x!c0>) -> tensor<2x!c1>
// "nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c1>) -> ()
