// $ cimc opt dead_code.mlir --target small.toml --pass-pipeline dead-code
// A layer that no output depends on goes, with its weights.

%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2xf32>
%unused = "nn.dense"(%x) <{weight = #cim.inline<"unused.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">}> : (tensor<2xf32>) -> tensor<2xf32>
%y = "nn.dense"(%x) <{weight = #cim.inline<"y.weight", "<f4", "2x1", "1.0 -1.0">}> : (tensor<2xf32>) -> tensor<1xf32>
"nn.output"(%y) <{model_shape = array<i64: 1>, order = array<i64: 0>}> : (tensor<1xf32>) -> ()

// becomes
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2xf32>
// %y = "nn.dense"(%x) <{weight = #cim.inline<"y.weight", "<f4", "2x1", "1.0 -1.0">}> : (tensor<2xf32>) -> tensor<1xf32>
// "nn.output"(%y) <{model_shape = array<i64: 1>, order = array<i64: 0>}> : (tensor<1xf32>) -> ()
