"""The integers that passes put into a program are the nearest to exact rationals, ties to even: not floors of doubles.

Scales, weights and biases here are whole multiples of powers of two, so that doubles hold every product before it is
rounded and Fraction says what the nearest integer is.
"""

import math
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder, codes
from hypothesis import given, settings
from hypothesis import strategies as st
from targets.stages import SAME, chip, layers, normal, perceptron, through
from targets.stages import lowered as lowered_for_chip

from cimc.ir import nn, xbar
from cimc.ir.attributes import int_value
from cimc.ir.types import CodeType, code_of
from cimc.isa.errors import CimcError
from cimc.isa.limits import ACCUMULATOR_LIMIT, MULTIPLIER_BITS, SHIFT_HIGHEST
from cimc.passes.conductance import Conductance, _Product
from cimc.passes.digital.digital import Digital
from cimc.passes.im2col import Im2col
from cimc.passes.requantise import multipliers, offsets, quantised, quotient_multiplier

RATIOS = st.floats(2.0**-46, 2.0**16 - 1).map(lambda x: math.copysign(x, math.sin(x)))
TIES = st.integers(1 << 15, (1 << 16) - 2).map(lambda m: math.ldexp(2 * m + 1, -20))
"""Ratios halfway between two multipliers of 16 bits."""


def nearest(value: Fraction) -> int:
    """Return the nearest integer, ties to even."""
    return round(value)


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.one_of(RATIOS, TIES), min_size=1, max_size=3))
def test_multipliers_are_nearest_and_as_long_as_they_can_be(ratios: list[float]) -> None:
    found, shift = multipliers(np.array(ratios), "y")
    assert found.tolist() == [nearest(Fraction(ratio) * 2**shift) for ratio in ratios]
    largest = max(map(abs, found.tolist()))
    assert largest.bit_length() == MULTIPLIER_BITS or (largest < 1 << MULTIPLIER_BITS and shift == SHIFT_HIGHEST)


@pytest.mark.parametrize(
    ("ratio", "wanted"),
    [
        (65535.0, (65535, 0)),
        (65535.0 + 0.49, (65535, 0)),
        (32767.75, (32768, 0)),  # 65535.5 would round to 17 bits
        (0.0, (0, 15)),
        (2.0**-47, (1 << 15, 62)),
        (2.0**-48, (1 << 15, 63)),
        (2.0**-49, (1 << 14, 63)),
        (1.5 * 2.0**-64, (1, 63)),
    ],
)
def test_multipliers_at_the_ends(ratio: float, wanted: tuple[int, int]) -> None:
    found, shift = multipliers(np.array([ratio]), "y")
    assert (int(found[0]), shift) == wanted


@pytest.mark.parametrize(
    ("ratio", "added", "wanted"),
    [
        (2.0**-22, 32767.0, (1 << 15, 37)),  # 32767 x 2^37 is just below 2^52
        (2.0**-23, 32767.0, (1 << 13, 36)),
        (2.0**-23, -32767.0, (1 << 13, 36)),
        (2.0**-60, 32767.0, (0, 36)),
    ],
)
def test_what_is_added_fits_the_accumulator(ratio: float, added: float, wanted: tuple[int, int]) -> None:
    """Of ratios that small, what is multiplied is far below a step."""
    found, shift = multipliers(np.array([ratio]), "y", added=np.array([0.0, added]))
    assert (int(found[0]), shift) == wanted
    assert abs(int(offsets(np.array([added]), shift, "y")[0])) < ACCUMULATOR_LIMIT


@pytest.mark.parametrize("ratio", [65535.5, 65536.0, math.inf, math.nan])
def test_ratios_without_a_multiplier_are_refused(ratio: float) -> None:
    with pytest.raises(CimcError, match=r"CIM0304.*'y'.*16-bit multiplier"):
        multipliers(np.array([ratio]), "y")


@settings(derandomize=True, max_examples=40)
@given(st.one_of(st.floats(2.0**-70, 2.0**31), TIES))
def test_multipliers_of_quotients_are_nearest(ratio: float) -> None:
    found, shift = quotient_multiplier(ratio, "y")
    assert found == nearest(Fraction(ratio) * 2**shift)
    assert 2**31 <= found <= 2**32 or (found < 2**31 and shift == SHIFT_HIGHEST)


@pytest.mark.parametrize("ratio", [0.0, -1.0, 2.0**33, math.inf, math.nan])
def test_quotients_without_a_multiplier_are_refused(ratio: float) -> None:
    with pytest.raises(CimcError, match="CIM0304"):
        quotient_multiplier(ratio, "y")


HALVES = st.integers(-(2**30), 2**30).map(lambda n: n + 0.5)


