"""Mapping strategies: cuts, copies, shared blocks and packing change where blocks lie, never what a program means."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from hypothesis import given, settings
from hypothesis import strategies as st
from targets.stages import (
    SAME,
    WINDOW,
    between,
    chip,
    emitted,
    layers,
    lowered,
    normal,
    perceptron,
    relowered,
    residual,
)

from cimc.backends.cost.counters import Counters, total
from cimc.backends.cost.counting import count
from cimc.backends.cost.observed import DataCounting
from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.noise.profiles.profile import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.reference import instructions as reference
from cimc.evaluate import Evaluator
from cimc.ir import nn
from cimc.ir.attributes import int_values, text
from cimc.ir.facts import PEAKS
from cimc.ir.graph import Graph
from cimc.ir.xbar import DepthwiseOp
from cimc.isa.binary import program_digest
from cimc.isa.errors import CimcError
from cimc.isa.program import Program
from cimc.passes.column_ranges import ColumnRanges
from cimc.passes.pipeline import Setting
from cimc.passes.place import require_cells
from cimc.passes.ranges import Ranges
from cimc.passes.split import balanced_cuts, greedy_cuts
from cimc.targets import Target

MANY = chip(array__tiles=60, array__rows=20, array__columns=6)
DATA = {"x": normal(3, 6, 6, 3)}


def outputs(program: Program, data: dict[str, Any], noise: Noise | None = None) -> np.ndarray[Any, Any]:
    """Return the codes of the one output, the same from the interpreter and, for one sample, from the reference."""
    codes = {port.name: ports.quantise(port, data[port.name]) for port in program.inputs}
    (found,) = Interpreter(program, noise=noise).run(codes).values()
    one = {name: array[0].ravel().tolist() for name, array in codes.items()}
    (literal,) = reference.run(program, one, noise=noise).values()
    assert found[0].ravel().tolist() == literal
    return found


def proved(graph: Graph, data: dict[str, Any], target: Target) -> np.ndarray[Any, Any]:
    """Return the output codes of a scheduled graph's program, which equal those of the graph."""
    (end,) = (op for op in graph.operations if isinstance(op, nn.OutputOp))
    label = end.x.owner.label.data  # type: ignore[union-attr]
    found = outputs(emitted(graph, target).program, data)
    assert np.array_equal(found.astype(np.int64), np.rint(Evaluator(graph, [label]).run(data)[label]).astype(np.int64))
    return found


@given(st.integers(1, 3000), st.integers(1, 300))
def test_cuts_leave_no_part_larger_than_a_tile(size: int, limit: int) -> None:
    for cuts in (balanced_cuts(size, limit), greedy_cuts(size, limit)):
        parts = np.diff(cuts)
        assert cuts[0] == 0 and cuts[-1] == size and len(parts) == -(-size // limit)
        assert parts.min() > 0 and parts.max() <= limit
    assert np.ptp(np.diff(balanced_cuts(size, limit))) <= 1
    assert set(np.diff(greedy_cuts(size, limit))[:-1]) <= {limit}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"split": "rows=greedy columns=greedy"},
        {"place": "pack=tile"},
        {"replicate": "tiles=-1"},
        {"replicate": "tiles=7", "split": "rows=greedy"},
        {"im2col": "depthwise=array", "replicate": "tiles=-1"},
        {"im2col": "depthwise=channels"},
    ],
    ids=str,
)
def test_every_mapping_is_what_its_graph_says(options: dict[str, str]) -> None:
    proved(lowered(residual(), DATA, target=MANY, **options), DATA, MANY)


def test_copies_and_packing_change_no_bit() -> None:
    plain = proved(lowered(residual(), DATA, target=MANY), DATA, MANY)
    for options in ({"replicate": "tiles=-1"}, {"replicate": "tiles=5"}, {"place": "pack=tile"}):
        assert np.array_equal(plain, proved(lowered(residual(), DATA, target=MANY, **options), DATA, MANY))


