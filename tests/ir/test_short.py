"""The IR for people: what a line says, and what it leaves out."""

from cimc.ir.short import print_short
from cimc.ir.text import parse_graph, print_graph, print_sparse

PORT = "model_shape = array<i64: 2>, order = array<i64: 0>"
LOOP = f"""\
%x = "nn.input"() <{{model_shape = array<i64: 4, 2>, order = array<i64: 0, 1>}}> : () -> tensor<4x2xf32>
%h0 = "nn.input"() <{{{PORT}}}> : () -> tensor<2xf32>
%0:2 = "loop.scan"() <{{steps = 4 : i64, reverse}}> ({{
  %slice = "loop.take"(%x) : (tensor<4x2xf32>) -> tensor<2xf32>
  %h = "loop.state"(%h0) : (tensor<2xf32>) -> tensor<2xf32>
  %next = "nn.add"(%slice, %h) <{{clamp = array<f64: -1.0, 3.4028234663852886e+38>}}>
    : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  "loop.yield"(%next, %slice) <{{operandSegmentSizes = array<i32: 1, 1>}}> : (tensor<2xf32>, tensor<2xf32>) -> ()
}}) : () -> (tensor<2xf32>, tensor<4x2xf32>)
%last = "loop.result"(%0#0) : (tensor<2xf32>) -> tensor<2xf32>
%all = "loop.result"(%0#1) : (tensor<4x2xf32>) -> tensor<4x2xf32>
"nn.output"(%last) <{{label = "y", {PORT}}}> : (tensor<2xf32>) -> ()
"nn.output"(%all) <{{model_shape = array<i64: 2, 4>, order = array<i64: 1, 0>}}> : (tensor<4x2xf32>) -> ()
"""


def line_of(text: str) -> str:
    """Return the short line of the last operation of a text."""
    return print_short(parse_graph(text)).splitlines()[-1]


def test_a_loop() -> None:
    assert print_short(parse_graph(LOOP)).splitlines() == [
        "x: 4x2 f32 = nn.input",
        "h0: 2 f32 = nn.input",
        "loop.scan steps 4, reverse",
        "  slice: 2 f32 = loop.take(x)",
        "  h: 2 f32 = loop.state(h0)",
        "  next: 2 f32 = nn.add(slice, h) clamp (-1, inf)",
        "  loop.yield next (next) kept (slice)",
        "last: 2 f32 = loop.result(last h)",
        "all: 4x2 f32 = loop.result(every slice)",
        "nn.output(last) label y",
        "nn.output(all) order (1, 0)",
    ]


def test_a_loop_is_printed_in_full_and_sparsely_and_read_again() -> None:
    graph = parse_graph(LOOP)
    assert "label" in print_sparse(graph), "the first output has another name than its value"
    assert print_graph(parse_graph(print_sparse(graph))) == print_graph(graph) == print_graph(parse_graph(LOOP))


def test_codes_and_facts() -> None:
    text = f"""
"builtin.module"() ({{
  %x = "nn.input"() <{{{PORT}, address = 4 : i64}}> : () -> tensor<2x!cim.code<8 : 0, 200, 3, 0.0123456789>>
  %y = "xbar.lut"(%x) <{{table = #cim.inline<"t", "|i1", "3", "-1 0 1">, first = 0 : i64}}> {{cim.skip_zeros}}
    : (tensor<2x!cim.code<8 : 0, 200, 3, 0.0123456789>>) -> tensor<2x!cim.code<8 : -1, 1, 0, 1.0>>
}}) {{cim.gain = array<i64: 3, 1>}} : () -> ()"""
    assert print_short(parse_graph(text)).splitlines() == [
        "graph gain (3, 1)",
        "x: 2 of 8 bits 0..200, zero 3, step 0.0123457 = nn.input address 4",
        "y: 2 of 8 bits -1..1, step 1 = xbar.lut(x) table i1[3] (-1, 0, 1), first 0, skip_zeros",
    ]


def test_a_clamp_says_something_where_it_is_not_the_end_of_the_codes() -> None:
    code = "tensor<!cim.code<8 : -9, 9, 0, 1.0>>"
    facts = "ma = 1 : i64, mb = 1 : i64, bias = 0 : i64, shift = 0 : i64"
    x = f'%x = "nn.input"() <{{model_shape = array<i64>, order = array<i64>}}> : () -> {code}\n'
    add = f'%y = "xbar.add"(%x, %x) <{{low = 0 : i64, high = 9 : i64, {facts}}}> : ({code}, {code}) -> {code}'
    assert line_of(x + add) == "y: scalar of 8 bits -9..9, step 1 = xbar.add(x, x) low 0, ma 1, mb 1, bias 0, shift 0"


def test_windows_that_move_by_one_and_meet_no_pads_say_nothing_of_it() -> None:
    port = "model_shape = array<i64: 1, 3, 3>, order = array<i64: 1, 2, 0>"
    x = f'%x = "nn.input"() <{{{port}}}> : () -> tensor<3x3x1xf32>\n'
    conv = """%y = "nn.conv"(%x) <{weight = #cim.weight<"w", "<f4", "3x3x1x1", "0">, group = 1 : i64,
        stride = array<i64: 1, 2>, dilation = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>}>
        : (tensor<3x3x1xf32>) -> tensor<1x1x1xf32>"""
    assert line_of(x) == "x: 3x3x1 f32 = nn.input order (1, 2, 0)"
    assert line_of(x + conv) == "y: 1x1x1 f32 = nn.conv(x) weight f4[3x3x1x1], stride (1, 2)"
