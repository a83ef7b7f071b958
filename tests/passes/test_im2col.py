"""im2col: the matrix of a layer is its unrolled product, and depthwise layers go where they are meant to."""

from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import SAME, Array, chip, layers, lowered, normal

from cimc.evaluate import Evaluator
from cimc.ir import nn, xbar
from cimc.ir.attributes import int_value, int_values
from cimc.ir.build import Window
from cimc.ir.graph import Graph
from cimc.ir.types import code_of
from cimc.isa.errors import CimcError

CASES = {
    "plain": (Window((3, 3)), 4, 6, 1),
    "stride": (Window((3, 3), stride=(2, 3), pads=(1, 0, 1, 2)), 4, 6, 1),
    "dilation": (Window((2, 3), dilation=(3, 2), pads=(0, 2, 1, 0)), 4, 6, 1),
    "groups": (Window((3, 2), pads=(1, 1, 1, 1)), 4, 6, 2),
    "pointwise": (Window((1, 1)), 4, 6, 1),
    "pointwise with stride": (Window((1, 1), stride=(2, 2)), 4, 6, 1),
    "pointwise with groups": (Window((1, 1)), 4, 6, 2),
    "pointwise with padding": (Window((1, 1), pads=(1, 1, 1, 1)), 4, 6, 1),
    "depthwise": (Window((3, 3), stride=(2, 2), pads=(1, 1, 1, 1)), 4, 4, 4),
    "depthwise with multiplier": (Window((3, 3), pads=(1, 1, 1, 1)), 4, 8, 4),
}
OPTIONS: list[dict[str, str]] = [{}, {"im2col": "zeros=skip"}]
DEPTHWISE = [name for name in CASES if "depthwise" in name]


