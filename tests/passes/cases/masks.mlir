// $ cimc opt masks.mlir --target small.toml --pass-pipeline masks
// A large negative term hides a score from the softmax: it becomes a choice, so that no scale must hold -1e9.

%x = "nn.input"() <{model_shape = array<i64: 3>, order = array<i64: 0>}> : () -> tensor<3xf32>
%scores = "nn.affine"(%x) <{scale = #cim.inline<"scale", "<f4", "1", "1.0">,
    bias = #cim.inline<"mask", "<f4", "3", "0.0 0.0 -1e+09">}> : (tensor<3xf32>) -> tensor<3xf32>
%y = "nn.softmax"(%scores) : (tensor<3xf32>) -> tensor<3xf32>
"nn.output"(%y) <{model_shape = array<i64: 3>, order = array<i64: 0>}> : (tensor<3xf32>) -> ()

// becomes
// %x = "nn.input"() <{model_shape = array<i64: 3>, order = array<i64: 0>}> : () -> tensor<3xf32>
// %scores.keep = "nn.constant"() <{value = #cim.inline<"scores.keep", "<f4", "3", "1.0 1.0 0.0">}> : () -> tensor<3xf32> loc("scores")
// %scores.shown = "nn.affine"(%x) <{scale = #cim.inline<"scale", "<f4", "1", "1.0">,
//     bias = #cim.inline<"mask.1", "<f4", "3", "0.0 0.0 0.0">}> : (tensor<3xf32>) -> tensor<3xf32> loc("scores")
// %scores.hidden = "nn.constant"() <{value = #cim.inline<"scores.hidden", "<f4", "", "-1e+30">}> : () -> tensor<f32> loc("scores")
// %scores = "nn.select"(%scores.keep, %scores.shown, %scores.hidden) <{hides = 1 : i64}> : (tensor<3xf32>, tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
// %y = "nn.softmax"(%scores) : (tensor<3xf32>) -> tensor<3xf32>
// "nn.output"(%y) <{model_shape = array<i64: 3>, order = array<i64: 0>}> : (tensor<3xf32>) -> ()
