// $ cimc opt weight_mapping.mlir --target small.toml --pass-pipeline 'weight-mapping{weights=offset}'
// Offset weights are positive; a column of offsets is subtracted from every output.

%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2xf32>
%h = "nn.dense"(%x) <{weight = #cim.inline<"h.weight", "<f4", "2x2", "0.5 -1.0 0.25 1.0">,
    clamp = array<f64: 0.000000e+00, 3.4028234663852886e+38>}> : (tensor<2xf32>) -> tensor<2xf32>
"nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2xf32>) -> ()

// becomes
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2xf32>
// %h.raw = "nn.dense"(%x) <{weight = #cim.inline<"h.offset", "<f4", "2x3", "1.5 0.0 1.0 1.25 2.0 1.0">}> {cim.skip_zeros} : (tensor<2xf32>) -> tensor<3xf32> loc("h")
// %h.sums = "nn.slice"(%h.raw) <{begin = array<i64: 0>, step = array<i64: 1>}> : (tensor<3xf32>) -> tensor<2xf32> loc("h")
// %h.reference = "nn.slice"(%h.raw) <{begin = array<i64: 2>, step = array<i64: 1>}> : (tensor<3xf32>) -> tensor<1xf32> loc("h")
// %h = "nn.sub"(%h.sums, %h.reference) <{clamp = array<f64: 0.000000e+00, 3.4028234663852886e+38>}> : (tensor<2xf32>, tensor<1xf32>) -> tensor<2xf32>
// "nn.output"(%h) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2xf32>) -> ()