COUNTED = ("conversions", "macs", "cells", "row_slots", "row_on", "pulse", "charge", "adc_mag")
"""What arrays do for a network, wherever its blocks lie and however often."""


def test_copies_and_packing_change_no_counter_of_the_array() -> None:
    plain = counted(emitted(lowered(residual(), DATA, target=MANY), MANY).program)
    assert plain.conversions and plain.adc_mag
    for options in ({"replicate": "tiles=-1"}, {"replicate": "tiles=5"}, {"place": "pack=tile"}):
        found = counted(emitted(lowered(residual(), DATA, target=MANY, **options), MANY).program)
        assert found.only(COUNTED) == plain.only(COUNTED)


SIZES = st.integers(1, 4)
PACKED = ("pack=2d near=start", "pack=2d near=adc", "pack=tile near=start", "pack=tile near=adc")


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.data())
def test_wherever_blocks_lie_and_however_often_arrays_do_the_same(data: st.DataObject) -> None:
    """Of random convolutions, each with a dense layer behind it, on random tiles."""
    kernel, outs = (data.draw(SIZES), data.draw(SIZES)), data.draw(st.integers(1, 9))
    pads = [data.draw(st.integers(0, 2)) for _ in range(4)]
    stride = [data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))]
    rows, columns = data.draw(st.integers(7, 24)), data.draw(st.integers(2, 9))
    target = chip(array__tiles=400, array__rows=rows, array__columns=columns, adc__multiplexing=data.draw(SIZES))

    def found(**options: str) -> Counters:
        window = {"stride": stride, "dilation": [1, 1], "pads": pads}
        graph = small_network(kernel, outs, **window)
        return counted(emitted(lowered(graph, DATA, target=target, **options), target).program)

    plain = found()
    others = [
        {"replicate": f"tiles={data.draw(st.sampled_from([-1, 3, 9]))}"},
        {"place": data.draw(st.sampled_from(PACKED))},
    ]
    for options in (*others, others[0] | others[1]):
        assert found(**options).only(COUNTED) == plain.only(COUNTED), options
    assert plain.conversions and plain.charge


