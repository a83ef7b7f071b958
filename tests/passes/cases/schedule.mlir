// $ cimc opt schedule.mlir --target small.toml --pass-pipeline schedule
// Values get addresses in bytes; the last takes the place of an input that nothing reads any more.

!c0 = !cim.code<16 : -32767, 32767, 0, 0.00011873607593005158>
!c1 = !cim.code<16 : -32767, 32767, 11792, 5.3914046525467695e-05>
!c2 = !cim.code<16 : -32767, 32767, -32767, 3.916144672994171e-05>
!c3 = !cim.code<16 : -32767, 32767, -32767, 7.832289345988342e-05>
%a = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c0>
%b = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2x!c1>
%s = "xbar.add"(%a, %b) <{low = -32767 : i64, high = 32767 : i64,
    ma = 49676 : i64, mb = 22556 : i64, bias = -802834880 : i64,
    shift = 14 : i64}> : (tensor<2x!c0>, tensor<2x!c1>) -> tensor<2x!c2>
%y = "xbar.add"(%s, %s) <{low = -32767 : i64, high = 32767 : i64,
    ma = 32768 : i64, mb = 32768 : i64, bias = 0 : i64, shift = 16 : i64}> : (tensor<2x!c2>, tensor<2x!c2>) -> tensor<2x!c3>
"nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c3>) -> ()

// becomes
// !c0 = !cim.code<16 : -32767, 32767, 0, 0.00011873607593005158>
// !c1 = !cim.code<16 : -32767, 32767, 11792, 5.3914046525467695e-05>
// !c2 = !cim.code<16 : -32767, 32767, -32767, 3.916144672994171e-05>
// !c3 = !cim.code<16 : -32767, 32767, -32767, 7.832289345988342e-05>
// "builtin.module"() ({
//   %a = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>,
//       address = 0 : i64}> : () -> tensor<2x!c0>
//   %b = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>,
//       address = 16 : i64}> : () -> tensor<2x!c1>
//   %s = "xbar.add"(%a, %b) <{low = -32767 : i64, high = 32767 : i64,
//       ma = 49676 : i64, mb = 22556 : i64, bias = -802834880 : i64,
//       shift = 14 : i64, address = 32 : i64}> : (tensor<2x!c0>, tensor<2x!c1>) -> tensor<2x!c2>
//   %y = "xbar.add"(%s, %s) <{low = -32767 : i64, high = 32767 : i64,
//       ma = 32768 : i64, mb = 32768 : i64, bias = 0 : i64, shift = 16 : i64,
//       address = 0 : i64}> : (tensor<2x!c2>, tensor<2x!c2>) -> tensor<2x!c3>
//   "nn.output"(%y) <{model_shape = array<i64: 2>, order = array<i64: 0>}> : (tensor<2x!c3>) -> ()
// }) {cim.activation_bytes = 36 : i64} : () -> ()
