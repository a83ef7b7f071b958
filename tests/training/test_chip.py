"""The chip in jax: the compiler's own codes, the interpreter's noise, and gradients that pass rounding."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import chip as chip_of
from targets.stages import normal, perceptron, residual
from training.networks import SMALL, facts, request, samples

from cimc.backends.machine.facts import machine
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.device_moments import Moments, moments
from cimc.driving.driver import Request, compile_graph, run_pipeline
from cimc.driving.scoring import chunks
from cimc.evaluate import evaluate
from cimc.ir import nn
from cimc.ir.facts import AVERAGED, ROWS
from cimc.ir.graph import Graph, label_of
from cimc.ir.nn import Computed
from cimc.ir.types import code_of
from cimc.ir.xbar import MvmOp
from cimc.isa.errors import CimcError
from cimc.passes.calibrate import ranges_read
from cimc.passes.chosen import Chosen
from cimc.passes.dither import constant_channels
from cimc.passes.pipeline import DEFAULT, behind_stage, with_options
from cimc.passes.ranges import Ranges

jax = pytest.importorskip("jax", reason="the extra `train` is not installed")

from cimc.training import chip, student  # noqa: E402
from cimc.training.array_facts import Codes, measured  # noqa: E402
from cimc.training.network import Network  # noqa: E402
from cimc.training.operations import clamped  # noqa: E402

DAY = Noise(load_profile("pcm"), time_s=86400)


def silent(found: Any) -> chip.Chip:
    return chip.Chip(found, found.converters)


def noisy(found: Any, strength: float = 1.0) -> chip.Chip:
    table = chip.DeviceTable.of(moments(machine({"target": SMALL.sections()}), DAY), strength)
    return chip.Chip(found, found.converters, table)


def halved(graph: Any, asked: Request) -> Ranges:
    """Return half of each range that the compiler finds, of what layers read and of columns."""
    asked = replace(asked, pipeline=behind_stage(asked.pipeline, "graph"), start="graph")
    found = compile_graph(graph.copy(), asked).ranges
    ends = {label: found.activations[label] for label in ranges_read(graph, SMALL).values()}
    short = {label: (0.5 * low, 0.5 * high) for label, (low, high) in ends.items()}
    return Ranges(short, {label: tuple(peak // 2 for peak in peaks) for label, peaks in found.columns.items()})


LOWERED = {
    "perceptron": {"d0": (4, 8), "d1": (6, 8)},
    "residual": {"stem": (6, 8), "scores": (3, 8)},
}
"""Bits of inputs of the small networks, fewer than the DAC has."""


@pytest.mark.parametrize(
    ("columns", "rounding", "learnt", "lowered", "rows"),
    [
        (0, "alike", False, False, 1),
        (3, "alike", False, False, 1),
        (3, "apart", False, False, 1),
        (0, "alike", True, False, 1),
        (0, "alike", False, True, 1),
        (0, "alike", False, True, 4),
        (2, "apart", False, True, 4),
    ],
)
@pytest.mark.parametrize(
    ("name", "graph", "shape"),
    [("perceptron", perceptron(40, 10, 4), (40,)), ("residual", residual(), (6, 6, 3))],
    ids=["perceptron", "residual"],
)
def test_without_noise_every_layer_gives_the_codes_of_the_integer_graph(
    name: str, graph: Any, shape: tuple[int, ...], columns: int, rounding: str, learnt: bool, lowered: bool, rows: int
) -> None:
    """Each layer reads the integer graph's codes. Wide codes are finer than its multipliers of 16 bits: off by one.

    Where rows stand several times, a layer reads what its parts add up to; a constant channel is no part of a layer.
    """
    data, network = samples(100, *shape), Network(graph)
    apart = rounding == "apart"
    target = chip_of(adc__bits=4) if apart else SMALL if rows == 1 else chip_of()
    asked = request(data, target, columns, rows, rounding)
    bits = {f"{label}.columns" if columns else label: bits for label, bits in LOWERED[name].items()}
    asked = replace(asked, chosen=Chosen(bits)) if lowered else asked
    asked = asked.learnt(halved(graph, asked)) if learnt else asked
    found = measured(network.with_weights(network.weights), asked)
    tiles = run_pipeline(network.with_weights(network.weights), replace(
        asked, pipeline=behind_stage(asked.pipeline, "graph"), start="graph"))  # fmt: skip
    layers = {AVERAGED.get(op) or op.label.data: op for op in tiles.operations if isinstance(op, MvmOp)}
    codes = evaluate(tiles, data, [*layers])
    results = {op.label.data: op.out for op in tiles.operations if isinstance(op, Computed)}
    read = evaluate(tiles, data, sorted({label_of(op.x) for op in layers.values()}))
    meaning = silent(found)
    assert any(ROWS.get(op) == rows for op in layers.values()) or rows == 1
    assert any(constant_channels(op) for op in layers.values()) == apart

    def product(op: Any, codes: Any) -> Any:
        weight = network.weights[op.weight.key.data].astype(np.float64)
        cells = {op.label.data: meaning.cells(op, weight, jax.random.key(0))}
        bias = None if op.bias is None else network.weights[op.bias.key.data]
        return clamped(student.layers(meaning, cells, {})(op, codes, weight, bias), op.clamp)

    for op in network.layers:
        mvm = layers.get(op.label.data)
        if mvm is None:
            continue
        given, code = code_of(mvm.x), code_of(results[op.label.data])
        x = (read[label_of(mvm.x)].astype(np.float64) - given.zero.data) * given.scale.data
        x = x[..., : x.shape[-1] - constant_channels(mvm)]
        x = x.reshape(*x.shape[:-1], ROWS.get(mvm) or 1, -1).sum(axis=-2)
        with jax.enable_x64():
            real = np.asarray(jax.jit(partial(product, op))(x))
        mine = np.clip(np.rint(real / code.scale.data + code.zero.data), code.low.data, code.high.data)
        wrong = np.abs(mine - codes[op.label.data].reshape(mine.shape))
        assert wrong.max() <= 1
        assert code.bits.data > 8 or (wrong > 0).mean() <= 5e-4, op.label.data


def shortcut() -> Graph:
    """Return two dense layers of which the second one's result is added to what it reads: `read`, and `added`."""
    b, relu = GraphBuilder(), (0.0, nn.UNBOUNDED)
    x = b.op(nn.DenseOp, [b.input((12,))], (9,), label="read", weight=normal(12, 9) / 4, clamp=relu)
    y = b.op(nn.DenseOp, [x], (9,), label="layer", weight=normal(9, 9, seed=1) / 4)
    b.output(b.op(nn.AddOp, [x, y], (9,), label="added"))
    return b.graph()