def small_network(kernel: tuple[int, int], outs: int, **window: list[int]) -> Graph:
    """Return a convolution of 6 x 6 x 3 and a dense layer behind it."""
    b = GraphBuilder()
    x = b.input((6, 6, 3))
    (s, t), pads = window["stride"], window["pads"]
    shape = ((6 + pads[0] + pads[2] - kernel[0]) // s + 1, (6 + pads[1] + pads[3] - kernel[1]) // t + 1, outs)
    y = b.op(
        nn.ConvOp, [x], shape, label="y", weight=normal(*kernel, 3, outs), group=1, clamp=[0.0, nn.UNBOUNDED], **window
    )
    flat = b.op(nn.ReshapeOp, [y], (shape[0] * shape[1] * outs,), label="flat")
    b.output(b.op(nn.DenseOp, [flat], (3,), label="scores", weight=normal(shape[0] * shape[1] * outs, 3, seed=1)))
    return b.graph()


def counted(program: Program) -> Counters:
    """Return what a program does for the one output, in the mean of the samples of DATA."""
    counting = DataCounting(program)
    Interpreter(program).run({port.name: ports.quantise(port, DATA[port.name]) for port in program.inputs}, counting)
    data = (counting.means(index).values() for index in range(len(program.instructions)))
    return total([*count(program), *(one for means in data for one in means)])


WINDOWS = [
    {"kernel": (3, 3), "stride": [1, 1], "dilation": [1, 1], "pads": [1, 1, 1, 1]},
    {"kernel": (3, 2), "stride": [2, 3], "dilation": [1, 1], "pads": [2, 0, 2, 1]},
    {"kernel": (2, 3), "stride": [1, 2], "dilation": [3, 1], "pads": [3, 1, 3, 1]},
    {"kernel": (1, 1), "stride": [3, 1], "dilation": [1, 1], "pads": [0, 0, 0, 0]},
    {"kernel": (1, 1), "stride": [1, 1], "dilation": [1, 1], "pads": [0, 0, 0, 0]},
]


def convolution(kernel: tuple[int, int], weight: Any, **window: list[int]) -> Graph:
    b = GraphBuilder()
    x = b.input((9, 7, 3))
    (s, t), (d, e), pads = window["stride"], window["dilation"], window["pads"]
    rows = (9 + pads[0] + pads[2] - d * (kernel[0] - 1) - 1) // s + 1
    cols = (7 + pads[1] + pads[3] - e * (kernel[1] - 1) - 1) // t + 1
    b.output(b.op(nn.ConvOp, [x], (rows, cols, 5), label="y", weight=weight, group=1, **window))
    return b.graph()


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("tiles", [1, 2, 50])
def test_each_copy_computes_its_rows(window: dict[str, Any], tiles: int) -> None:
    data, target = {"x": normal(2, 9, 7, 3)}, chip(array__tiles=60)
    weight = normal(*window["kernel"], 3, 5, seed=3)
    plain = proved(lowered(convolution(weight=weight, **window), data, target=target), data, target)
    graph = lowered(convolution(weight=weight, **window), data, target=target, replicate=f"tiles={tiles}")
    (layer,) = layers(graph)
    lines = plain.shape[1] if layer.window is not None else plain.shape[1] * plain.shape[2]
    fewest = -(-lines // min(tiles + 1, lines))
    assert layer.copies == -(-lines // fewest), "as many copies as make the longest part shorter, and no more"
    spots = int_values(layer.blocks)[::3]
    assert len(set(spots)) == len(spots) == layer.copies
    assert np.array_equal(plain, proved(graph, data, target))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.sampled_from([-1, 1, 3, 10]))
def test_copies_never_take_more_tiles_than_there_are(tiles: int, wanted: int) -> None:
    target = chip(array__tiles=tiles + 6, array__rows=40, array__columns=8)
    plain = used(lowered(residual(), DATA, target=target))
    found = used(lowered(residual(), DATA, target=target, replicate=f"tiles={wanted}"))
    assert len(found) <= (tiles + 6 if wanted < 0 else len(plain) + wanted)


def used(graph: Graph) -> set[int]:
    return {tile for op in layers(graph) for tile in int_values(op.blocks)[::3]}


def test_all_free_tiles_of_an_endless_chip_are_refused() -> None:
    with pytest.raises(CimcError, match="CIM0305"):
        lowered(residual(), DATA, target=chip(array__tiles="unbounded"), replicate="tiles=-1")


def test_each_copy_has_devices_of_its_own() -> None:
    """The same vector everywhere: one copy's frozen noise gives one result, two copies' give two."""
    data, target = {"x": np.ones((1, 9, 7, 3), np.float32)}, chip(array__tiles=2)
    noise, found = Noise(load_profile("pcm"), seed=3, time_s=86400), {}
    for tiles in (0, 1):
        one = convolution((1, 1), normal(1, 1, 3, 5, seed=3), **WINDOW)
        program = emitted(
            lowered(one, data, target=target, replicate=f"tiles={tiles}", compensation="vectors=0"), target
        )
        found[tiles] = outputs(program.program, data, noise).reshape(-1, 5)
    assert len(np.unique(found[0], axis=0)) == 1
    assert len(np.unique(found[1], axis=0)) == 2


def twins() -> Graph:
    """Return two convolutions with the same weights on different values, added."""
    b, facts = GraphBuilder(), {"weight": normal(3, 3, 3, 3), "group": 1, **SAME}
    x = b.input((6, 6, 3))
    a = b.op(nn.ConvOp, [x], (6, 6, 3), label="a", **facts)
    c = b.op(nn.ConvOp, [a], (6, 6, 3), label="c", **facts)
    b.output(b.op(nn.AddOp, [a, c], (6, 6, 3), label="y"))
    return b.graph()


def test_layers_with_equal_weights_share_blocks() -> None:
    graph = lowered(twins(), DATA, target=MANY, reuse="weights=equal")
    first, second = layers(graph)
    assert second.shares is not None and second.shares.data == "a" and first.shares is None
    assert int_values(first.blocks) == int_values(second.blocks)
    assert first.conductance and second.conductance
    assert graph.weights.digest(first.conductance) == graph.weights.digest(second.conductance)
    proved(graph, DATA, MANY)
    program, apart = (emitted(one, MANY).program for one in (graph, lowered(twins(), DATA, target=MANY)))
    counts, doubled = (Counter(one.name for one in p.instructions) for p in (program, apart))
    assert 2 * counts["program"] == doubled["program"] and 2 * counts["calibrate"] == doubled["calibrate"]
    assert counts["mvm"] == doubled["mvm"] and 2 * len(program.conductances) == len(apart.conductances)


def test_layers_on_the_same_blocks_have_the_larger_of_their_peaks() -> None:
    """Two layers of equal weights: of some columns the first has the larger sums, of others the second."""
    apart, together = (lowered(twins(), DATA, "split", MANY) for _ in range(2))
    layers(together)[1].properties["shares"] = text("a")
    own, common = (peaks_of(ColumnRanges(MANY, DATA)(graph)) for graph in (apart, together))
    assert (own[0] > own[1]).any() and (own[0] < own[1]).any()
    np.testing.assert_array_equal(common, [np.maximum(*own)] * 2)


def peaks_of(graph: Graph) -> list[np.ndarray[Any, Any]]:
    return [graph.weights.get(PEAKS.of(op)) for op in layers(graph)]


def test_shared_weights_need_their_cells_once() -> None:
    exact = {"array__tiles": 1, "array__rows": 27, "array__columns": 3}
    require_cells(twins(), chip(**exact))
    graph = lowered(twins(), DATA, target=chip(**exact), reuse="weights=equal")
    assert len(used(graph)) == 1
    with pytest.raises(CimcError, match="CIM0303"):
        lowered(twins(), DATA, target=chip(**exact))
    with pytest.raises(CimcError, match="CIM0303"):
        require_cells(twins(), chip(**{**exact, "array__rows": 26}))


def test_layers_with_other_weights_share_nothing() -> None:
    graph = lowered(perceptron(8, 8, 8), {"x": normal(3, 8)}, target=MANY, reuse="weights=equal")
    assert all(op.shares is None for op in layers(graph))


@pytest.mark.parametrize(
    ("key", "option"),
    [("split", "rows=even"), ("split", "columns=even"), ("place", "pack=3d"), ("reuse", "weights=all")],
)
def test_unknown_ways_are_refused(key: str, option: str) -> None:
    with pytest.raises(CimcError, match=r"(?s)CIM0305.*it can be"):
        lowered(residual(), DATA, target=MANY, **{key: option})


def test_taps_alone_are_lowered_and_lie_two_in_a_byte() -> None:
    """The program of four-bit taps gives what the graph behind `mixed-precision` gives; stored bits make it anew."""
    data = {"x": normal(20, 6, 6, 3)}
    ranges, lowered_once = Ranges(), residual()
    for one in between("calibrate", "schedule", Setting(chip(), data), mixed_precision="budget=200 lower=taps"):
        lowered_once = one(lowered_once)
        ranges = ranges.noted(lowered_once)
    assert ranges.bits == {"depth": (8, 4)}
    assert ranges.means.keys() == {"depth"}
    (taps,) = [op for op in lowered_once.operations if isinstance(op, DepthwiseOp)]
    assert 4 <= np.abs(lowered_once.weights.get(taps.weights)).max() <= 7
    program = emitted(lowered_once).program
    (found,) = [one for one in program.instructions if one.name == "depthwise"]
    assert found.choice("taps") == "i4"
    stored = Ranges.from_json(ranges.to_json())
    assert program_digest(emitted(relowered(residual(), stored)).program) == program_digest(program)
    proved(lowered_once, data, chip())
