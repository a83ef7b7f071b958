// $ cimc opt calibrate.mlir --target small.toml --pass-pipeline calibrate
// Every value gets its range; where no data are given, from eight seeded samples.

%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2xf32>
%y = "nn.clamp"(%x) <{low = 0.000000e+00 : f64, high = 1.000000e+00 : f64}> : (tensor<2xf32>) -> tensor<2xf32>
"nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2xf32>) -> ()

// becomes
// %x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> {cim.range = array<f64: -3.890625, 3.890625>} : () -> tensor<2xf32>
// %y = "nn.clamp"(%x) <{low = 0.000000e+00 : f64, high = 1.000000e+00 : f64}> {cim.range = array<f64: 0.000000e+00, 1.000000e+00>} : (tensor<2xf32>) -> tensor<2xf32>
// "nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2xf32>) -> ()