@settings(derandomize=True, max_examples=40)
@given(st.lists(st.one_of(st.floats(-(2.0**30), 2.0**30), HALVES), min_size=1, max_size=4), st.integers(0, 20))
def test_offsets_are_nearest(values: list[float], shift: int) -> None:
    assert offsets(np.array(values), shift, "y").tolist() == [nearest(Fraction(v) * 2**shift) for v in values]
    assert offsets(np.array(values), 0, "y").tolist() == [nearest(Fraction(v)) for v in values]


def test_offsets_end_where_the_accumulator_does() -> None:
    most = ACCUMULATOR_LIMIT - 1
    assert offsets(np.array([most, -most], np.float64), 0, "y").tolist() == [most, -most]
    for beyond in (ACCUMULATOR_LIMIT, -ACCUMULATOR_LIMIT, math.inf, math.nan):
        with pytest.raises(CimcError, match=r"CIM0304.*52-bit accumulator"):
            offsets(np.array([0.0, beyond]), 0, "y")


@settings(derandomize=True, max_examples=40)
@given(st.lists(st.integers(-600, 600).map(lambda n: n / 2), min_size=1), st.integers(-100, 100), st.integers(-4, 4))
def test_codes_are_nearest_and_clamped(values: list[float], zero: int, power: int) -> None:
    code = CodeType.of(8, -128, 127, zero, 2.0**power)
    wanted = [min(max(nearest(Fraction(v) / Fraction(2) ** power) + zero, -128), 127) for v in values]
    assert quantised(np.array(values), code).tolist() == wanted


X = CodeType.of(8, -128, 127, 37, 2.0**-4)
Z = CodeType.of(8, -128, 127, -21, 2.0**-6)
Y = CodeType.of(8, -128, 127, -9, 3 * 2.0**-5)
"""Codes with zero points; no multiplier to Y is a power of two."""
RX, RZ, RY = (Fraction(code.scale.data) for code in (X, Z, Y))


def lowered(kind: Any, operands: list[tuple[tuple[int, ...], CodeType]], shape: tuple[int, ...], **properties: Any):  # type: ignore[no-untyped-def]
    """Return the tile operation that one operation with a result in Y becomes, and its graph."""
    b = GraphBuilder()
    inputs = [b.input(of, code, label) for (of, code), label in zip(operands, "xz", strict=False)]
    b.output(b.op(kind, inputs, shape, Y, **properties))
    graph = through(b.graph(), Digital())
    made = next(op for op in graph.module.ops if isinstance(op, nn.Computed) and op.label.data == "y")
    return made, graph.weights


def tables(made: Any, weights: Any) -> tuple[list[int], list[int], int]:
    """Return multipliers, offsets and shift."""
    scale, offset = (weights.get(ref).ravel().tolist() for ref in (made.scale, made.offset))
    return scale, offset, int_value(made.shift)


def require_nearest(found: list[int], shift: int, ratios: list[Fraction]) -> None:
    """Fail unless each multiplier is the nearest to its ratio; doubles round the ratio once or twice before."""
    for m, ratio in zip(found, ratios, strict=True):
        assert abs(m - ratio * 2**shift) <= Fraction(1, 2) + Fraction(1, 2**30)


def test_constants_of_an_affine_map() -> None:
    scale, bias = np.array([0.75, -1.25, 3.0], np.float32), np.array([0.375, -2.0, 0.09375], np.float32)
    constants = {"scale": scale[np.newaxis], "bias": bias[np.newaxis]}
    made, weights = lowered(nn.AffineOp, [((2, 3), X)], (2, 3), **constants)
    found, offset, shift = tables(made, weights)
    require_nearest(found, shift, [Fraction(float(s)) * RX / RY for s in scale])
    wanted = [nearest((Fraction(float(b)) / RY - 9) * 2**shift) - 37 * m for b, m in zip(bias, found, strict=True)]
    assert offset == wanted


def test_constants_of_a_requantisation_and_a_clamp() -> None:
    for kind, facts in ((nn.RequantiseOp, {}), (nn.ClampOp, {"low": -1.0, "high": 2.0})):
        (m,), (offset,), shift = tables(*lowered(kind, [((4,), X)], (4,), **facts))
        require_nearest([m], shift, [RX / RY])
        assert offset == -9 * 2**shift - 37 * m


@pytest.mark.parametrize(("kind", "sign"), [(nn.AddOp, 1), (nn.SubOp, -1)])
def test_constants_of_a_sum(kind: Any, sign: int) -> None:
    made, _ = lowered(kind, [((4,), X), ((4,), Z)], (4,))
    ma, mb, shift = (int_value(part) for part in (made.ma, made.mb, made.shift))
    require_nearest([ma, mb], shift, [RX / RY, sign * RZ / RY])
    assert int_value(made.bias) == -9 * 2**shift - 37 * ma + 21 * mb


