"""Rows that stand several times: what stands how often, that sums stay what they are, and the bits of all executors."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import SAME, between, chip, emitted, layers, normal, perceptron, residual, through

from cimc.backends.interpreter import Interpreter
from cimc.evaluate import Evaluator, evaluate
from cimc.ir import nn, xbar
from cimc.ir.facts import ROWS
from cimc.ir.graph import Graph
from cimc.ir.text import print_graph
from cimc.ir.types import code_of
from cimc.isa.errors import CimcError
from cimc.passes.chosen import Chosen
from cimc.passes.pipeline import Setting
from cimc.passes.ranges import Ranges
from cimc.targets import Target

DATA = {"x": np.abs(normal(48, 6, 6, 2, seed=3))}
LOWERED = {"first": (6, 8), "second": (4, 8), "scores": (6, 8)}
FEW = {"second": (4, 8)}


def network() -> Graph:
    """Two convolutions, the second one's result added to what it reads, and a dense layer; inputs are above zero."""
    b, relu = GraphBuilder(), {"clamp": [0.0, nn.UNBOUNDED]}
    image, x = (6, 6, 4), b.input((6, 6, 2))
    weights = normal(3, 3, 2, 4, seed=1) / 4, normal(3, 3, 4, 4, seed=2) / 6, normal(4, 5, seed=4)
    first = b.op(nn.ConvOp, [x], image, label="first", weight=weights[0], group=1, **SAME, **relu)
    second = b.op(nn.ConvOp, [first], image, label="second", weight=weights[1], bias=normal(4), group=1, **SAME)
    added = b.op(nn.AddOp, [first, second], image, label="added")
    b.output(b.op(nn.DenseOp, [added], (6, 6, 5), label="scores", weight=weights[2]))
    return b.graph()


def built(
    last: str,
    rows: int,
    bits: dict[str, tuple[int, int]] = LOWERED,
    target: Target | None = None,
    ranges: Ranges | None = None,
) -> Graph:
    setting = Setting(target or chip(), {} if ranges else DATA, ranges, Chosen(bits))
    return through(network(), *between("calibrate", last, setting, row_copies=f"most={rows}"))


def copies(graph: Graph) -> dict[str, int]:
    """Return how often the rows of each layer, or product, stand."""
    return {op.label.data: count for op in graph.operations if isinstance(op, nn.Computed) and (count := ROWS.get(op))}


@pytest.mark.parametrize("rows", [2, 4, 16])
def test_sums_of_spread_codes_are_those_of_the_codes(rows: int) -> None:
    whole, parts = built("row-copies", rows), built("im2col", rows)
    assert copies(whole) == copies(parts) and max(copies(parts).values()) == rows
    labels = ["first", "second", "scores"]
    before, after = Evaluator(whole, labels).run(DATA), Evaluator(parts, labels).run(DATA)
    for label in labels:
        assert np.abs(before[label].astype(np.int64) - after[label].reshape(before[label].shape)).max() <= 1


@pytest.mark.parametrize("rows", [2, 4, 16])
def test_parts_add_up_to_the_code_differ_by_one_at_most_and_have_the_bits_asked_for(rows: int) -> None:
    graph = built("im2col", rows)
    for op in layers(graph):
        (*parts, joined) = _spreading(graph, op)
        count, whole = len(parts), parts[0].operands[0]
        names = [op.label.data for op in (*parts, joined)]
        *given, all_of_them = Evaluator(graph, names).run(DATA).values()
        stacked = np.stack([part.astype(np.int64) for part in given])
        code = Evaluator(graph, [whole.owner.label.data]).run(DATA)[whole.owner.label.data]
        assert count == ROWS.of(op) > 1
        np.testing.assert_array_equal(stacked.sum(axis=0), code.reshape(stacked.shape[1:]))
        assert np.ptp(stacked, axis=0).max() == 1
        np.testing.assert_array_equal(all_of_them, np.concatenate(given, axis=-1))
        assert code_of(op.x).bits.data == LOWERED[op.label.data][0]
        assert code_of(whole).zero.data == count * code_of(op.x).zero.data


