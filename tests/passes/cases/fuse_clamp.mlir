// $ cimc opt fuse_clamp.mlir --target small.toml --pass-pipeline fuse-clamp
// A Relu that alone reads a layer becomes its clamp; what another operation reads as well stays.

%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2xf32>
%h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">}> : (tensor<2xf32>) -> tensor<2xf32>
%r = "nn.clamp"(%h) <{low = 0.000000e+00 : f64, high = 3.4028234663852886e+38 : f64}> : (tensor<2xf32>) -> tensor<2xf32>
%g = "nn.dense"(%r) <{weight = #cim.inline<"g.weight", "<f4", "2x2", "1.0 0.0 0.5 1.0">}> : (tensor<2xf32>) -> tensor<2xf32>
%s = "nn.clamp"(%g) <{low = 0.000000e+00 : f64, high = 6.000000e+00 : f64}> : (tensor<2xf32>) -> tensor<2xf32>
%y = "nn.add"(%g, %s) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
"nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2xf32>) -> ()

// becomes
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2xf32>
// %r = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">,
//     clamp = array<f64: 0.000000e+00, 3.4028234663852886e+38>}> : (tensor<2xf32>) -> tensor<2xf32> loc(fused["h", "r"])
// %g = "nn.dense"(%r) <{weight = #cim.inline<"g.weight", "<f4", "2x2", "1.0 0.0 0.5 1.0">}> : (tensor<2xf32>) -> tensor<2xf32>
// %s = "nn.clamp"(%g) <{low = 0.000000e+00 : f64, high = 6.000000e+00 : f64}> : (tensor<2xf32>) -> tensor<2xf32>
// %y = "nn.add"(%g, %s) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
// "nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2xf32>) -> ()
