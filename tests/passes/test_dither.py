"""Copies of columns that round apart: finer means, exact sums, the bits of all executors, and what stays alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from frontend.onnx_models import canonical, written
from frontend.recurrent_models import recurrent
from targets.stages import SAME, WINDOW, between, chip, emitted, layers, normal, perceptron, residual, through

from cimc.backends.interpreter import Interpreter
from cimc.evaluate import Evaluator, evaluate
from cimc.frontend import load
from cimc.ir import nn
from cimc.ir.attributes import int_value, int_values
from cimc.ir.facts import APART, ROWS
from cimc.ir.graph import Graph, label_of
from cimc.ir.loop import scan_of
from cimc.ir.types import CodeType, code_of
from cimc.ir.xbar import MvmOp
from cimc.isa.errors import CimcError
from cimc.passes.chosen import Chosen
from cimc.passes.dither import driven
from cimc.passes.pipeline import Setting
from cimc.passes.weight_mapping import WeightMapping
from cimc.targets import Target

FEW = chip(adc__bits=4)
DATA = {"x": normal(40, 6, 6, 3, seed=3)}
SIGNED = CodeType.of(8, -127, 127, 0, 0.1)


def built(made: Graph, columns: int, last: str = "schedule", target: Target = FEW, **options: Any) -> Graph:
    mapping = {"weight_mapping": f"weights=averaged columns={columns} rounding={options.pop('rounding', 'apart')}"}
    setting = Setting(target, {"x": options.pop("data", DATA["x"])}, None, options.pop("chosen", Chosen()))
    return through(made, *between("weight-mapping", last, setting, **mapping, **options))


def strided() -> Graph:
    """A convolution whose middle row and column alone read no padding, and a dense layer."""
    b = GraphBuilder()
    x = b.input((6, 6, 3))
    geometry = SAME | {"stride": [2, 1]}
    weights = normal(3, 3, 3, 4) / 5, normal(4, 5, seed=4)
    first = b.op(nn.ConvOp, [x], (3, 6, 4), label="first", weight=weights[0], bias=normal(4), group=1, **geometry)
    b.output(b.op(nn.DenseOp, [first], (3, 6, 5), label="scores", weight=weights[1]))
    return b.graph()


def sums_of(graph: Graph, op: MvmOp) -> Any:
    """Return the array sums (vectors, columns), in ADC codes, of a layer without a window."""
    assert op.conductance is not None and op.adc_multiplier is not None and op.adc_shift is not None
    label = op.x.owner.label.data  # type: ignore[union-attr]
    codes = Evaluator(graph, [label]).run(DATA)[label].astype(np.int64)
    gain = int_value(op.adc_multiplier) * 2.0 ** -int_value(op.adc_shift)
    return codes.reshape(-1, op.matrix[1]) @ graph.weights.get(op.conductance)[0].astype(np.int64) * gain


@pytest.mark.parametrize("copies", [2, 3, 4, 16])
def test_the_mean_of_codes_is_the_code_of_an_adc_with_so_many_times_finer_steps(copies: int) -> None:
    """Exactly, where no sum is a half of a fine step: sum over j of round(s + (j - (n - 1) / 2) / n) = round(n s)."""
    code, held = driven(copies, SIGNED, 2.0**14, 508)
    sums = np.random.default_rng(1).integers(-(2**17), 2**17, 20000)
    moved = sums[:, np.newaxis] + code * held
    fine = sums * copies / 2.0**14
    apart = np.abs(fine - np.floor(fine) - 0.5) > copies * abs(code) / 2.0**14
    found = np.rint(moved / 2.0**14).sum(axis=1)
    assert apart.mean() > 0.9
    np.testing.assert_array_equal(found[apart], np.rint(fine)[apart])


@pytest.mark.parametrize("copies", [2, 4])
def test_copies_of_a_product_read_sums_a_part_of_a_code_apart(copies: int) -> None:
    graph = built(strided(), copies)
    scores = sums_of(graph, layers(graph)[1]).reshape(-1, copies, 5)
    wanted = (np.arange(copies) - (copies - 1) / 2) / copies
    np.testing.assert_allclose(
        scores - scores.mean(axis=1, keepdims=True), np.broadcast_to(wanted[:, None], scores.shape), atol=0.01
    )


def test_outputs_are_so_many_times_finer() -> None:
    """Two copies win one bit, four two: 6 dB each, where the ADC is what costs most; alike they win none."""
    exact = evaluate(strided(), DATA)["out"]

    def error(columns: int, rounding: str = "apart") -> float:
        return float(np.square(evaluate(built(strided(), columns, rounding=rounding), DATA)["out"] - exact).mean())

    single, alike, two, four = error(1, "alike"), error(4, "alike"), error(2), error(4)
    assert 10 * np.log10(single / alike) == pytest.approx(0.0, abs=1.0)
    assert 10 * np.log10(single / two) == pytest.approx(6.0, abs=2.0)
    assert 10 * np.log10(single / four) == pytest.approx(12.0, abs=3.0)


@pytest.mark.parametrize(
    "target", [FEW, chip(adc__bits=4, dac__bits=4), chip(adc__bits=4, adc__gain="tile", array__tiles=4)]
)
@pytest.mark.parametrize("made", [strided, residual])
def test_integer_graph_and_interpreter_have_the_same_bits(made: Any, target: Target) -> None:
    graph = built(made(), 3, target=target)
    assert all(APART.get(op) == 3 for op in layers(graph) if op.matrix[0] == 1)
    labels = [op.label.data for op in graph.operations if isinstance(op, nn.Computed)]
    codes = Evaluator(graph, labels).run(DATA)
    outputs = Interpreter(emitted(graph, target).program).run({"x": codes["x"]})
    ends = [op.x.owner.label.data for op in graph.operations if isinstance(op, nn.OutputOp)]  # type: ignore[union-attr]
    np.testing.assert_array_equal(outputs["out"].ravel(), codes[ends[0]].ravel())


def test_the_constant_row_is_of_a_tap_that_reads_no_padding_and_driven_no_more_than_it_must() -> None:
    graph = built(strided(), 2)
    op = layers(graph)[0]
    levels = graph.weights.get(op.conductance)[0].reshape(9, 4, 8)  # type: ignore[arg-type]
    held = levels[:, 3]
    assert np.flatnonzero(held.any(axis=1)).tolist() == [4]
    np.testing.assert_array_equal(held[4, :4], -held[4, 4:])
    assert driven(2, SIGNED, 100.0, 508)[0] == 1 and driven(2, SIGNED, 6000.0, 508)[0] == 3


def test_shares_end_at_what_a_row_conducts() -> None:
    code, held = driven(2, CodeType.of(4, 0, 7, 0, 0.1), 10**6, 508)
    assert code == 7 and held.tolist() == [-508, 508]


def test_codes_below_zero_drive_the_row_where_there_are_no_others() -> None:
    code, held = driven(2, CodeType.of(4, -7, 0, 0, 0.1), 6000.0, 508)
    assert code < 0 and np.sign(code * held).tolist() == [-1, 1]


def test_rows_that_stand_several_times_have_one_constant_row_for_each_tap() -> None:
    chosen = Chosen({"first.columns": (6, 8)})
    graph = built(strided(), 2, chosen=chosen, row_copies="most=4")
    op = layers(graph)[0]
    assert ROWS.get(op) == 4 and op.matrix[1] == 9 * (4 * 3 + 1)
    assert len(int_values(op.row_cuts)) == 2


def test_layers_in_loops_round_apart_too(tmp_path: Path) -> None:
    data = {"x": normal(8, 5, 4), "h": normal(8, 1, 6)}
    mapping = "weights=averaged columns=2 rounding=apart"
    passes = between("weight-mapping", "schedule", Setting(FEW, data), weight_mapping=mapping)
    graph = through(canonical(load(written(recurrent("RNN"), tmp_path))), *passes)
    products = [op for op in graph.operations if isinstance(op, MvmOp)]
    assert any(scan_of(op) for op in products) and all(APART.get(op) == 2 for op in products)
    ends = {op.label.data: label_of(op.x) for op in graph.operations if isinstance(op, nn.OutputOp)}
    codes = Evaluator(graph, [*data, *ends.values()]).run(data)
    found = Interpreter(emitted(graph, FEW).program).run({name: codes[name] for name in data})
    for name, label in ends.items():
        np.testing.assert_array_equal(found[name].ravel(), codes[label].ravel())


@pytest.mark.parametrize(("columns", "count"), [(1, 4), (2, 2)])
def test_rows_stand_only_as_often_as_leaves_a_constant_row_its_room(columns: int, count: int) -> None:
    """Four times 27 rows fill a tile of 108."""
    chosen, target = Chosen({"first.columns": (6, 8)}), chip(adc__bits=4, array__rows=108)
    graph = built(strided(), columns, "im2col", target, chosen=chosen, row_copies="most=4")
    op = layers(graph)[0]
    assert ROWS.get(op) == count
    assert (APART.get(op) is not None) == (columns > 1)


def corner() -> Graph:
    """A window of 2 x 2 over an image of 2 x 2, padded on both sides: every tap reads padding somewhere."""
    b = GraphBuilder()
    x = b.input((2, 2, 3))
    geometry = WINDOW | {"stride": [1, 1], "pads": [1, 1, 1, 1]}
    b.output(b.op(nn.ConvOp, [x], (3, 3, 4), label="y", weight=normal(2, 2, 3, 4), group=1, **geometry))
    return b.graph()


@pytest.mark.parametrize(
    ("made", "target", "shape"),
    [
        (corner, FEW, (2, 2, 3)),
        (lambda: perceptron(16, 4), chip(adc__bits=4, array__rows=16), (16,)),
        (lambda: perceptron(16, 4), chip(adc__bits=4, read_phases=2), (16,)),
    ],
    ids=["padding at every tap", "rows of a tile", "read phases"],
)
def test_layers_without_room_for_a_constant_row_round_alike(made: Any, target: Target, shape: tuple[int, ...]) -> None:
    data = normal(20, *shape)
    (found,), (single,) = (
        layers(built(made(), 2, target=target, data=data, rounding=rounding)) for rounding in ("apart", "alike")
    )
    assert APART.get(found) is None
    assert found.matrix == single.matrix


@pytest.mark.parametrize(("clamp", "shared"), [({}, True), ({"clamp": [-nn.UNBOUNDED, 0.0]}, False)])
def test_layers_share_blocks_where_the_same_codes_drive_their_rows(clamp: dict[str, Any], shared: bool) -> None:
    b = GraphBuilder()
    x, weight = b.input((6, 6, 3)), normal(3, 3)
    first = b.op(nn.DenseOp, [x], (6, 6, 3), label="first", weight=weight, **clamp)
    b.output(b.op(nn.DenseOp, [first], (6, 6, 3), label="second", weight=weight))
    graph = built(b.graph(), 2, reuse="weights=equal")
    held = [graph.weights.get(op.conductance) for op in layers(graph)]  # type: ignore[arg-type]
    assert (layers(graph)[1].shares is not None) == shared
    assert np.array_equal(*held) or not shared


def test_a_single_column_needs_no_constant_row() -> None:
    assert not any(APART.get(op) for op in layers(built(strided(), 1)))


def test_other_words_are_refused() -> None:
    with pytest.raises(CimcError, match="alike or apart"):
        WeightMapping(weights="averaged", rounding="both")(strided())


def test_codes_of_the_constant_are_those_of_the_input() -> None:
    graph = built(strided(), 2)
    for op in layers(graph):
        assert {code_of(part) for part in op.x.owner.parts} == {code_of(op.x)}  # type: ignore[union-attr]
