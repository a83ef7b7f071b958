// $ cimc opt fold_affine.mlir --target small.toml --pass-pipeline fold-affine
// Scales and biases on both sides of a dense layer go into its weights and bias.

%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2xf32>
%a = "nn.affine"(%x) <{scale = #cim.inline<"a.scale", "<f4", "2", "2.0 4.0">,
    bias = #cim.inline<"a.bias", "<f4", "2", "1.0 0.0">}> : (tensor<2xf32>) -> tensor<2xf32>
%d = "nn.dense"(%a) <{weight = #cim.inline<"d.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">}> : (tensor<2xf32>) -> tensor<2xf32>
%y = "nn.affine"(%d) <{scale = #cim.inline<"y.scale", "<f4", "1", "0.5">,
    bias = #cim.inline<"y.bias", "<f4", "2", "1.0 -1.0">}> : (tensor<2xf32>) -> tensor<2xf32>
"nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2xf32>) -> ()

// becomes
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2xf32>
// %y = "nn.dense"(%x) <{weight = #cim.inline<"y.weight.1", "<f4", "2x2", "0.5 -1.0 0.5 2.0">,
//     bias = #cim.inline<"y.bias.1", "<f4", "2", "1.25 -1.5">}> : (tensor<2xf32>) -> tensor<2xf32> loc(fused["d", "y", "a"])
// "nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2xf32>) -> ()