def _spreading(graph: Graph, op: xbar.MvmOp) -> list[nn.Computed]:
    """Return the operations that spread what a product reads: its parts, and what joins them."""
    joined = op.x.owner
    assert isinstance(joined, xbar.ConcatOp)
    return [*(part.owner for part in joined.parts), joined]  # type: ignore[list-item]


@pytest.mark.parametrize(
    "target",
    [chip(), chip(adc__gain="tile", array__tiles=4), chip(dac__bits=4, adc__bits=4)],
    ids=["one gain", "gains of tiles", "few bits"],
)
def test_integer_graph_and_interpreter_have_the_same_bits(target: Target) -> None:
    graph = built("schedule", 4, target=target)
    labels = [op.label.data for op in graph.operations if isinstance(op, nn.Computed)]
    codes = Evaluator(graph, labels).run(DATA)
    outputs = Interpreter(emitted(graph, target).program).run({"x": codes["x"]})
    np.testing.assert_array_equal(outputs["out"].reshape(codes["scores"].shape), codes["scores"])


def test_codes_are_as_fine_as_so_many_more_bits_would_make_them() -> None:
    """Two bits are 12 dB, for what layers read and for the sum that reads it as well."""
    exact = evaluate(network(), DATA)["out"]
    few, more = (
        float(np.square(evaluate(built("row-copies", rows, FEW), DATA)["out"] - exact).mean()) for rows in (1, 4)
    )
    assert 10.0 * np.log10(few / more) == pytest.approx(12.0, abs=3.0)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (chip(), {"first": 4, "second": 16, "scores": 4}),
        (chip(array__rows=144), {"first": 4, "second": 4, "scores": 4}),
        (chip(array__rows=32, array__tiles=20), {"first": 1, "second": 1, "scores": 4}),
        (chip(array__rows=36, array__columns=14), {"first": 2, "second": 1, "scores": 4}),
        (chip(array__rows=72, array__columns=8), {"first": 2, "second": 1, "scores": 4}),
    ],
    ids=["codes of the DAC end it", "rows of a tile", "row blocks", "cells", "packing"],
)
def test_rows_stand_as_often_as_codes_tiles_and_the_packing_have_room(target: Target, wanted: dict[str, int]) -> None:
    """In the last case cells are free for `first` four times, but no place beside it that is as wide as `scores`."""
    found = copies(built("place", 64, target=target))
    assert found == {label: count for label, count in wanted.items() if count > 1}


def test_rows_leave_room_for_the_constant_rows_of_columns_that_round_apart() -> None:
    """Four layers of 4 rows and 8 columns: 16 rows of a tile hold 4 and 8 beside two constant ones, not 8 and 8."""
    setting = Setting(chip(array__rows=16, array__columns=16, dac__bits=7), {"x": normal(48, 4)})
    mapped = {"weight_mapping": "weights=averaged columns=2 rounding=apart", "row_copies": "most=2"}
    graph = through(perceptron(4, 4, 4, 4, 4), *between("weight-mapping", "place", setting, **mapped))
    assert copies(graph) == {"d0.columns": 2, "d1.columns": 2}


@pytest.mark.parametrize("rows", [1, 2, 16])
def test_layers_take_the_phases_that_they_took(rows: int) -> None:
    found = built("place", rows, target=chip(array__rows=40, array__tiles=9))
    single = built("place", 1, target=chip(array__rows=40, array__tiles=9))
    assert [len(op.blocks or ()) for op in layers(found)] == [len(op.blocks or ()) for op in layers(single)]


def test_layers_of_all_bits_and_of_groups_stay_single() -> None:
    """`both` has two groups and reads what `depth` does; of the rest only `stem` is lowered."""
    setting = Setting(chip(), {"x": normal(40, 6, 6, 3)}, None, Chosen({"stem": (4, 8), "both": (4, 8)}))
    graph = through(residual(), *between("calibrate", "im2col", setting, row_copies="most=8"))
    assert copies(graph) == {"stem": 8}


NARROW = chip(dac__bits=4)


