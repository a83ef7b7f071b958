// $ cimc opt layout.mlir --target small.toml --pass-pipeline layout
// The transposes around a convolution of a model with channels first go into the order of its ports.

%x = "nn.input"() <{model_shape = array<i64: 2, 4, 4>, order = array<i64: 0, 1, 2>}> : () -> tensor<2x4x4xf32>
%last = "nn.transpose"(%x) <{order = array<i64: 1, 2, 0>}> : (tensor<2x4x4xf32>) -> tensor<4x4x2xf32>
%c = "nn.conv"(%last) <{weight = #cim.inline<"c.weight", "<f4", "1x1x2x1", "0.5 -1.0">,
    group = 1 : i64, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>,
    pads = array<i64: 0, 0, 0, 0>}> : (tensor<4x4x2xf32>) -> tensor<4x4x1xf32>
%r = "nn.clamp"(%c) <{low = 0.000000e+00 : f64, high = 6.000000e+00 : f64}> : (tensor<4x4x1xf32>) -> tensor<4x4x1xf32>
%y = "nn.transpose"(%r) <{order = array<i64: 2, 0, 1>}> : (tensor<4x4x1xf32>) -> tensor<1x4x4xf32>
"nn.output"(%y) <{model_shape = array<i64: 1, 4, 4>, order = array<i64: 0, 1, 2>}> : (tensor<1x4x4xf32>) -> ()

// becomes
// %x = "nn.input"() <{model_shape = array<i64: 2, 4, 4>, order = array<i64: 1, 2, 0>}> : () -> tensor<4x4x2xf32> loc(fused["x", "last"])
// %c = "nn.conv"(%x) <{weight = #cim.inline<"c.weight", "<f4", "1x1x2x1", "0.5 -1.0">,
//     group = 1 : i64, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>,
//     pads = array<i64: 0, 0, 0, 0>}> : (tensor<4x4x2xf32>) -> tensor<4x4x1xf32>
// %r = "nn.clamp"(%c) <{low = 0.000000e+00 : f64, high = 6.000000e+00 : f64}> : (tensor<4x4x1xf32>) -> tensor<4x4x1xf32>
// "nn.output"(%r) <{label = "y", model_shape = array<i64: 1, 4, 4>,
//     order = array<i64: 1, 2, 0>}> : (tensor<4x4x1xf32>) -> ()
