"""Every operation of dialect `nn` on floats, against numpy."""

from typing import Any

import numpy as np
import pytest
from evaluate.graphs import at_every_level, one, run_one
from numpy.typing import NDArray

from cimc.ir import functions, nn

Array = NDArray[Any]
N = 3


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolved(
    x: Array, weight: Array, stride: tuple[int, int], dilation: tuple[int, int], pads: Any, group: int
) -> Array:
    kh, kw, cpg, outputs = weight.shape
    x = np.pad(x, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)))
    oh = (x.shape[1] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (x.shape[2] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((len(x), oh, ow, outputs))
    for i, j, o in np.ndindex(kh, kw, outputs):
        first = o // (outputs // group) * cpg
        rows = slice(i * dilation[0], i * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
        cols = slice(j * dilation[1], j * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
        y[..., o] += x[:, rows, cols, first : first + cpg] @ weight[i, j, :, o]
    return y


@pytest.mark.parametrize(
    ("stride", "dilation", "pads", "group"),
    [
        ((1, 1), (1, 1), (0, 0, 0, 0), 1),
        ((2, 3), (1, 1), (1, 0, 2, 1), 1),
        ((1, 2), (2, 1), (2, 1, 0, 1), 2),
        ((1, 1), (1, 2), (0, 2, 1, 2), 4),
    ],
)
def test_conv(stride: Any, dilation: Any, pads: Any, group: int) -> None:
    x, weight, bias = random(N, 7, 8, 4), random(3, 2, 4 // group, 8, seed=1), random(8, seed=2)
    wanted = np.maximum(convolved(x, weight, stride, dilation, pads, group) + bias, 0.0)
    properties = {"stride": stride, "dilation": dilation, "pads": pads, "group": group, "clamp": [0.0, nn.UNBOUNDED]}
    graph = one(nn.ConvOp, [((7, 8, 4), None)], wanted.shape[1:], weight=weight, bias=bias, **properties)
    for found in at_every_level(graph, x):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("lead", [(), (5,), (2, 3)])
def test_dense(lead: tuple[int, ...]) -> None:
    x, weight, bias = random(N, *lead, 6), random(6, 4, seed=1), random(4, seed=2)
    graph = one(nn.DenseOp, [((*lead, 6), None)], (*lead, 4), weight=weight, bias=bias, clamp=[-1.0, 1.0])
    np.testing.assert_allclose(run_one(graph, x), np.clip(x @ weight + bias, -1, 1), rtol=1e-5, atol=1e-5)


def test_affine() -> None:
    x, scale, bias = random(N, 4, 5, 6), random(1, 5, 6, seed=1), random(4, 1, 1, seed=2)
    graph = one(nn.AffineOp, [((4, 5, 6), None)], (4, 5, 6), scale=scale, bias=bias)
    np.testing.assert_allclose(run_one(graph, x), x * scale + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, nn.UNBOUNDED), (0.0, 0.5), (-0.5, 0.5), (-nn.UNBOUNDED, 0.25), (-nn.UNBOUNDED, nn.UNBOUNDED)],
)
def test_clamp(low: float, high: float) -> None:
    x = random(N, 50)
    graph = one(nn.ClampOp, [((50,), None)], (50,), low=low, high=high)
    np.testing.assert_array_equal(run_one(graph, x), np.clip(x, np.float32(low), np.float32(high)))


def parameters_of(function: str) -> list[float]:
    """Return parameters for a function: its operator's defaults, or one further input."""
    known = functions.FUNCTIONS[function]
    if known.attributes:
        return list(known.attributes.values())
    if function in ("power", "visible"):
        return [-0.75, 2.0, 0.25] if function == "power" else [-3000.0, 900.0]
    return [0.5] if known.operator in functions.COMPARISONS else []


@pytest.mark.parametrize("function", sorted(functions.FUNCTIONS))
def test_unary(function: str) -> None:
    """Wherever onnxruntime has a value, ours is the same; everywhere else ours is finite."""
    x, parameters = 2 * random(N, 40), parameters_of(function)
    x[0, :3] = 0.0, 0.5, 1.0
    graph = one(nn.UnaryOp, [((40,), None)], (40,), function=function, parameters=parameters)
    found, ours = run_one(graph, x), functions.apply(function, x.astype(np.float64), tuple(parameters))
    defined = np.isfinite(found)
    assert defined.sum() > 10 and np.isfinite(ours).all()
    np.testing.assert_allclose(found[defined], ours[defined], rtol=1e-5, atol=2e-6)


BINARY = [(nn.AddOp, np.add), (nn.SubOp, np.subtract), (nn.MulOp, np.multiply), (nn.DivOp, np.divide)]


@pytest.mark.parametrize(("kind", "function"), BINARY)
def test_binary_broadcasts(kind: Any, function: Any) -> None:
    a, b = random(N, 4, 1, 6), random(N, 5, 1, seed=1)
    graph = one(kind, [((4, 1, 6), None), ((5, 1), None)], (4, 5, 6), clamp=[-1.0, 2.0])
    np.testing.assert_allclose(run_one(graph, a, b), np.clip(function(a, b[:, None]), -1, 2), rtol=1e-6)


def windows(x: Array, kernel: Any, stride: Any, dilation: Any, pads: Any) -> Array:
    """Return [N, oh, ow, C, kh, kw] of x, with NaN outside."""
    x = np.pad(x, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)), constant_values=np.nan)
    span = [dilation[a] * (kernel[a] - 1) + 1 for a in (0, 1)]
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=(1, 2))
    return view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