@pytest.mark.parametrize(("bits", "rows", "whole"), [(8, 1, 8), (4, 1, 4), (4, 4, 6)])
def test_sums_read_the_codes_that_layers_read(bits: int, rows: int, whole: int) -> None:
    """Four bits that a sum did not read would leave 18 dB, two multipliers that share 16 bits leave 37."""
    data, network = samples(100, 12), Network(shortcut())
    asked = replace(request(data, chip_of(), rows=rows), chosen=Chosen({"layer": (bits, 8)}))
    found = measured(network.with_weights(network.weights), asked)
    assert found.coded == {"x": "read", "read": "layer"}
    meaning, weights, output = silent(found), network.weights, network.output.x
    run = jax.jit(lambda key: student.on_chip(network, meaning, weights, data, key, refit=False)[output])
    tiles = run_pipeline(network.with_weights(network.weights), replace(
        asked, pipeline=behind_stage(asked.pipeline, "graph"), start="graph"))  # fmt: skip
    values = {op.label.data: code_of(op.out) for op in tiles.operations if isinstance(op, Computed)}
    assert values["read"].bits.data == whole
    codes = evaluate(tiles, data, ["added"])["added"].astype(np.float64) - values["added"].zero.data
    assert ratio_db(values["added"].scale.data * codes, np.asarray(run(jax.random.key(0)))) > 30.0


def ratio_db(wanted: np.ndarray, given: np.ndarray) -> float:
    return float(10 * np.log10(wanted.var() / np.square(given - wanted).mean()))


@pytest.mark.parametrize("weights", ["sliced", "offset"])
def test_layers_that_are_several_products_are_refused(weights: str) -> None:
    """Their devices have no part in the student: it would learn without noise, and nobody would be told."""
    data, network = samples(40, 12), Network(perceptron(12, 4))
    pipeline = with_options(DEFAULT, f"weight-mapping{{weights={weights}}}")
    with pytest.raises(CimcError, match=r"CIM0121.*'d0', which is no product of its own"):
        measured(network.with_weights(network.weights), replace(request(data), pipeline=pipeline))


