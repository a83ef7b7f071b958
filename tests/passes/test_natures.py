"""What each field of a nature, and each value of it, makes the passes do: on graphs that are made for it."""

from collections.abc import Callable

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import Array, between, chip, layers, lowered, normal, perceptron, residual, through
from xdsl.ir import Block, SSAValue

from cimc.evaluate import evaluate
from cimc.ir import loop, nn, xbar
from cimc.ir.facts import RANGE
from cimc.ir.graph import Graph
from cimc.ir.location import named
from cimc.ir.types import CodeType, code_of
from cimc.passes.fixed_codes import fixed_operations
from cimc.passes.fuse_clamp import FuseClamp
from cimc.passes.layout.layout import Layout
from cimc.passes.pipeline import Setting
from cimc.passes.shared_codes import same_codes

Part = Callable[[GraphBuilder, SSAValue], SSAValue]
SHAPE = (2, 3, 4)
DATA = {"x": normal(8, *SHAPE)}
FIXED = CodeType.of(8, -127, 127, 0, 1 / 16)
SOFT = CodeType.of(8, 0, 127, 0, 1 / 128)


def made(*parts: Part) -> Graph:
    """Return input x with the parts one after another behind it, the last value an output."""
    b = GraphBuilder()
    x = b.input(SHAPE)
    for part in parts:
        x = part(b, x)
    b.output(x)
    return b.graph()


def same_shape(kind: type[nn.Computed], label: str = "y", **properties: object) -> Part:
    def part(b: GraphBuilder, x: SSAValue) -> SSAValue:
        return b.op(kind, [x], x.type.get_shape(), label=label, **properties)  # type: ignore[attr-defined]

    return part


def function(name: str, label: str = "y") -> Part:
    return same_shape(nn.UnaryOp, label, function=name, parameters=[])


def fixed(label: str, code: CodeType) -> Part:
    def part(b: GraphBuilder, x: SSAValue) -> SSAValue:
        y = b.op(nn.QuantiseOp, [x], x.type.get_shape(), label=label)  # type: ignore[attr-defined]
        b.ops[-1].properties["code"] = code
        return y

    return part


def clamped(low: float = 0.0, high: float = 1.0, label: str = "v") -> Part:
    return same_shape(nn.ClampOp, label, low=low, high=high)


def added(b: GraphBuilder, x: SSAValue) -> SSAValue:
    return b.op(nn.AddOp, [x, x], SHAPE, label="sum")


def dense(b: GraphBuilder, x: SSAValue) -> SSAValue:
    shape = (*x.type.get_shape()[:-1], 3)  # type: ignore[attr-defined]
    return b.op(nn.DenseOp, [x], shape, label="dense", weight=normal(x.type.get_shape()[-1], 3))  # type: ignore[attr-defined]


def reshaped(b: GraphBuilder, x: SSAValue) -> SSAValue:
    return b.op(nn.ReshapeOp, [x], SHAPE, label="moved")


def weighing(b: GraphBuilder, x: SSAValue) -> SSAValue:
    weights = b.op(nn.SoftmaxOp, [x], SHAPE, label="weights")
    return b.op(nn.MatMulOp, [weights, weights], (2, 3, 3), label="products")


def looked_up(b: GraphBuilder, x: SSAValue) -> SSAValue:
    return b.op(nn.EmbedOp, [x], (*SHAPE, 2), label="rows", table=normal(300, 2))