GEOMETRIES = [
    ((2, 2), (2, 2), (1, 1), (0, 0, 0, 0)),
    ((3, 3), (2, 1), (1, 1), (1, 1, 1, 1)),
    ((2, 3), (1, 2), (2, 1), (1, 0, 2, 2)),
    ((6, 7), (1, 1), (1, 1), (0, 0, 0, 0)),
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_max_pool(geometry: Any) -> None:
    x = random(N, 6, 7, 3) - 3
    wanted = np.nanmax(windows(x, *geometry), axis=(-2, -1))
    properties = dict(zip(("kernel", "stride", "dilation", "pads"), geometry, strict=True))
    graph = one(nn.MaxPoolOp, [((6, 7, 3), None)], wanted.shape[1:], **properties)
    for found in at_every_level(graph, x):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("counting", ["none", "all", "some"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_avg_pool_counts_taps_in_counted_pads(geometry: Any, counting: str) -> None:
    x, pads = random(N, 6, 7, 3), geometry[3]
    counted = {"none": (0, 0, 0, 0), "all": pads, "some": tuple(min(pad, 1) for pad in pads)}[counting]
    inside = np.pad(np.ones_like(x), ((0, 0), (counted[0], counted[2]), (counted[1], counted[3]), (0, 0)))
    rest = [pad - part for pad, part in zip(pads, counted, strict=True)]
    inside[:, : counted[0]] = inside[:, :, : counted[1]] = 1
    inside = np.where(inside == 0, 1.0, inside)
    sums = np.nansum(windows(x, *geometry), axis=(-2, -1))
    wanted = sums / np.nansum(windows(inside, *geometry[:3], rest), axis=(-2, -1))
    properties = dict(zip(("kernel", "stride", "dilation", "pads"), geometry, strict=True))
    graph = one(nn.AvgPoolOp, [((6, 7, 3), None)], wanted.shape[1:], counted=counted, **properties)
    for found in at_every_level(graph, x):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_softmax_is_over_the_last_axis() -> None:
    x = random(N, 4, 5)
    e = np.exp(x.astype(np.float64))
    graph = one(nn.SoftmaxOp, [((4, 5), None)], (4, 5))
    np.testing.assert_allclose(run_one(graph, x), e / e.sum(-1, keepdims=True), rtol=1e-5)


def test_concat() -> None:
    a, b = random(N, 2, 3), random(N, 2, 4, seed=1)
    graph = one(nn.ConcatOp, [((2, 3), None), ((2, 4), None)], (2, 7), axis=1)
    np.testing.assert_array_equal(run_one(graph, a, b), np.concatenate([a, b], axis=2))


def test_pad() -> None:
    x = random(N, 2, 3)
    graph = one(nn.PadOp, [((2, 3), None)], (5, 4), before=[1, 0], after=[2, 1], value=-1.5)
    np.testing.assert_array_equal(run_one(graph, x), np.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=-1.5))


def test_reshape() -> None:
    x = random(N, 4, 6)
    np.testing.assert_array_equal(run_one(one(nn.ReshapeOp, [((4, 6), None)], (3, 8)), x), x.reshape(N, 3, 8))


def test_transpose() -> None:
    x = random(N, 2, 3, 4)
    graph = one(nn.TransposeOp, [((2, 3, 4), None)], (4, 2, 3), order=[2, 0, 1])
    np.testing.assert_array_equal(run_one(graph, x), x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("axis", [0, 1])
def test_pick(axis: int) -> None:
    x, places = random(N, 3, 4), np.array([2, 0, 0, 1], np.int32)
    shape = (4, 4) if axis == 0 else (3, 4)
    graph = one(nn.PickOp, [((3, 4), None)], shape, indices=places, axis=axis)
    np.testing.assert_array_equal(run_one(graph, x), np.take(x, places, axis + 1))


@pytest.mark.parametrize(("pick", "tie", "wanted"), [(0, 0, [1, 0]), (0, 1, [3, 2]), (1, 0, [2, 0]), (1, 1, [2, 2])])
def test_arg_max(pick: int, tie: int, wanted: list[int]) -> None:
    x = np.array([[[0, 5, -1, 5], [7, 8, 7, 9]]], np.float32)
    x[0, 1] = [4, 4, 4, 9] if pick == 1 else [9, 4, 9, 4]
    graph = one(nn.ArgMaxOp, [((2, 4), None)], (2, 1), which=pick, tie=tie)
    assert run_one(graph, x).reshape(-1).tolist() == wanted


def test_slice_steps_both_ways() -> None:
    x = random(N, 7, 5)
    graph = one(nn.SliceOp, [((7, 5), None)], (3, 5), begin=[1, 4], step=[2, -1])
    np.testing.assert_array_equal(run_one(graph, x), x[:, 1:7:2, ::-1])
