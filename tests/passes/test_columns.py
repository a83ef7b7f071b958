"""split, column-ranges, conductance and compensation: from real weights to device targets."""

import os
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from hypothesis import given
from hypothesis import strategies as st
from targets.stages import SAME, Array, chip, emitted, layers, lowered, normal, perceptron

from cimc.evaluate import Evaluator
from cimc.ir import cores, nn
from cimc.ir.attributes import int_value, int_values
from cimc.ir.facts import GAIN, PEAKS
from cimc.ir.graph import Graph
from cimc.ir.types import code_of
from cimc.ir.xbar import MvmOp
from cimc.isa.errors import CimcError
from cimc.passes.gains import UNITY_GAIN, gains_by_tile, normalised_gain, short
from cimc.passes.ranges import rounded
from cimc.passes.split import balanced_cuts

SMALL = chip(array__tiles=30, array__rows=16, array__columns=6)
DATA = {"x": normal(40, 30)}


def network() -> Graph:
    return perceptron(30, 10, 4)


def input_codes(graph: Graph, op: MvmOp) -> Array:
    """Return the vectors that a dense layer reads from DATA."""
    label = op.x.owner.label.data  # type: ignore[union-attr]
    return Evaluator(graph, [label]).run(DATA)[label].reshape(-1, op.matrix[1]).astype(np.int64)


def array_sums(graph: Graph, op: MvmOp, matrix: Array) -> Array:
    """Return the sums [row block, vector, column] of codes times a matrix (rows, cols)."""
    x = input_codes(graph, op)
    return np.stack([x[:, a:b] @ matrix[a:b] for a, b in pairwise(int_values(op.row_cuts))])


def full_scale(op: MvmOp, weight: Array, shared: bool = False) -> Array:
    parts = []
    for a, b in pairwise(int_values(op.row_cuts)):
        largest = np.abs(weight[a:b]).max(axis=None if shared else 0)
        parts.append(np.rint(weight[a:b].astype(np.float64) * 508 / largest))
    return np.concatenate(parts)


