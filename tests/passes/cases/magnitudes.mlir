// $ cimc opt magnitudes.mlir --target small.toml --pass-pipeline fuse-functions{magnitudes=quotient}
// The root of a sum of two squares becomes a quotient, whose small values codes of 16 bits hold, and a product.

%a = "nn.input"() <{model_shape = array<i64: 3>, order = array<i64: 0>}> : () -> tensor<3xf32>
%b = "nn.input"() <{model_shape = array<i64: 3>, order = array<i64: 0>}> : () -> tensor<3xf32>
%aa = "nn.mul"(%a, %a) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
%bb = "nn.mul"(%b, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
%squares = "nn.add"(%aa, %bb) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
%y = "nn.unary"(%squares) <{function = "sqrt", parameters = array<f64>}> : (tensor<3xf32>) -> tensor<3xf32>
"nn.output"(%y) <{model_shape = array<i64: 3>, order = array<i64: 0>}> : (tensor<3xf32>) -> ()

// becomes
// %a = "nn.input"() <{model_shape = array<i64: 3>, order = array<i64: 0>}> : () -> tensor<3xf32>
// %b = "nn.input"() <{model_shape = array<i64: 3>, order = array<i64: 0>}> : () -> tensor<3xf32>
// %y.abs = "nn.unary"(%a) <{function = "abs", parameters = array<f64>}> : (tensor<3xf32>) -> tensor<3xf32> loc(fused["y", "squares", "aa", "bb"])
// %y.abs2 = "nn.unary"(%b) <{function = "abs", parameters = array<f64>}> : (tensor<3xf32>) -> tensor<3xf32> loc(fused["y", "squares", "aa", "bb"])
// %y.parts = "nn.add"(%y.abs, %y.abs2) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc(fused["y", "squares", "aa", "bb"])
// %y.total = "nn.clamp"(%y.parts) <{low = 1.1754943508222875e-38 : f64,
//     high = 3.4028234663852886e+38 : f64}> : (tensor<3xf32>) -> tensor<3xf32> loc(fused["y", "squares", "aa", "bb"])
// %y.share = "nn.div"(%y.abs, %y.total) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc(fused["y", "squares", "aa", "bb"])
// %y.around = "nn.unary"(%y.share) <{function = "power", parameters = array<f64: 2.000000e+00, 1.000000e+00, -5.000000e-01>}> : (tensor<3xf32>) -> tensor<3xf32> loc(fused["y", "squares", "aa", "bb"])
// %y.length = "nn.unary"(%y.around) <{function = "power", parameters = array<f64: 5.000000e-01, 2.000000e+00, 5.000000e-01>}> : (tensor<3xf32>) -> tensor<3xf32> loc(fused["y", "squares", "aa", "bb"])
// %y = "nn.mul"(%y.total, %y.length) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc(fused["y", "squares", "aa", "bb"])
// "nn.output"(%y) <{model_shape = array<i64: 3>, order = array<i64: 0>}> : (tensor<3xf32>) -> ()