def test_on_a_dac_of_few_bits_all_layers_read_bytes_and_drive_parts_that_it_takes() -> None:
    whole, parts = built("row-copies", 16, {}, NARROW), built("im2col", 16, {}, NARROW)
    assert copies(whole) == copies(parts) == {"first": 16, "second": 16, "scores": 16}
    for op in layers(parts):
        assert code_of(op.x).bits.data == 4
        assert NARROW.drives(code_of(op.x).low.data, code_of(op.x).high.data)
        assert code_of(_spreading(parts, op)[0].operands[0]).bits.data == 8


def test_a_depthwise_layer_on_the_array_reads_codes_of_its_own() -> None:
    """The byte that `after` spreads over rows is none that its DACs take."""
    b = GraphBuilder()
    x = b.input((6, 6, 3))
    stem = b.op(nn.ConvOp, [x], (6, 6, 4), label="stem", weight=normal(3, 3, 3, 4, seed=1), group=1, **SAME)
    deep = b.op(nn.ConvOp, [stem], (6, 6, 4), label="deep", weight=normal(3, 3, 1, 4, seed=2), group=4, **SAME)
    after = b.op(nn.DenseOp, [stem], (6, 6, 4), label="after", weight=normal(4, 4, seed=3))
    b.output(b.op(nn.AddOp, [deep, after], (6, 6, 4), label="added"))
    setting = Setting(NARROW, {"x": normal(40, 6, 6, 3)})
    graph = through(b.graph(), *between("calibrate", "im2col", setting, row_copies="most=8", im2col="depthwise=array"))
    read = {op.label.data: code_of(op.x) for op in layers(graph)}
    assert copies(graph) == {"stem": 8, "after": 8}
    assert all(NARROW.drives(code.low.data, code.high.data) for code in read.values())


def test_layers_in_slices_stay_single() -> None:
    raised = {"first": (8, 12), "second": (12, 8)}
    assert copies(built("row-copies", 4, raised, NARROW)) == {"scores": 4}


def test_without_rows_and_without_fewer_bits_nothing_changes() -> None:
    assert print_graph(built("schedule", 16, {})) == print_graph(built("schedule", 1, {}))


def test_stored_ranges_give_the_same_graph() -> None:
    graph, ranges = network(), Ranges()
    for one in between("calibrate", "schedule", Setting(chip(), DATA, None, Chosen(LOWERED)), row_copies="most=4"):
        graph = one(graph)
        ranges = ranges.noted(graph)
    assert ranges.bits == LOWERED
    again = built("schedule", 1, {}, ranges=Ranges.from_json(ranges.to_json()))
    assert print_graph(again) == print_graph(graph)


def test_what_was_chosen_gives_the_same_graph_on_the_same_data() -> None:
    setting = Setting(chip(), DATA, None, Chosen.of(Ranges(bits=LOWERED, rows={"first": 4, "scores": 2})))
    graph = through(network(), *between("calibrate", "im2col", setting))
    assert copies(graph) == {"first": 4, "scores": 2}


@pytest.mark.parametrize(
    ("rows", "told"),
    [({"first": 8}, "'first' stand 8 times: they stand 4 times"), ({"nobody": 2}, "'nobody'.*there is no such layer")],
)
def test_stored_rows_that_do_not_fit_are_refused(rows: dict[str, int], told: str) -> None:
    known = Ranges(dict.fromkeys(("x", "first", "second", "added", "scores"), (-1.0, 1.0)), bits=LOWERED)
    with pytest.raises(CimcError, match=rf"CIM0204.*{told}"):
        built("row-copies", 1, {}, ranges=replace(known, rows=rows))


@pytest.mark.parametrize("count", [2.5, "2", [2], None])
def test_damaged_rows_are_refused(count: object) -> None:
    with pytest.raises(CimcError, match=r"CIM0204.*rows\.first"):
        Ranges.from_json(Ranges().to_json() | {"rows": {"first": count}})


@pytest.mark.parametrize("rows", [0, 3, -2, 128])
def test_rows_that_are_no_power_of_two_are_refused(rows: int) -> None:
    with pytest.raises(CimcError, match=rf"CIM0305.*most}} is {rows}"):
        built("row-copies", rows)


def test_cells_of_the_further_rows_are_told() -> None:
    graph = built("im2col", 4)
    assert sum(prod(op.matrix) for op in layers(graph)) == 4 * (18 * 4 + 36 * 4 + 4 * 5)