@given(st.integers(1, 5000), st.integers(1, 1100))
def test_cuts_are_few_and_equal(size: int, limit: int) -> None:
    cuts = balanced_cuts(size, limit)
    parts = np.diff(cuts)
    assert (cuts[0], cuts[-1], len(parts)) == (0, size, -(-size // limit))
    assert 0 < parts.min() <= parts.max() <= min(limit, parts.min() + 1)


@pytest.mark.parametrize("per", ["column", "block"])
def test_peaks_are_those_of_brute_force(per: str) -> None:
    graph = lowered(network(), DATA, "column-ranges", SMALL, column_ranges=f"per={per}")
    for op in layers(graph):
        weight = graph.weights.get(op.weight)[0]
        largest = np.abs(array_sums(graph, op, full_scale(op, weight, per == "block"))).max(axis=1)
        if per == "block":
            largest[:] = largest.max(axis=1, keepdims=True)
        wanted = [int(rounded(float(peak))) for peak in largest.ravel()]
        assert graph.weights.get(PEAKS.of(op)).ravel().tolist() == wanted


@pytest.mark.parametrize("samples", [1, 7])
def test_only_the_wanted_samples_are_looked_at(samples: int) -> None:
    option = f"samples={samples}"
    kept = lowered(network(), DATA, "split", SMALL)
    cut = lowered(network(), DATA, "column-ranges", SMALL, column_ranges=option)
    for op, plain in zip(layers(cut), layers(kept), strict=True):
        sums = array_sums(kept, plain, full_scale(plain, kept.weights.get(plain.weight)[0]))[:, :samples]
        wanted = [int(rounded(float(peak))) for peak in np.abs(sums).max(axis=1).ravel()]
        assert cut.weights.get(PEAKS.of(op)).ravel().tolist() == wanted


def test_peaks_of_a_convolution_see_padding_and_groups() -> None:
    """A kernel that picks one corner of padded data: its peak is the largest pixel that ever comes there."""
    weight, b = np.zeros((3, 3, 1, 2), np.float32), GraphBuilder()
    weight[0, 0, 0, 0], weight[2, 2, 0, 1] = 1.0, -2.0
    x = b.input((3, 3, 2))
    b.output(b.op(nn.ConvOp, [x], (3, 3, 2), weight=weight, group=2, **SAME))
    pixels = np.full((1, 3, 3, 2), 0.5, np.float32)
    pixels[0, 2, 2, :], pixels[0, 0, 0, :] = 1.0, -1.0
    options = {"im2col": "depthwise=array", "calibrate": "inputs=symmetric"}
    graph = lowered(b.graph(), {"x": pixels}, "column-ranges", **options)
    (op,) = layers(graph)
    # The first kernel never sees the last pixel (1.0), but the first one (-1.0); the second the other way round.
    assert graph.weights.get(PEAKS.of(op)).ravel().tolist() == [int(rounded(127 * 508.0))] * 2


def test_padding_enters_a_peak_as_the_zero_point() -> None:
    b, weight = GraphBuilder(), np.ones((3, 3, 1, 1), np.float32)
    b.output(b.op(nn.ConvOp, [b.input((1, 1, 1))], (1, 1, 1), weight=weight, group=1, **SAME))
    data = {"x": np.array([0.0, 1.0], np.float32).reshape(2, 1, 1, 1)}
    graph = lowered(b.graph(), data, "column-ranges", calibrate="inputs=full")
    peaks = graph.weights.get(PEAKS.of(layers(graph)[0]))
    assert peaks.ravel().tolist() == [int(rounded(9 * 127 * 508.0))]


@given(st.floats(2.0**-30, 0.99))
def test_the_gain_is_normalised_and_near(ratio: float) -> None:
    multiplier, shift = normalised_gain(ratio)
    assert 1 << 15 <= multiplier < 1 << 16
    assert abs(multiplier / 2.0**shift / ratio - 1.0) <= 2.0**-16


@given(st.floats(2.0**-30, 0.99))
def test_a_short_gain_is_a_multiple_of_two_to_the_minus_17_where_that_is_cheap(ratio: float) -> None:
    found = short(ratio)
    assert abs(found / ratio - 1.0) <= 1 / 31
    multiplier, shift = normalised_gain(found)
    assert ratio < 16 / 2**17 or (multiplier / 2.0**shift * 2**17).is_integer()


@pytest.mark.parametrize("options", [{}, {"column_ranges": "per=block"}, {"column_ranges": "device_sigma=0.0"},
                                     {"quantise": "one_sided=offset", "calibrate": "inputs=full"}])  # fmt: skip
def test_conductances_fit_and_no_calibration_sum_clips(options: dict[str, str]) -> None:
    graph = lowered(network(), DATA, "conductance", SMALL, **options)
    for op in layers(graph):
        levels = graph.weights.get(op.conductance)[0].astype(np.int64)
        assert np.abs(levels).max() <= 508
        gain = int_value(op.adc_multiplier) * 2.0 ** -int_value(op.adc_shift)
        reach = np.abs(array_sums(graph, op, levels)).max() * gain
        halves = 0.5 * np.abs(input_codes(graph, op)).sum(axis=1).max() * gain
        assert reach <= 127 * (1 + 2.0**-9) + halves


def gain_of(**options: str) -> float:
    multiplier, shift = GAIN.of(lowered(network(), DATA, "column-ranges", SMALL, **options).module)
    return float(multiplier / 2.0**shift)


def test_errors_of_devices_ask_for_a_wider_range_of_the_converters() -> None:
    usual, more = gain_of(), gain_of(column_ranges="device_sigma=5.0 device_growth=4.0")
    assert more < usual
    assert gain_of(column_ranges="device_growth=0.0") == usual


def test_some_column_uses_the_whole_device_range() -> None:
    graph = lowered(network(), DATA, "conductance", SMALL)
    assert max(np.abs(graph.weights.get(op.conductance)).max() for op in layers(graph)) == 508


@pytest.mark.parametrize("count", [1, 2, 5])
def test_layers_dealt_out_to_cores_give_the_same_program(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    want = emitted(lowered(network(), DATA, target=SMALL), SMALL).program
    monkeypatch.setattr(cores, "LARGE_BYTES", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert emitted(lowered(network(), DATA, target=SMALL), SMALL).program == want


@pytest.mark.parametrize("options", [{}, {"calibrate": "inputs=full", "quantise": "one_sided=offset"}])
def test_zero_in_gives_the_bias_out(options: dict[str, str]) -> None:
    data = {"x": np.append(np.abs(DATA["x"]), np.zeros((1, 30), np.float32), axis=0)}
    graph = lowered(network(), data, "conductance", SMALL, **options)
    op = layers(graph)[0]
    found = Evaluator(graph, ["d0"]).run({"x": np.zeros((1, 30), np.float32)})["d0"][0].astype(np.int64)
    code = code_of(op.out)
    bias = np.maximum(normal(10, seed=50), 0) / code.scale.data + code.zero.data
    scale = graph.weights.get(op.scale)[0] / 2.0 ** int_value(op.shift)
    converter = 0.5 * scale.sum(axis=0)
    assert np.all(np.abs(found - np.clip(bias, code.low.data, code.high.data)) <= converter + 0.51)


def test_a_column_of_zeros_stays_zero() -> None:
    weight, b = normal(30, 3), GraphBuilder()
    weight[:, 1] = 0.0
    b.output(b.op(nn.DenseOp, [b.input((30,))], (3,), weight=weight))
    graph = lowered(b.graph(), DATA, "conductance", SMALL)
    assert not graph.weights.get(layers(graph)[0].conductance)[0, :, 1].any()
    assert not Evaluator(graph).run(DATA)["out"][:, 1].any()


@pytest.mark.parametrize(("phases", "codes"), [(2, "symmetric"), (4, "unsigned"), (4, "symmetric")])
def test_peaks_are_those_of_the_largest_phase(phases: int, codes: str) -> None:
    target = chip(array__tiles=30, array__rows=16, array__columns=6, read_phases=phases, adc__codes=codes)
    graph = lowered(network(), DATA, "column-ranges", target)
    for op in layers(graph):
        matrix, x = full_scale(op, graph.weights.get(op.weight)[0]), input_codes(graph, op)
        sides = [matrix] if phases == 2 else [np.maximum(matrix, 0), np.maximum(-matrix, 0)]
        signs = [np.maximum(x, 0), np.maximum(-x, 0)]
        cuts = list(pairwise(int_values(op.row_cuts)))
        sums = [[inputs[:, a:b] @ side[a:b] for a, b in cuts] for inputs in signs for side in sides]
        wanted = [int(rounded(float(peak))) for peak in np.abs(sums).max(axis=(0, 2)).ravel()]
        assert graph.weights.get(PEAKS.of(op)).ravel().tolist() == wanted


def test_layers_share_a_gain_and_tiles_only_within_an_octave() -> None:
    """Columns of 400 and 2 inputs: their best full scales lie far apart, so they get gains and tiles of their own."""
    b, target = GraphBuilder(), chip(adc__gain="tile", array__tiles=9)
    x, few = b.input((400,)), b.input((2,), label="few")
    for value, rows in ((x, 400), (few, 2)):
        b.output(b.op(nn.DenseOp, [value], (4,), weight=normal(rows, 4), label=f"d{rows}"), f"out{rows}")
    graph = lowered(b.graph(), {"x": normal(40, 400), "few": normal(40, 2)}, target=target)
    wide, narrow = layers(graph)
    gains = [(int_value(op.adc_multiplier) * 2.0 ** -int_value(op.adc_shift)) for op in (wide, narrow)]
    assert 2.0 * gains[0] < gains[1]
    assert int_values(wide.blocks)[0] != int_values(narrow.blocks)[0]
    loads = [one for one in emitted(graph, target).program.instructions if one.name == "gain"]
    assert [(one.choice("scope"), one["tile"]) for one in loads] == [("tile", 0), ("tile", 1)]


def test_gains_group_by_octave() -> None:
    target, peaks = chip(adc__gain="tile"), {"a": 900.0, "b": 1000.0, "c": 40000.0, "none": 0.0}
    costs = {label: lambda scale, peak=peak: abs(scale - peak) for label, peak in peaks.items()}
    gains = gains_by_tile(peaks, costs, target)  # type: ignore[arg-type]
    assert gains["a"] == gains["b"] != gains["c"]
    assert gains["none"] == UNITY_GAIN


def test_a_unity_gain_leaves_all_conductances_full() -> None:
    graph = lowered(network(), DATA, "conductance", chip(adc__gain="unity", adc__bits=33))
    for op in layers(graph):
        assert (int_value(op.adc_multiplier), int_value(op.adc_shift)) == (1 << 15, 15)
        assert np.all(np.abs(graph.weights.get(op.conductance)).max(axis=1) == 508)


def test_an_accumulator_beyond_its_bound_names_the_layer() -> None:
    b = GraphBuilder()
    weight = np.full((9000, 2), 1.0, np.float32)
    b.output(b.op(nn.DenseOp, [b.input((9000,))], (2,), weight=weight, label="wide"))
    target = chip(array__rows=9000, adc__gain="unity", adc__bits=33, array__fraction_bits=6)
    with pytest.raises(CimcError, match=r"CIM0304.*'wide'"):
        lowered(b.graph(), {"x": np.ones((2, 9000), np.float32)}, "conductance", target)


@pytest.mark.parametrize("options", [{}, {"compensation": "active=1.0"}, {"compensation": "vectors=3"}])
def test_no_read_vector_clips_a_column(options: dict[str, Any]) -> None:
    graph = lowered(network(), DATA, "compensation", SMALL, **options)
    for op in layers(graph):
        vectors = graph.weights.get(op.vectors).astype(np.int64)
        levels = graph.weights.get(op.conductance)[0].astype(np.int64)
        gain = int_value(op.adc_multiplier) * 2.0 ** -int_value(op.adc_shift)
        sums = np.stack([vectors[:, a:b] @ levels[a:b] for a, b in pairwise(int_values(op.row_cuts))])
        codes = np.rint(sums * gain)
        assert 0 < np.abs(codes).max() < 127
        assert graph.weights.get(op.reference)[0].tolist() == np.abs(codes).sum(axis=1).tolist()


def test_without_vectors_a_program_carries_no_compensation() -> None:
    graph = lowered(network(), DATA, "compensation", SMALL, compensation="vectors=0")
    assert all(op.vectors is None and op.reference is None for op in layers(graph))