def looped(following: Part) -> Graph:
    """Return a loop over x whose state, 1000 at first, goes through `following`; every step's value is kept."""
    b = GraphBuilder()
    x = b.input(SHAPE)
    first = b.op(nn.ConstantOp, [], SHAPE[1:], label="first", value=np.full(SHAPE[1:], 1000.0, np.float32))
    inner = GraphBuilder()
    inner.weights = b.weights
    inner.ops = [loop.take(x, "slice"), loop.state(first, "state")]
    sums = inner.op(nn.AddOp, [op.results[0] for op in inner.ops], SHAPE[1:], label="sums")
    end = following(inner, sums)
    scan = loop.scan(Block([*inner.ops, loop.yielded([end], [end])]), SHAPE[0], False)
    b.ops += [scan, loop.result(scan.results[1], "stack")]
    for op in (*b.ops, *scan.body.ops):
        op.location = named("loop")
    b.output(b.ops[-1].results[0])
    return b.graph()


def at(graph: Graph, label: str) -> nn.Canonical:
    found = [op for op in graph.operations if isinstance(op, nn.Canonical) and op.label.data == label]
    assert len(found) == 1, label
    return found[0]


def names(graph: Graph) -> list[str]:
    return [op.name for op in graph.operations]


def quantised(graph: Graph, data: Array = DATA["x"]) -> Graph:
    return lowered(graph, {"x": data}, "quantise")


READ: dict[str, tuple[int, list[Part]]] = {
    "wide": (16, [added]),
    "weights": (13, [weighing]),
    "a softmax that does more than weigh": (16, [same_shape(nn.SoftmaxOp, "weights")]),
    "table": (12, [function("exp")]),
    "a function that is not steep": (8, [function("tanh")]),
    "narrow": (8, [dense]),
    "passed to a wide reader": (16, [reshaped, added]),
    "passed to a narrow reader": (8, [reshaped, dense]),
}


@pytest.mark.parametrize("case", READ)
def test_a_value_has_the_bits_that_its_reader_wants(case: str) -> None:
    bits, readers = READ[case]
    assert code_of(at(quantised(made(clamped(), *readers)), "v").out).bits.data == bits


def test_a_function_in_a_loop_reads_the_bits_of_a_table() -> None:
    assert code_of(at(quantised(looped(function("tanh"))), "y").operands[0]).bits.data == 12


def test_numbers_of_rows_are_never_rounded() -> None:
    """A dense layer gets 8 bits of the same values."""
    data = np.random.default_rng(0).uniform(0.0, 299.0, (8, *SHAPE)).astype(np.float32)
    numbers = function("floor", "v")
    found, rounded = quantised(made(numbers, looked_up), data), quantised(made(numbers, dense), data)
    assert code_of(at(found, "v").out).bits.data == 16
    assert code_of(at(found, "rows").operands[0]).bits.data == 16
    assert code_of(at(rounded, "dense").operands[0]).bits.data == 8


def quotient(b: GraphBuilder, x: SSAValue) -> SSAValue:
    return b.op(nn.DivOp, [b.ops[0].results[0]] * 2, SHAPE[1:], label="next")


def product(b: GraphBuilder, x: SSAValue) -> SSAValue:
    return b.op(nn.MulOp, [b.ops[0].results[0]] * 2, SHAPE[1:], label="next")


@pytest.mark.parametrize(("following", "at_once"), [(product, True), (quotient, False)])
def test_the_codes_of_a_state_are_written_at_once_where_any_can_be(following: Part, at_once: bool) -> None:
    graph = quantised(looped(following), np.abs(DATA["x"]) + 1.0)
    scan = next(op for op in graph.operations if isinstance(op, loop.ScanOp))
    assert (scan.terminator.next[0] is at(graph, "next").out) is at_once
    assert code_of(scan.terminator.next[0]) == code_of(at(graph, "state").out)


def test_codes_are_handed_on_by_movements_and_by_nothing_else() -> None:
    moved, computed = quantised(made(clamped(), reshaped)), quantised(made(clamped(), function("tanh")))
    assert code_of(at(moved, "moved").out) == code_of(at(moved, "v").out)
    assert code_of(at(computed, "y").out) != code_of(at(computed, "v").out)


