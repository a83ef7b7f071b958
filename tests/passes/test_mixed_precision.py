"""Mixed precision: what is lowered, what it may cost, and that stored decisions give the same program."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line.test_cases import run
from evaluate.graphs import GraphBuilder
from targets.stages import WINDOW, Batch, between, chip, lowered, normal, perceptron, relowered, residual, through

from cimc.evaluate import evaluate
from cimc.ir import nn
from cimc.ir.facts import BITS
from cimc.ir.graph import Graph
from cimc.ir.text import print_graph
from cimc.ir.types import code_of
from cimc.isa.errors import CimcError
from cimc.passes.code_types import code_type, input_type
from cimc.passes.mixed_precision import MixedPrecision, with_bits
from cimc.passes.pipeline import DEFAULT, Setting
from cimc.passes.ranges import Ranges
from cimc.passes.rounding import rounded_taps
from cimc.targets import load_target

SAMPLES = Path(__file__).parents[2] / "samples"
DATA = {"x": normal(80, 12, seed=9)}
EVERYTHING = 200.0


def model() -> Graph:
    return perceptron(12, 16, 9, 5)


def quantised(graph: Graph, data: Batch) -> Graph:
    return lowered(graph, data, "quantise")


def chosen(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Return (activation bits, weight bits) of every lowered layer."""
    computed = [op for op in graph.module.ops if isinstance(op, nn.Computed)]
    return {op.label.data: bits for op in computed if (bits := BITS.get(op))}


def mixed(budget: float, lower: str = "both") -> Graph:
    return through(quantised(model(), DATA), MixedPrecision(chip(), DATA, budget=budget, lower=lower))


def loss(graph: Graph) -> float:
    """Return how many dB of signal-to-noise ratio a graph has lost against 8 bits."""
    data = {"x": DATA["x"][:64]}
    exact, full, found = (evaluate(one, data)["out"] for one in (model(), quantised(model(), DATA), graph))
    return float(10.0 * np.log10(np.square(found - exact).mean() / np.square(full - exact).mean()))


def test_without_a_budget_nothing_changes_and_no_data_is_read() -> None:
    graph = through(quantised(model(), DATA), MixedPrecision(chip()))
    assert print_graph(graph) == print_graph(quantised(model(), DATA))


def test_a_large_budget_lowers_everything_to_4_bits() -> None:
    graph = mixed(EVERYTHING)
    assert chosen(graph) == dict.fromkeys(["d0", "d1", "d2"], (4, 4))
    for op in graph.module.ops:
        if isinstance(op, nn.DenseOp):
            assert code_of(op.x).bits.data == 4
            columns = graph.weights.get(op.weight).T
            assert all(len(np.unique(np.abs(column))) <= 8 for column in columns)


@pytest.mark.parametrize(("lower", "wanted"), [("weights", (8, 4)), ("activations", (4, 8))])
def test_one_kind_may_be_lowered_alone(lower: str, wanted: tuple[int, int]) -> None:
    assert set(chosen(mixed(EVERYTHING, lower)).values()) == {wanted}


@pytest.mark.parametrize("budget", [1.0, 6.0, 12.0, 18.0, 24.0])
def test_the_budget_is_kept(budget: float) -> None:
    assert loss(mixed(budget)) <= budget + 1e-6


def test_a_middling_budget_lowers_some_and_a_larger_one_no_less() -> None:
    fewer, more = (sum(8 - bits for pair in chosen(mixed(b)).values() for bits in pair) for b in (12.0, 24.0))
    assert 0 < fewer <= more


def test_stored_bits_give_the_same_graph() -> None:
    first = mixed(14.0)
    bits = {label: (pair[0], pair[1]) for label, pair in chosen(first).items()}
    again = through(
        quantised(model(), DATA), MixedPrecision(chip(), ranges=Ranges.from_json(Ranges(bits=bits).to_json()))
    )
    assert bits
    assert print_graph(again) == print_graph(first)