def convolution(name: str) -> tuple[Graph, Array]:
    """Return a graph of one biased convolution and its weight."""
    window, channels, outputs, group = CASES[name]
    weight, b = normal(*window.kernel, channels // group, outputs), GraphBuilder()
    x = b.input((7, 8, channels))
    shape = (*window.out((7, 8)), outputs)
    lists: dict[str, Any] = {key: list(getattr(window, key)) for key in ("stride", "dilation", "pads")}
    b.output(b.op(nn.ConvOp, [x], shape, weight=weight, bias=normal(outputs, seed=1), group=group, **lists))
    return b.graph(), weight


def unrolled(name: str, x: Array, weight: Array) -> Array:
    """Return the convolution as loops over outputs and taps say it."""
    window, channels, outputs, group = CASES[name]
    shape = window.out(x.shape[1:3])
    result = np.zeros((len(x), *shape, outputs))
    for r, c, i, j, o in np.ndindex(*shape, *window.kernel, outputs):
        row = r * window.stride[0] + i * window.dilation[0] - window.pads[0]
        col = c * window.stride[1] + j * window.dilation[1] - window.pads[1]
        if 0 <= row < x.shape[1] and 0 <= col < x.shape[2]:
            first = o // (outputs // group) * (channels // group)
            taps = x[:, row, col, first : first + channels // group].astype(np.float64)
            result[:, r, c, o] += taps @ weight[i, j, :, o]
    return result + normal(outputs, seed=1)


def assert_near(graph: Graph, x: Array, wanted: Array, slack: float) -> None:
    """Compare value y with real numbers, `slack` a share of the largest."""
    op = next(op for op in graph.module.ops if isinstance(op, nn.Computed) and op.label.data == "y")
    code = code_of(op.out)
    found = (Evaluator(graph, ["y"]).run({"x": x})["y"].astype(np.int64) - code.zero.data) * code.scale.data
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= slack * np.abs(wanted).max()


@pytest.mark.parametrize("name", CASES)
def test_a_layer_computes_the_unrolled_product(name: str) -> None:
    graph, weight = convolution(name)
    x = normal(3, 7, 8, CASES[name][1], seed=5)
    lower = lowered(graph, {"x": x}, "im2col", im2col="depthwise=channels")
    (layer,) = layers(lower)
    assert layer.weight is not None
    matrix = lower.weights.get(layer.weight)
    group, rows, cols = matrix.shape
    assert (group, rows * group * cols) == (CASES[name][3], weight.size)
    assert sorted(matrix.ravel().tolist()) == sorted(weight.ravel().tolist())
    assert_near(lower, x, unrolled(name, x, weight), 0.02)


@pytest.mark.parametrize("zero", [0, -127])
@pytest.mark.parametrize("name", DEPTHWISE)
def test_a_depthwise_layer_in_the_digital_unit_computes_the_same(name: str, zero: int) -> None:
    graph, weight = convolution(name)
    x = np.abs(normal(3, 7, 8, 4, seed=5))
    calibrate = f"inputs={'full' if zero else 'symmetric'}"
    lower = lowered(graph, {"x": x}, "im2col", im2col="depthwise=digital", calibrate=calibrate)
    (op,) = (op for op in lower.module.ops if isinstance(op, xbar.DepthwiseOp))
    assert code_of(op.x).zero.data == zero
    assert_near(lower, x, unrolled(name, x, weight), 0.02)


@pytest.mark.parametrize("name", CASES)
def test_the_whole_road_computes_the_same(name: str) -> None:
    graph, weight = convolution(name)
    x = normal(3, 7, 8, CASES[name][1], seed=5)
    lower = lowered(
        graph,
        {"x": x},
        target=chip(array__tiles=16, array__rows=10, array__columns=5),
        column_ranges="device_sigma=0.0",
    )
    assert_near(lower, x, unrolled(name, x, weight), 0.05)


@pytest.mark.parametrize(("rows", "columns", "held"), [(1000, 100, 4), (1000, 3, 2), (20, 100, 2), (12, 100, 1)])
@pytest.mark.parametrize("name", DEPTHWISE)
def test_a_depthwise_layer_in_the_array_is_block_diagonal(name: str, rows: int, columns: int, held: int) -> None:
    graph, weight = convolution(name)
    multiplier = weight.shape[3] // 4
    held = min(held, max(columns // multiplier, 1))
    x = normal(3, 7, 8, 4, seed=5)
    target = chip(array__rows=rows, array__columns=columns)
    lower = lowered(graph, {"x": x}, "im2col", target, im2col="depthwise=array")
    (layer,) = layers(lower)
    assert layer.weight is not None and int_value(layer.diagonal) == held  # type: ignore[arg-type]
    matrix = lower.weights.get(layer.weight)
    assert matrix.shape == (4 // held, 9 * held, held * multiplier)
    assert np.count_nonzero(matrix) == weight.size
    assert_near(lower, x, unrolled(name, x, weight), 0.02)


DEAR_UNIT = {"digital__lanes": 1, "digital__cycle": 1000.0, "energy__multiply": 1e3}
DEAR_ARRAY = {"timing__phase": 1e6}


@pytest.mark.parametrize(("facts", "option", "digital"), [
    ({}, "auto", True),
    ({"digital__depthwise": False}, "auto", False),
    ({}, "array", False),
    ({}, "channels", False),
    ({"digital__depthwise": False}, "digital", True),
    (DEAR_UNIT, "auto", False),
    ({**DEAR_UNIT, **DEAR_ARRAY}, "auto", True),
    ({**DEAR_UNIT, "array__rows": 9, "array__columns": 3}, "auto", True),
    ({**DEAR_UNIT, "array__rows": 9, "array__columns": 4}, "auto", False),
])  # fmt: skip
def test_where_a_depthwise_layer_goes(facts: dict[str, Any], option: str, digital: bool) -> None:
    """By cost, where the target does not decide and there is room: four channels of 9 rows take 36."""
    graph, _ = convolution("depthwise")
    lower = lowered(graph, {"x": normal(2, 7, 8, 4)}, "im2col", chip(**facts), im2col=f"depthwise={option}")
    assert bool(layers(lower)) is not digital


@pytest.mark.parametrize(("columns", "wanted"), [(8, 0), (10, 1), (13, 2)])
def test_depthwise_layers_lie_on_the_array_where_the_packing_has_room(columns: int, wanted: int) -> None:
    """Blocks of 36 rows, as the tile has, and 4 columns, beside others of 5 columns; cells are free for one more."""
    b = GraphBuilder()
    x = b.input((6, 6, 4))
    deep = [{"weight": normal(3, 3, 1, 4, seed=seed), "group": 4, **SAME} for seed in (1, 2)]
    first = b.op(nn.ConvOp, [x], (6, 6, 4), label="first", **deep[0])
    second = b.op(nn.ConvOp, [first], (6, 6, 4), label="second", **deep[1])
    five = b.op(nn.DenseOp, [second], (6, 6, 5), label="five", weight=normal(4, 5, seed=3))
    b.output(b.op(nn.DenseOp, [five], (6, 6, 5), label="scores", weight=normal(5, 5, seed=3)))
    target = chip(**DEAR_UNIT, array__rows=36, array__columns=columns)
    placed = lowered(b.graph(), {"x": normal(2, 6, 6, 4)}, "place", target)
    assert len(layers(placed)) == 2 + wanted


def test_a_pointwise_layer_needs_no_window() -> None:
    for name, wanted in (("pointwise", False), ("pointwise with stride", True), ("pointwise with padding", True)):
        lower = lowered(convolution(name)[0], {"x": normal(2, 7, 8, 4)}, "im2col")
        assert bool(int_values(layers(lower)[0].window)) is wanted, name


@pytest.mark.parametrize("sided", ["auto", "offset", "positive"])
def test_padding_counts_as_zero_whatever_the_codes(sided: str) -> None:
    graph, weight = convolution("groups")
    x = np.abs(normal(3, 7, 8, 4, seed=5))
    options = {"calibrate": "inputs=full", "quantise": f"one_sided={sided}"}
    lower = lowered(graph, {"x": x}, "im2col", **options)
    assert_near(lower, x, unrolled("groups", x, weight), 0.02)


def test_devices_without_a_target_are_programmed_unless_they_are_to_be_skipped() -> None:
    graph, data = convolution("plain")[0], {"x": normal(4, 7, 8, 4)}
    said = [layers(lowered(graph.copy(), data, "im2col", **options))[0].skip_zeros for options in OPTIONS]
    assert [one is not None for one in said] == [False, True]
    with pytest.raises(CimcError, match=r"CIM0305.*im2col\{zeros\} is 'never'"):
        lowered(graph, data, "im2col", im2col="zeros=never")