def test_parts_get_the_codes_of_the_whole() -> None:
    def joined(b: GraphBuilder, x: SSAValue) -> SSAValue:
        return b.op(nn.ConcatOp, [[x, b.ops[0].results[0]]], (4, 3, 4), label="joined", axis=0)

    graph = quantised(made(clamped(), joined))
    assert {code_of(part) for part in at(graph, "joined").operands} == {code_of(at(graph, "joined").out)}
    assert code_of(at(graph, "v").out) != code_of(at(graph, "joined").out)


def test_fixed_codes_are_passed_on_as_fixed_by_movements_but_not_into_a_loop() -> None:
    moved = made(fixed("v", FIXED), reshaped)
    assert {at(moved, "v"), at(moved, "moved")} <= fixed_operations(moved)
    sliced = looped(function("tanh"))
    at(sliced, "x").properties["code"] = FIXED
    assert at(sliced, "x") in fixed_operations(sliced)
    assert at(sliced, "slice") not in fixed_operations(sliced)


def test_codes_are_asked_of_who_computes_the_value() -> None:
    asked = fixed("w", FIXED)
    computed, moved = made(function("tanh", "v"), asked), made(function("tanh", "v"), reshaped, asked)
    assert at(computed, "v") in fixed_operations(computed)
    assert at(moved, "moved") not in fixed_operations(moved)
    whole = made(joined, asked)
    assert at(whole, "y") in fixed_operations(whole)
    recoded = made(function("tanh", "v"), same_shape(nn.RecodeOp, "w", source=FIXED, target=FIXED))
    assert at(recoded, "v") in fixed_operations(recoded)


@pytest.mark.parametrize(("code", "is_fixed"), [(SOFT, True), (CodeType.of(8, 0, 127, 0, 0.3), False)])
def test_softmax_writes_codes_of_whole_parts_of_one(code: CodeType, is_fixed: bool) -> None:
    graph = made(same_shape(nn.SoftmaxOp, "v"), fixed("w", code))
    assert (at(graph, "v") in fixed_operations(graph)) is is_fixed


def turned(order: list[int], label: str) -> Part:
    def part(b: GraphBuilder, x: SSAValue) -> SSAValue:
        shape = x.type.get_shape()  # type: ignore[attr-defined]
        return b.op(nn.TransposeOp, [x], [shape[axis] for axis in order], label=label, order=order)

    return part


def normalised(label: str) -> Part:
    """Return an operation that no transpose passes."""

    def part(b: GraphBuilder, x: SSAValue) -> SSAValue:
        shape = x.type.get_shape()  # type: ignore[attr-defined]
        scale, bias = normal(shape[-1]), normal(shape[-1], seed=1)
        return b.op(nn.NormOp, [x], shape, label=label, centred=1, epsilon=1e-5, scale=scale, bias=bias)

    return part


def scaled(b: GraphBuilder, x: SSAValue) -> SSAValue:
    shape = x.type.get_shape()  # type: ignore[attr-defined]
    scale, bias = normal(shape[0], 1, 1), normal(1, shape[1], 1)
    return b.op(nn.AffineOp, [x], shape, label="y", scale=scale, bias=bias)


def joined(b: GraphBuilder, x: SSAValue) -> SSAValue:
    first, *rest = x.type.get_shape()  # type: ignore[attr-defined]
    other = b.op(nn.ClampOp, [x], (first, *rest), label="other", low=0.0, high=1.0)
    return b.op(nn.ConcatOp, [[x, other]], (2 * first, *rest), label="y", axis=0)


def padded(b: GraphBuilder, x: SSAValue) -> SSAValue:
    first, second, third = x.type.get_shape()  # type: ignore[attr-defined]
    return b.op(nn.PadOp, [x], (first + 1, second, third + 2), label="y", before=[1, 0, 0], after=[0, 0, 2], value=0.5)


def sliced(b: GraphBuilder, x: SSAValue) -> SSAValue:
    _, second, third = x.type.get_shape()  # type: ignore[attr-defined]
    return b.op(nn.SliceOp, [x], (1, second, third), label="y", begin=[1, 0, 0], step=[1, 1, 1])