@pytest.mark.parametrize("lower", ["both", "activations"])
def test_stored_bits_give_the_same_graph_where_the_dac_has_fewer_than_the_weights(lower: str) -> None:
    """There 8 bits of weights that stay are more than the DAC's, and nothing is raised."""
    target, option = load_target("aon-cim-6b"), f"budget={EVERYTHING} lower={lower}"
    ranges, graph = Ranges(), model()
    for one in between("calibrate", "schedule", Setting(target, DATA), mixed_precision=option):
        graph = one(graph)
        ranges = ranges.noted(graph)
    assert set(ranges.bits.values()) == {(4, 4 if lower == "both" else 8)}
    again = Setting(target, {}, Ranges.from_json(ranges.to_json()))
    passes = between("calibrate", "schedule", again, mixed_precision=option)
    assert print_graph(through(model(), *passes)) == print_graph(graph)


def test_stored_bits_of_another_model_are_refused() -> None:
    ranges = Ranges({"x": (-1.0, 1.0), "d0": (-1.0, 1.0)}, bits={"d7": (4, 4)})
    with pytest.raises(CimcError, match=r"CIM0204.*'d7'"):
        relowered(perceptron(4, 3), ranges)


@pytest.mark.parametrize("pair", [[4], [1, 8], [8, 17], "x", ["a", 4]])
def test_damaged_bits_are_refused(pair: object) -> None:
    with pytest.raises(CimcError, match="CIM0204"):
        Ranges.from_json(Ranges().to_json() | {"bits": {"d0": pair}})


def test_concatenations_stay_and_depthwise_layers_are_not_chosen() -> None:
    b = GraphBuilder()
    x = b.op(nn.ClampOp, [b.input((6,))], (6,), label="r", low=0.0, high=1.0)
    joined = b.op(nn.ConcatOp, [[x, x]], (12,), label="joined", axis=0)
    b.output(b.op(nn.DenseOp, [joined], (3,), label="d", weight=normal(12, 3)))
    data = {"x": normal(20, 6)}
    graph = through(quantised(b.graph(), data), MixedPrecision(chip(), data, budget=EVERYTHING))
    assert chosen(graph) == {"d": (8, 4)}
    data = {"x": normal(20, 6, 6, 3)}
    graph = through(quantised(residual(), data), MixedPrecision(chip(), data, budget=EVERYTHING))
    assert chosen(graph) == dict.fromkeys(["stem", "both", "scores"], (4, 4))


def test_pools_and_movements_follow_their_operand() -> None:
    b = GraphBuilder()
    window = {"kernel": [2, 2], "stride": [2, 2], "dilation": [1, 1], "pads": [0, 0, 0, 0]}
    pool = b.op(nn.MaxPoolOp, [b.input((4, 4, 2))], (2, 2, 2), label="pool", **window)
    flat = b.op(nn.ReshapeOp, [pool], (8,), label="flat")
    b.output(b.op(nn.DenseOp, [flat], (3,), label="d", weight=normal(8, 3)))
    data = {"x": normal(20, 4, 4, 2)}
    graph = through(quantised(b.graph(), data), MixedPrecision(chip(), data, budget=EVERYTHING))
    values = [op for op in graph.module.ops if isinstance(op, nn.Computed) and not isinstance(op, nn.DenseOp)]
    assert {code_of(op.out).bits.data for op in values} == {4}


@pytest.mark.parametrize("bits", [4, 6])
def test_fewer_bits_keep_the_real_range_and_the_form(bits: int) -> None:
    for bounds, offset in (((-2.0, 1.0), False), ((0.0, 3.0), False), ((0.0, 3.0), True), ((-3.0, 0.0), False)):
        found, wanted = with_bits(code_type(*bounds, 8, offset), bits, False), code_type(*bounds, bits, offset)
        assert (found.low, found.high, found.zero) == (wanted.low, wanted.high, wanted.zero)
        assert found.scale.data == pytest.approx(wanted.scale.data)
    assert with_bits(input_type(-1.0, 3.0, 8), bits, True).scale.data == pytest.approx(
        input_type(-1.0, 3.0, bits).scale.data
    )