def test_weights_of_fewer_bits_are_refused() -> None:
    """Weights of the student are not rounded: it would learn what the program has not."""
    data, network = samples(40, 12), Network(perceptron(12, 4))
    asked = replace(request(data), chosen=Chosen({"d0": (8, 4)}))
    with pytest.raises(CimcError, match=r"CIM0121.*weights of 'd0' to 4 bits"):
        measured(network.with_weights(network.weights), asked)


@pytest.mark.parametrize("lower", ["both", "activations"])
def test_bits_that_passes_choose_are_refused(lower: str) -> None:
    """They would differ from step to step, between candidates, and from those of the program compiled in the end."""
    data, network = samples(40, 12), Network(perceptron(12, 4))
    pipeline = with_options(DEFAULT, f"mixed-precision{{budget=6.0 lower={lower}}}")
    with pytest.raises(CimcError, match=r"(?s)CIM0121.*budget=6\} chooses bits.*cimc tune --within"):
        measured(network.with_weights(network.weights), replace(request(data), pipeline=pipeline))


@pytest.mark.nightly
@pytest.mark.parametrize(("columns", "rows"), [(0, 1), (4, 1), (0, 4)])
def test_chips_are_as_noisy_as_the_interpreters(columns: int, rows: int) -> None:
    graph, data = perceptron(24, 12, 8), samples(64, 24)
    network = Network(graph)
    asked = request(data, SMALL if rows == 1 else chip_of(), columns, rows)
    asked = asked if rows == 1 else replace(asked, chosen=Chosen({"d0": (6, 8), "d1": (6, 8)}))
    found = measured(network.with_weights(network.weights), asked)
    program = compile_graph(network.with_weights(network.weights), replace(
        asked, pipeline=behind_stage(asked.pipeline, "graph"), start="graph")).emission.program  # fmt: skip
    port = program.outputs[0]

    def outputs(noise: Noise | None) -> np.ndarray:
        return np.concatenate([port.scale * codes[port.name] for _, codes in chunks(program, data, noise, 1)])

    exact = outputs(None)
    machines = np.mean([ratio_db(exact, outputs(replace(DAY, seed=seed))) for seed in range(24)])
    run = jax.jit(lambda key: student.on_chip(network, noisy(found), network.weights, data, key)[network.output.x])
    mine = np.mean([ratio_db(exact, np.asarray(run(jax.random.key(seed)))) for seed in range(24)])
    assert mine == pytest.approx(machines, abs=0.7)


def test_devices_without_errors_only_drift() -> None:
    targets = np.arange(9.0)
    table = chip.DeviceTable.of(Moments(targets, 0.6 * targets + 0.1, 0.2 * np.ones(9)), 0.0)
    assert np.allclose(table.mean, table.mean[1] * targets, atol=1e-6)
    assert not table.deviation.any()


def test_gradients_pass_the_dac_inside_its_range_and_end_outside() -> None:
    at = chip.Converters(*(np.float32(x) for x in (0.5, 0.0, -127.0, 127.0)), np.ones((1, 1)), np.float32(1.0))

    def read(x: Any) -> Any:
        return chip.read(x, at)

    for x, steps in ((3.3, 4), (-20.1, 10), (70.0, 5), (-80.0, 5)):
        slope = (read(x + 0.5 * steps) - read(x)) / (0.5 * steps)
        assert float(jax.grad(read)(x)) == pytest.approx(float(slope), abs=1e-5)


def test_ties_go_to_even_before_the_zero_point_is_added_as_the_compiler_rounds() -> None:
    at = chip.Converters(*(np.float32(x) for x in (0.5, 3.0, -127.0, 127.0)), np.ones((1, 1)), np.float32(1.0))
    assert np.array_equal(chip.read(np.float32([0.25, 0.75, -0.25]), at), np.float32([0.0, 1.0, 0.0]))


def test_gradients_pass_the_adc_inside_its_range_and_end_outside() -> None:

    op = next(op for op in perceptron(4, 3).operations if isinstance(op, nn.DenseOp))
    at = chip.Converters(*(np.float32(x) for x in (1.0, 0.0, -127.0, 127.0)), np.ones((1, 3)), np.float32(1.0))
    cells = chip.Cells(np.eye(4, 3, dtype=np.float32), np.full(3, 0.5, np.float32), np.zeros(3, np.float32))

    def sums(x: Any) -> Any:
        return chip.converted(op, x, cells, at, (-127, 127)).sum()

    gradient = jax.grad(sums)(np.float32([[3.2, 90.0, -90.0, 1.0]]))
    assert np.allclose(gradient, [[1.0, 0.0, 0.0, 0.0]])