def picked(b: GraphBuilder, x: SSAValue) -> SSAValue:
    _, second, third = x.type.get_shape()  # type: ignore[attr-defined]
    return b.op(nn.PickOp, [x], (3, second, third), label="y", indices=np.array([1, 0, 1], np.int32), axis=0)


FIRST, LAST = [1, 0, 2], [2, 1, 0]
ORDERS: dict[str, tuple[list[int], Part, int]] = {
    "any": (LAST, function("tanh"), 0),
    "turned constants": (LAST, scaled, 0),
    "turned axis": (LAST, joined, 0),
    "turned pads": (LAST, padded, 0),
    "turned slices": (LAST, sliced, 0),
    "turned axis of what is picked": (LAST, picked, 0),
    "last stays and does": (FIRST, same_shape(nn.SoftmaxOp), 0),
    "last stays and does not": (LAST, same_shape(nn.SoftmaxOp), 2),
    "no": (LAST, normalised("y"), 2),
}


@pytest.mark.parametrize("case", ORDERS)
def test_transposes_pass_what_works_in_other_orders(case: str) -> None:
    order, part, left = ORDERS[case]
    parts = [normalised("above"), turned(order, "there"), part, turned(order, "back"), normalised("below")]
    before = evaluate(made(*parts), DATA)["out"]
    graph = through(made(*parts), Layout())
    assert names(graph).count("nn.transpose") == left
    np.testing.assert_allclose(evaluate(graph, DATA)["out"], before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "left"), [((24,), ["add", "reshape"]), ((1, 24), ["reshape", "reshape", "add"])])
def test_views_pass_what_joins_them_where_they_are_alike(shape: tuple[int, ...], left: list[str]) -> None:
    b = GraphBuilder()
    x = b.input(SHAPE)
    views = [b.op(nn.ReshapeOp, [x], one, label=f"view{n}") for n, one in enumerate(((24,), shape))]
    b.output(b.op(nn.AddOp, views, shape, label="sum"))
    assert names(through(b.graph(), Layout()))[1:-1] == [f"nn.{name}" for name in left]


def with_zero(value: float) -> Part:
    def part(b: GraphBuilder, x: SSAValue) -> SSAValue:
        return b.op(nn.PadOp, [x], (2, 3, 5), label="padded", before=[0, 0, 0], after=[0, 0, 1], value=value)

    return part


TIED: dict[str, tuple[list[Part], list[str]]] = {
    "no": ([clamped(), reshaped], ["v", "moved"]),
    "padding with zero": ([clamped(), with_zero(0.0)], ["v", "padded"]),
    "padding with a half": ([clamped(), with_zero(0.5)], []),
    "made by one that is": ([same_shape(nn.RecodeOp, "v", source=FIXED, target=FIXED)], []),
    "read by one that is": ([clamped(), lambda b, x: (joined(b, x), x)[1]], []),
    "a choice, whose operands have its codes": ([clamped(), lambda b, x: chosen(None)(b, x)], []),
}


@pytest.mark.parametrize("case", TIED)
def test_values_that_share_their_codes_unless_they_are_tied(case: str) -> None:
    parts, labels = TIED[case]
    layer = at(made(*parts, dense), "dense")
    assert isinstance(layer, nn.Layer)
    assert [op.label.data for op in same_codes(layer)] == labels


def first_place(b: GraphBuilder, x: SSAValue) -> SSAValue:
    return b.op(nn.ArgMaxOp, [x], (2, 3, 1), label="v", which=0, tie=0)


@pytest.mark.parametrize(("part", "whole"), [(first_place, True), (function("floor", "v"), True), (clamped(), False)])
def test_whole_results_have_codes_of_scale_one(part: Part, whole: bool) -> None:
    assert (code_of(at(quantised(made(part)), "v").out).scale.data == 1.0) is whole


