// $ cimc opt fold_reshapes.mlir --target small.toml --pass-pipeline fold-reshapes
// A reshape of a reshape is one, and a slice of everything moves nothing.

%x = "nn.input"() <{model_shape = array<i64: 2, 3>, order = array<i64: 0, 1>}> : () -> tensor<2x3xf32>
%a = "nn.reshape"(%x) : (tensor<2x3xf32>) -> tensor<3x2xf32>
%b = "nn.reshape"(%a) : (tensor<3x2xf32>) -> tensor<6xf32>
%y = "nn.slice"(%b) <{begin = array<i64: 0>, step = array<i64: 1>}> : (tensor<6xf32>) -> tensor<6xf32>
%z = "nn.clamp"(%y) <{low = 0.000000e+00 : f64, high = 6.000000e+00 : f64}> : (tensor<6xf32>) -> tensor<6xf32>
"nn.output"(%z) <{model_shape = array<i64: 6>, order = array<i64: 0>}> : (tensor<6xf32>) -> ()

// becomes
// %x = "nn.input"() <{model_shape = array<i64: 2, 3>, order = array<i64: 0, 1>}> : () -> tensor<2x3xf32>
// %b = "nn.reshape"(%x) : (tensor<2x3xf32>) -> tensor<6xf32> loc(fused["b", "a"])
// %z = "nn.clamp"(%b) <{low = 0.000000e+00 : f64, high = 6.000000e+00 : f64}> : (tensor<6xf32>) -> tensor<6xf32>
// "nn.output"(%z) <{model_shape = array<i64: 6>, order = array<i64: 0>}> : (tensor<6xf32>) -> ()