def test_a_refit_takes_gain_and_offset_of_every_column_back() -> None:
    aim = normal(50, 4, 3)
    y = aim * np.float32([0.5, 1.5, 2.0]) + np.float32([1.0, -3.0, 0.2])
    assert np.allclose(student.refitted(y, aim), aim, atol=1e-4)


def test_a_refit_takes_gain_back_of_each_of_several_columns() -> None:
    """One of two copies conducts too little: alone it makes the mean too small, fitted it does not."""
    data, network = samples(64, 24), Network(perceptron(24, 12, 8))
    op, one = network.layers[0], silent(facts(network.graph, data, columns=2))
    weight = network.weights[op.weight.key.data]
    gains = np.repeat(np.float32([1.0, 0.6]), 12)
    cells = {
        op.label.data: [
            block._replace(weight=block.weight * gains) for block in one.cells(op, weight, jax.random.key(0))
        ]
    }
    aim = data["x"] @ weight
    plain, fitted = (student.layers(one, cells, {op.label.data: aim}, on)(op, data["x"], weight, None) for on in (0, 1))
    assert np.std(plain) == pytest.approx(0.8 * np.std(aim), rel=0.05)
    assert ratio_db(aim, np.asarray(fitted)) > 25.0


@pytest.mark.nightly
def test_refitted_chips_are_nearer_than_others() -> None:
    graph, data = perceptron(24, 12, 8), samples(64, 24)
    network, found = Network(graph), facts(graph, data)

    @jax.jit
    def errors(key: Any) -> Any:
        sums = student.Sums()
        exact = network.values(network.weights, data, sums)[network.output.x]
        every = [student.on_chip(network, noisy(found), network.weights, data, key, aims) for aims in (sums.kept, None)]
        return [((one[network.output.x] - exact) ** 2).mean() for one in every]

    refitted, plain = np.mean([errors(jax.random.key(number)) for number in range(6)], axis=0)
    assert refitted < 0.8 * plain


def test_each_of_several_columns_has_devices_and_a_converter_of_its_own() -> None:
    """Errors of a mean fall with the square root of its columns: no two of them are the same device."""
    data, network = samples(64, 24), Network(perceptron(24, 12, 8))
    op, found = network.layers[0], facts(network.graph, data, columns=4)
    weight = network.weights[op.weight.key.data]
    for cells in jax.jit(partial(noisy(found).cells, op))(weight, jax.random.key(3)):
        copies = np.moveaxis(np.asarray(cells.weight).reshape(24, 4, 12), 1, 0)
        used = (weight != 0.0) & (copies[0] != 0.0)
        errors = (copies - weight)[:, used]
        assert np.abs(np.corrcoef(errors)[np.triu_indices(4, 1)]).max() < 0.3
        assert errors.mean(axis=0).std() == pytest.approx(errors.std() / 2.0, rel=0.15)


def test_means_are_of_the_codes_that_columns_give() -> None:
    """Two copies of two outputs: each is rounded and clipped before the mean is taken."""
    codes = Codes(*np.float32([0.5, -4.0, 4.0]))
    given = chip.averaged(np.float32([[0.3, 0.7, 0.9, 5.0]]), codes, 2)
    assert np.array_equal(given, [[0.75, 1.25]])


def test_zero_targets_are_devices_too() -> None:
    graph, data = perceptron(24, 12, 8), samples(64, 24)
    network, found = Network(graph), facts(graph, data)
    weight = np.zeros((24, 12), np.float32)
    weight[0] = 1.0
    table = chip.DeviceTable(np.arange(509, dtype=np.float32), np.full(509, 5.0, np.float32))
    one = chip.Chip(found, found.converters, table)
    (block, _) = jax.jit(partial(one.cells, network.layers[0]))(weight, jax.random.key(1))
    assert float(np.asarray(block.weight)[1:12].std()) > 0.001
    assert not np.asarray(block.weight)[12:].any()


def test_a_column_without_weights_stays_finite() -> None:
    """Devices of zeros conduct noise, of which no drift factor can be found."""
    graph = perceptron(40, 10, 4)
    network, made = Network(graph), noisy(facts(graph, samples(100, 40)))
    op = network.layers[0]
    weight = network.weights[op.weight.key.data] * (np.arange(10) != 3)
    for cells in made.cells(op, weight, jax.random.key(0)):
        assert np.isfinite(cells.weight).all()
        assert (np.asarray(cells.step) > 0.0).all()