@pytest.mark.parametrize(("kind", "finest"), [(nn.SubOp, True), (nn.MulOp, False)])
def test_sums_have_codes_no_finer_than_their_operands_can_tell(kind: type[nn.Computed], finest: bool) -> None:
    """Both results are said to lie within 10^-9, far less than a step of the operands."""

    def part(b: GraphBuilder, x: SSAValue) -> SSAValue:
        return b.op(kind, [x, x], SHAPE, label="v")

    graph = lowered(made(part), DATA, "calibrate")
    RANGE.note(at(graph, "v"), (-1e-9, 1e-9))
    quantise = between("quantise", "quantise", Setting(chip(), DATA))
    code = code_of(at(through(graph, *quantise), "v").out)
    assert (code.scale.data > 1e-9) is finest


def chosen(hides: int | None) -> Part:
    def part(b: GraphBuilder, x: SSAValue) -> SSAValue:
        low = b.op(nn.ConstantOp, [], (1, 1, 1), label="low", value=np.full((1, 1, 1), -3.0, np.float32))
        seen = b.op(nn.UnaryOp, [x], SHAPE, label="seen", function="greater", parameters=[0.0])
        return b.op(nn.SelectOp, [seen, x, low], SHAPE, label="v", hides=hides)

    return part


@pytest.mark.parametrize("hides", [None, 1])
def test_what_can_hide_has_room_below_and_so_has_what_is_moved_of_it(hides: int | None) -> None:
    graph = lowered(made(chosen(hides), reshaped), DATA, "calibrate")
    for label in ("v", "moved"):
        low, _ = RANGE.of(at(graph, label))
        assert (low < -16.0) is bool(hides)


def test_softmax_has_codes_for_all_it_can_give() -> None:
    graph = quantised(made(same_shape(nn.SoftmaxOp, "v")), 0.01 * DATA["x"])
    code = code_of(at(graph, "v").out)
    assert (code.high.data - code.zero.data) * code.scale.data == pytest.approx(1.0)


def test_all_rows_of_a_table_count_whatever_the_data_read() -> None:
    data = np.zeros((8, *SHAPE), np.float32)
    graph = lowered(made(function("floor", "v"), looked_up), {"x": data}, "calibrate")
    _, high = RANGE.of(at(graph, "rows"))
    assert high == pytest.approx(np.abs(normal(300, 2)).max(), rel=1e-3)


def test_an_activation_is_fused_into_what_has_a_clamp() -> None:
    graph = through(made(added, clamped()), FuseClamp())
    assert names(graph) == ["nn.input", "nn.add", "nn.output"]
    graph = through(made(function("tanh"), clamped()), FuseClamp())
    assert names(graph) == ["nn.input", "nn.unary", "nn.clamp", "nn.output"]


def multiplies(graph: Graph, kind: type[nn.Computed]) -> int:
    return next(op.multiplies() for op in graph.operations if isinstance(op, kind))


def test_a_layer_multiplies_its_rows_for_every_output() -> None:
    layer = layers(lowered(perceptron(7, 3), {"x": normal(4, 7)}))[0]
    assert layer.multiplies() == 7 * 3


def test_windows_and_matrices_multiply_what_they_sum_up() -> None:
    graph = lowered(residual(), {"x": normal(4, 6, 6, 3)}, im2col="depthwise=digital")
    assert multiplies(graph, xbar.DepthwiseOp) == 6 * 6 * 4 * 9
    assert multiplies(graph, xbar.PoolMaxOp) == 3 * 3 * 8 * 4
    assert multiplies(graph, xbar.PoolSumOp) == 8 * 4 * 5
    assert multiplies(graph, xbar.AddOp) == 6 * 6 * 4
    products = lowered(made(weighing), DATA)
    assert multiplies(products, xbar.MatMulOp) == 2 * 3 * 3 * 4
