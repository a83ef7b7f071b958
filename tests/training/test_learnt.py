"""Ranges that are learnt: their gradients, what they become in the passes, and that codes are still the compiler's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from targets.stages import chip, normal, perceptron, residual
from training.networks import SMALL, request, samples

from cimc.driving.driver import compile_graph
from cimc.ir import nn
from cimc.isa.errors import CimcError
from cimc.passes.calibrate import ranges_read
from cimc.passes.pipeline import DEFAULT, behind_stage
from cimc.training.array_facts import Converters, measured
from cimc.training.batches import Data
from cimc.training.settings import Settings, changed

jax = pytest.importorskip("jax", reason="the extra `train` is not installed")

from cimc.training.chip import Cells, DeviceTable, converted, read  # noqa: E402
from cimc.training.learnt import Learning, Parameters, real  # noqa: E402
from cimc.training.network import Network  # noqa: E402
from cimc.training.optimise import Run  # noqa: E402

SETTINGS = Settings(
    learn="ranges", steps=100, batch=32, rate=0.05, modes="column", mix=0.0, feature=0.0, objective="values"
)


def learning(graph: Any, data: dict[str, Any], settings: Settings = SETTINGS, target: Any = SMALL) -> Learning:
    network = Network(graph)
    facts = measured(network.with_weights(network.weights), request(data, target))
    return Learning(network, settings, network.weights, facts, ranges_read(graph, target))


def again(found: Learning, made: Parameters, data: dict[str, Any], target: Any = SMALL) -> Any:
    """Return the facts of a network under learnt ranges."""
    asked = request(data, target).learnt(found.ranges(made))
    return measured(found.network.with_weights(made.weights), asked)


def shorter(found: Learning) -> Parameters:
    """Return parameters with each range shorter than the compiler's, each by another factor."""
    start = found.start(found.units)
    inputs = {label: start.inputs[label] - 0.1 * (n + 1) for n, label in enumerate(start.inputs)}
    columns = {label: one - 0.5 * np.abs(normal(*one.shape, seed=3)) for label, one in start.columns.items()}
    return real(start._replace(inputs=inputs, columns=columns), found.units)


@pytest.mark.parametrize("x", [3.3, -41.7, 20.0])
def test_the_gradient_of_an_input_range_is_the_slope_over_whole_steps(x: float) -> None:
    """From one scale to another at which the value lies as far beside its code, rounding adds nothing to the slope."""

    def value(scale: Any) -> Any:
        at = Converters(scale, *np.float32([0.0, -127.0, 127.0]), np.ones((1, 1)), np.float32(1.0))
        return read(np.float32(x), at)

    first, second = (np.float32(abs(x) / steps) for steps in (30.3, 31.3))
    slope = (value(second) - value(first)) / (second - first)
    for scale in (first, second):
        assert float(jax.grad(value)(scale)) == pytest.approx(float(slope), abs=2e-3)
    clipped = np.float32(abs(x) / 200.0)
    assert float(jax.grad(value)(clipped)) == pytest.approx(127.0 * np.sign(x), rel=1e-5)


def test_the_gradient_of_a_column_s_range_is_the_slope_over_whole_steps() -> None:
    op = next(op for op in perceptron(1, 1).operations if isinstance(op, nn.DenseOp))
    at = Converters(*np.float32([1.0, 0.0, -127.0, 127.0]), np.ones((1, 1)), np.float32(1.0))

    def value(step: Any, x: float = 1.0) -> Any:
        cells = Cells(np.ones((1, 1), np.float32), step[None], np.zeros(1, np.float32))
        return converted(op, np.float32([[x]]), cells, at, (-127, 127))[0, 0]

    first, second = (np.float32(1.0 / steps) for steps in (30.3, 31.3))
    slope = (value(second) - value(first)) / (second - first)
    assert float(jax.grad(value)(first)) == pytest.approx(float(slope), abs=1e-3)
    assert float(jax.grad(value)(np.float32(0.1), 50.0)) == pytest.approx(127.0)


@pytest.mark.parametrize(
    ("graph", "shape"), [(perceptron(40, 10, 4), (40,)), (residual(), (6, 6, 3))], ids=["perceptron", "residual"]
)
def test_the_compiler_has_the_ranges_that_were_learnt(graph: Any, shape: tuple[int, ...]) -> None:
    data = samples(60, *shape)
    found = learning(graph, data)
    made = shorter(found)
    facts = again(found, made, data)
    for label, at in found.converters(facts.converters, made).items():
        told = facts.converters[label]
        assert float(told.scale) == pytest.approx(float(at.scale), rel=2.0**-9)
        assert (told.zero, told.low, told.high) == (at.zero, at.low, at.high)
        np.testing.assert_allclose(told.peak, at.peak, rtol=2.0**-8, atol=1.0)
        before = found.facts.converters[label]
        assert label not in found.reads or float(told.scale) < 0.95 * float(before.scale)


def test_values_that_are_summed_as_well_keep_the_room_that_data_ask_for() -> None:
    """Wide codes of a residual sum do not end where the short ones that a layer reads do."""
    graph, data = residual(), samples(60, 6, 6, 3)
    found = learning(graph, data)
    asked = replace(request(data), pipeline=behind_stage(DEFAULT, "graph"), start="graph")
    plain = compile_graph(graph.copy(), asked).ranges
    learnt = found.ranges(shorter(found))
    told = compile_graph(graph.copy(), asked.learnt(learnt)).ranges
    assert {label: told.activations[label] for label in learnt.activations} == learnt.activations
    assert {label: told.columns[label] for label in learnt.columns} == learnt.columns
    for label in learnt.activations:
        assert told.wide[label] == plain.activations[label]


def test_a_range_that_is_too_wide_is_learnt_shorter_and_is_what_the_program_has() -> None:
    """One sample reaches eight times as far as the others, and takes most four-bit codes from them."""
    data = samples(60, 12)
    data["x"][0] *= 8.0
    four = chip(array__tiles=30, array__rows=16, array__columns=12, dac__bits=4, adc__bits=8)
    found = learning(perceptron(12, 4), data, target=four)
    units, table = found.units, DeviceTable(np.arange(509, dtype=np.float32), np.zeros(509, np.float32))
    asked = replace(request(data, four), pipeline=behind_stage(DEFAULT, "graph"), start="graph")

    run = Run(found, Data({"x": data["x"][1:]}), 5, [table], lambda weights, ranges: found.facts, {})
    *_, (last, _) = run.steps(run.begin(units), units)
    made = real(last.done, units)
    assert not last.done.weights
    assert float(made.inputs["x"]) < 0.6 * float(units.inputs["x"])
    ranges = found.ranges(made)
    program = compile_graph(found.network.with_weights(made.weights), asked.learnt(ranges)).emission.program
    assert program.meta["ranges"]["activations"]["x"] == list(ranges.activations["x"])


def test_ranges_of_converters_without_a_gain_are_those_of_inputs_alone() -> None:
    found = learning(perceptron(12, 8, 4), samples(60, 12), target=chip(adc__gain="unity"))
    assert list(found.units.inputs) == ["x", "d0"]
    assert not found.units.columns


@pytest.mark.parametrize("text", ["all,columns", "ranges,", "nothing"])
def test_what_cannot_be_learnt_together_is_refused(text: str) -> None:
    with pytest.raises(CimcError, match="setting learn is"):
        changed([f"learn={text}"])
