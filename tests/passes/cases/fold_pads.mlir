// $ cimc opt fold_pads.mlir --target small.toml --pass-pipeline fold-pads
// Zeros around an image go into the window of the convolution behind.

%x = "nn.input"() <{model_shape = array<i64: 4, 4, 1>, order = array<i64: 0, 1, 2>}> : () -> tensor<4x4x1xf32>
%p = "nn.pad"(%x) <{before = array<i64: 1, 1, 0>, after = array<i64: 1, 1, 0>,
    value = 0.000000e+00 : f64}> : (tensor<4x4x1xf32>) -> tensor<6x6x1xf32>
%y = "nn.conv"(%p) <{weight = #cim.inline<"y.weight", "<f4", "3x3x1x1", "0.0 1.0 0.0 1.0 -4.0 1.0 0.0 1.0 0.0">,
    group = 1 : i64, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>,
    pads = array<i64: 0, 0, 0, 0>}> : (tensor<6x6x1xf32>) -> tensor<4x4x1xf32>
"nn.output"(%y) <{model_shape = array<i64: 4, 4, 1>, order = array<i64: 0, 1, 2>}> : (tensor<4x4x1xf32>) -> ()

// becomes
// %x = "nn.input"() <{model_shape = array<i64: 4, 4, 1>, order = array<i64: 0, 1, 2>}> : () -> tensor<4x4x1xf32>
// %y = "nn.conv"(%x) <{weight = #cim.inline<"y.weight", "<f4", "3x3x1x1", "0.0 1.0 0.0 1.0 -4.0 1.0 0.0 1.0 0.0">,
//     group = 1 : i64, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>,
//     pads = array<i64: 1, 1, 1, 1>}> : (tensor<4x4x1xf32>) -> tensor<4x4x1xf32> loc(fused["y", "p"])
// "nn.output"(%y) <{model_shape = array<i64: 4, 4, 1>, order = array<i64: 0, 1, 2>}> : (tensor<4x4x1xf32>) -> ()