def test_constants_of_a_product_and_a_quotient() -> None:
    made, _ = lowered(nn.MulOp, [((4,), X), ((4,), Z)], (4,))
    require_nearest([int_value(made.m)], int_value(made.shift), [RX * RZ / RY])
    assert int_value(made.bias) == -9 << int_value(made.shift)
    assert (int_value(made.za), int_value(made.zb)) == (37, -21)
    made, _ = lowered(nn.DivOp, [((4,), X), ((4,), Z)], (4,))
    require_nearest([int_value(made.m)], int_value(made.shift), [RX / RZ / RY])
    assert [int_value(part) for part in (made.za, made.zb, made.zero)] == [37, -21, -9]


def test_constants_of_an_average() -> None:
    geometry = SAME | {"kernel": [3, 3], "stride": [2, 2], "counted": [0, 0, 0, 0]}
    found, offset, shift = tables(*lowered(nn.AvgPoolOp, [((4, 4, 2), X)], (2, 2, 2), **geometry))
    require_nearest(found, shift, [RX / RY / taps for taps in (4, 6, 6, 9)])
    assert offset == [-9 * 2**shift - 37 * 9 * m for m in found]


def test_constants_of_a_depthwise_layer() -> None:
    taps = np.array([[127, -3], [64, 127], [-1, 5], [0, -127]], np.float32).reshape(2, 2, 1, 2) * 2.0**-7
    bias = np.array([0.375, -1.5], np.float32)
    b = GraphBuilder()
    facts = {"weight": taps, "bias": bias, "group": 2, "stride": [1, 1], "dilation": [1, 1], "pads": [0, 0, 0, 0]}
    b.output(b.op(nn.ConvOp, [b.input((3, 3, 2), X)], (2, 2, 2), Y, **facts))
    graph = through(b.graph(), Im2col(chip(), "digital"))
    (made,) = (op for op in graph.module.ops if isinstance(op, xbar.DepthwiseOp))
    found, offset, shift = tables(made, graph.weights)
    codes = graph.weights.get(made.weights).reshape(4, 2).astype(int)
    assert codes.tolist() == (taps.reshape(4, 2) * 2**7).tolist()
    require_nearest(found, shift, [RX / 2**7 / RY] * 2)
    for column in (0, 1):
        whole = nearest((Fraction(float(bias[column])) / RY - 9) * 2**shift)
        assert offset[column] == whole - 37 * int(codes[:, column].sum()) * found[column]


def test_constants_of_a_layer_on_the_array() -> None:
    """B = round((bias / scale + zero) 2^k) - round(zero point of the input times what an input of 1 gives)."""
    data = {"x": np.abs(normal(20, 30))}
    options = {"calibrate": "inputs=full", "quantise": "one_sided=offset"}
    target = chip(array__tiles=30, array__rows=16, array__columns=6)
    graph = lowered_for_chip(perceptron(30, 10, 4), data, "conductance", target, **options)
    biases = [normal(10, seed=50), normal(4, seed=51)]
    for op, bias in zip(layers(graph), biases, strict=True):
        x, y, shift = code_of(op.x), code_of(op.out), int_value(op.shift)
        assert op.row_cuts is not None and x.zero.data != 0
        cuts, levels = op.row_cuts.get_values(), graph.weights.get(op.conductance)[0].astype(int)
        scale, offset = (graph.weights.get(ref).reshape(-1, levels.shape[1]).tolist() for ref in (op.scale, op.offset))
        gain = Fraction(int_value(op.adc_multiplier), 2 ** int_value(op.adc_shift))
        for column, real in enumerate(bias):
            sums = [int(levels[a:b, column].sum()) for a, b in pairwise(cuts)]
            ones = sum(s * gain * row[column] for s, row in zip(sums, scale, strict=True))
            whole = nearest((Fraction(float(real)) / Fraction(y.scale.data) + y.zero.data) * 2**shift)
            assert offset[0][column] == whole - nearest(x.zero.data * ones)


def test_what_an_accumulator_reaches_counts_every_code_of_its_adcs() -> None:
    target = chip(array__rows=16)
    graph = lowered_for_chip(perceptron(30, 10), {"x": normal(20, 30)}, "conductance", target)
    (op,) = layers(graph)
    assert op.scale is not None and op.offset is not None
    scale, offset = (np.abs(graph.weights.get(ref).astype(np.int64)) for ref in (op.scale, op.offset))
    worst = (scale * max(target.adc_range.high, -target.adc_range.low)).sum(axis=1).ravel() + offset
    assert Conductance(target)._accumulated(graph, op, 1 << 20) >= worst.max()


@pytest.mark.parametrize(("low", "high", "largest"), [(-8, 7, 40), (-7, 7, 35), (0, 15, 75)])
def test_the_largest_sum_is_of_the_largest_magnitude_of_a_code(low: int, high: int, largest: int) -> None:
    reader: Any = SimpleNamespace(x=GraphBuilder().input((2,), codes(low, high)))
    magnitudes = np.array([5, 3])
    assert _Product(reader, np.ones(2), (1 << 15, 15), magnitudes, magnitudes, 0 * magnitudes).largest_sum == largest