def test_unknown_words_are_refused() -> None:
    with pytest.raises(CimcError, match="CIM0305"):
        mixed(1.0, "everything")


def test_a_lowered_program_verifies_and_its_ranges_give_the_same_bytes(tmp_path: Path) -> None:
    onnx, feeding = str(SAMPLES / "digits.onnx"), ["--scale", "0.0625"]
    pipeline = ["--pass-pipeline", DEFAULT.replace("mixed-precision", "mixed-precision{budget=12}")]
    program, ranges, again = (str(tmp_path / name) for name in ("a.cimb", "ranges.json", "b.cimb"))
    data, test = ([str(SAMPLES / f"digits_{part}.npz"), *feeding] for part in ("calib", "test"))
    status, out = run(["compile", onnx, "--calib", *data, *pipeline, "-o", program, "--write-ranges", ranges])
    assert status == 0, out
    assert "inputs of layers" in out
    assert "x 6 bits" in out
    assert run(["compile", onnx, "--ranges", ranges, *feeding, *pipeline, "-o", again])[0] == 0
    assert Path(program).read_bytes() == Path(again).read_bytes()
    status, out = run(["verify", onnx, program, "--input", *test, "--limit", "2"])
    assert status == 0, out


def depthwise(multiplier: int = 1) -> Graph:
    """Return a depthwise layer without a bias, without padding, that reads clamped values: `depth` reads `r`."""
    b = GraphBuilder()
    x = b.op(nn.ClampOp, [b.input((8, 8, 4))], (8, 8, 4), label="r", low=0.0, high=2.0)
    weight = normal(3, 3, 1, 4 * multiplier, seed=1)
    b.output(b.op(nn.ConvOp, [x], (6, 6, 4 * multiplier), label="depth", weight=weight, group=4, **WINDOW))
    return b.graph()


@pytest.mark.parametrize("multiplier", [1, 2])
def test_biases_allow_for_what_rounded_taps_add_in_the_mean(multiplier: int) -> None:
    data = {"x": normal(40, 8, 8, 4)}
    exact = evaluate(depthwise(multiplier), data)["out"]
    graph, plain = quantised(depthwise(multiplier), data), quantised(depthwise(multiplier), data)
    given = evaluate(through(graph, MixedPrecision(chip(), data, budget=EVERYTHING, lower="taps")), data)["out"]
    (layer,) = (op for op in plain.operations if isinstance(op, nn.ConvOp))
    layer.properties["weight"] = plain.weights.add("rounded", rounded_taps(plain.weights.get(layer.weight), 4))
    uncorrected = evaluate(plain, data)["out"]
    corrected, off = (np.abs((found - exact).mean(axis=(0, 1, 2))) for found in (given, uncorrected))
    assert corrected.shape == (4 * multiplier,)
    assert corrected.max() < 0.2 * off.max()


def test_stored_means_that_do_not_fit_are_refused() -> None:
    ranges = Ranges({"x": (-1.0, 1.0), "r": (0.0, 1.0), "depth": (-1.0, 1.0)}, bits={"depth": (8, 4)})
    with pytest.raises(CimcError, match=r"CIM0204.*3 means for 'depth', which reads 4 channels"):
        relowered(depthwise(), replace(ranges, means={"depth": (0.1, 0.2, 0.3)}), "mixed-precision")
    without = relowered(depthwise(), ranges, "mixed-precision")
    assert all(op.bias is None for op in without.operations if isinstance(op, nn.ConvOp))


@pytest.mark.parametrize("means", ["x", [None], [float("nan")], [1e300]])
def test_damaged_means_are_refused(means: object) -> None:
    with pytest.raises(CimcError, match="CIM0204"):
        Ranges.from_json(Ranges().to_json() | {"means": {"d0": means}})
