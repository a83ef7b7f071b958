// $ cimc opt fuse_functions.mlir --target small.toml --pass-pipeline fuse-functions
// Gelu as exporters spell it, x * (1 + erf(x / sqrt 2)) / 2, becomes one function.

%x = "nn.input"() <{model_shape = array<i64: 3>, order = array<i64: 0>}> : () -> tensor<3xf32>
%scaled = "nn.affine"(%x) <{scale = #cim.inline<"scaled.scale", "<f4", "1", "0.70710677">,
    bias = #cim.inline<"scaled.bias", "<f4", "1", "0.0">}> : (tensor<3xf32>) -> tensor<3xf32>
%erf = "nn.unary"(%scaled) <{function = "erf", parameters = array<f64>}> : (tensor<3xf32>) -> tensor<3xf32>
%half = "nn.affine"(%erf) <{scale = #cim.inline<"half.scale", "<f4", "1", "0.5">,
    bias = #cim.inline<"half.bias", "<f4", "1", "0.5">}> : (tensor<3xf32>) -> tensor<3xf32>
%y = "nn.mul"(%x, %half) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
"nn.output"(%y) <{model_shape = array<i64: 3>, order = array<i64: 0>}> : (tensor<3xf32>) -> ()

// becomes
// %x = "nn.input"() <{model_shape = array<i64: 3>, order = array<i64: 0>}> : () -> tensor<3xf32>
// %y = "nn.unary"(%x) <{function = "gelu", parameters = array<f64>}> : (tensor<3xf32>) -> tensor<3xf32> loc(fused["scaled", "erf", "half", "y"])
// "nn.output"(%y) <{model_shape = array<i64: 3>, order = array<i64: 0>}> : (tensor<3xf32>) -> ()
