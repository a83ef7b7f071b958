// $ cimc opt digital.mlir --target small.toml --pass-pipeline digital
// An addition becomes integers: a multiplier for each side, one shift, half to even.

!c0 = !cim.code<16 : -32767, 32767, 0, 0.00011873607593005158>
!c1 = !cim.code<16 : -32767, 32767, 11792, 5.3914046525467695e-05>
!c2 = !cim.code<16 : -32767, 32767, -32767, 3.916144672994171e-05>
%a = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
%b = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c1>
%y = "nn.add"(%a, %b) <{clamp = array<f64: 0.000000e+00, 3.4028234663852886e+38>}> : (tensor<2x!c0>, tensor<2x!c1>) -> tensor<2x!c2>
"nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c2>) -> ()

// becomes
// !c0 = !cim.code<16 : -32767, 32767, 0, 0.00011873607593005158>
// !c1 = !cim.code<16 : -32767, 32767, 11792, 5.3914046525467695e-05>
// !c2 = !cim.code<16 : -32767, 32767, -32767, 3.916144672994171e-05>
// %a = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
// %b = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c1>
// %y = "xbar.add"(%a, %b) <{low = -32767 : i64, high = 32767 : i64,
//     ma = 49676 : i64, mb = 22556 : i64, bias = -802834880 : i64,
//     shift = 14 : i64}> : (tensor<2x!c0>, tensor<2x!c1>) -> tensor<2x!c2>
// "nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c2>) -> ()
