"""Refit: gain and offset of every column from unlabelled data on the noisy chip."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from frontend.onnx_models import written
from frontend.recurrent_models import recurrent
from targets.stages import Array, chip, emitted, lowered, normal, perceptron, residual

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.ports import quantise
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.walk import Walk
from cimc.backends.silicon.compensation_mode import compensated
from cimc.backends.silicon.refit import exact_sums, refitted
from cimc.frontend import load
from cimc.ir.graph import Graph
from cimc.isa.constants import ConstantMemory
from cimc.isa.limits import MULTIPLIER_LIMIT
from cimc.isa.program import Program

WHOLE = chip(array__tiles=20, array__rows=40, array__columns=6)
"""One row block a layer: a converter's gain is then a column's."""
SILENT = load_profile("generic").silent()
GAIN = Noise(SILENT.with_numbers(adc__gain=Decimal("0.125")), seed=3, sources=frozenset({"adc"}))
OFFSET = Noise(SILENT.with_numbers(adc__offset=Decimal(12)), seed=3, sources=frozenset({"adc"}))
DRIFT = Noise(load_profile("generic,drift.sigma=0"), time_s=10**7, sources=frozenset({"drift"}))


def recurrence() -> Graph:
    """Return a layer with a product inside its loop."""
    with TemporaryDirectory() as folder:
        return load(written(recurrent("RNN", initial="none", steps=4), Path(folder)))


GRAPHS: dict[str, Callable[[], tuple[Graph, Array]]] = {
    "perceptron": lambda: (perceptron(30, 10, 4), normal(60, 30)),
    "residual": lambda: (residual(), normal(12, 6, 6, 3)),
    "recurrence": lambda: (recurrence(), normal(60, 4, 4)),
}


def made(kind: str) -> tuple[Program, Array]:
    """Return a program without drift compensation, and codes for it."""
    graph, x = GRAPHS[kind]()
    program = emitted(lowered(graph, {"x": x}, target=WHOLE), WHOLE).program
    return program, quantise(program.inputs[0], x)


@pytest.fixture(scope="module", params=GRAPHS)
def case(request: pytest.FixtureRequest) -> tuple[Program, Array]:
    return made(request.param)


def outputs(program: Program, codes: Array, noise: Noise | None = None) -> Array:
    return next(iter(Interpreter(program, noise=noise).run({"x": codes}).values())).astype(np.int64)


def test_a_silent_chip_needs_no_refit(case: tuple[Program, Array]) -> None:
    program, codes = case
    fitted = refitted(program, {"x": codes}, Noise(SILENT)).program
    np.testing.assert_array_equal(outputs(fitted, codes), outputs(program, codes))


@pytest.mark.parametrize("noise", [GAIN, OFFSET, DRIFT], ids=["gain", "offset", "drift"])
def test_errors_of_whole_columns_are_undone(case: tuple[Program, Array], noise: Noise) -> None:
    program, codes = compensated(case[0], "none"), case[1]
    exact = outputs(program, codes)
    before = np.abs(outputs(program, codes, noise) - exact).mean()
    fitted = refitted(program, {"x": codes}, noise).program
    after = np.abs(outputs(fitted, codes, noise) - exact).mean()
    assert before > 0.01 * np.abs(exact).mean()
    assert after < 0.5 * before


def test_multipliers_stay_within_16_bits(case: tuple[Program, Array]) -> None:
    program, codes = case
    fitted, columns = refitted(program, {"x": codes}, DRIFT).program, program.block_columns
    for one in fitted.instructions:
        if one.name == "mvm":
            scale = ConstantMemory(fitted.constants).read(one["scale"], "i32", one["blocks"] * columns[one["block"]])
            assert np.abs(scale).max() < MULTIPLIER_LIMIT


def test_only_the_epilogues_change(case: tuple[Program, Array]) -> None:
    program, codes = case
    fitted = refitted(program, {"x": codes}, GAIN).program
    assert fitted.constants.startswith(program.constants)
    assert (fitted.inputs, fitted.outputs, fitted.meta) == (program.inputs, program.outputs, program.meta)
    for old, new in zip(program.instructions, fitted.instructions, strict=True):
        differ = {f.name for f in old.spec.fields if old[f.name] != new[f.name]} if old.name == new.name else {"name"}
        assert differ <= ({"scale", "bias", "shift"} if old.name == "mvm" else set())


def test_refit_is_deterministic(case: tuple[Program, Array]) -> None:
    program, codes = case
    first, second = (refitted(program, {"x": codes}, GAIN).program for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "sources", [("programming", "drift", "read"), ("programming", "cycle", "output", "adc", "dac")]
)
def test_one_walk_gives_the_bits_of_a_fresh_chip_for_every_layer(
    case: tuple[Program, Array], sources: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    program, codes = case
    noise = Noise(load_profile("pcm"), seed=5, time_s=3600, sources=frozenset(sources))
    found = refitted(program, {"x": codes}, noise, exact_sums(program, {"x": codes}))
    planned = Interpreter(found.program, noise=noise, planned=found.plan).run({"x": codes})[program.outputs[0].name]
    np.testing.assert_array_equal(planned, outputs(found.program, codes, noise))
    monkeypatch.setattr(
        Walk, "branch", lambda walk, changed: Walk(changed, walk.state.machine, walk.state.crossbar.noise)
    )
    assert refitted(program, {"x": codes}, noise).program == found.program


def test_columns_that_never_change_keep_their_gain() -> None:
    """One image alone says nothing about a gain, only about an offset."""
    program, codes = made("perceptron")
    fitted = refitted(program, {"x": codes[:1]}, GAIN).program
    for old, new in zip(program.instructions, fitted.instructions, strict=True):
        if old.name == "mvm":
            count = old["blocks"] * program.block_columns[old["block"]]
            before, after = (
                ConstantMemory(p.constants).read(o["scale"], "i32", count) for p, o in ((program, old), (fitted, new))
            )
            assert before.tolist() == after.tolist()


def test_row_blocks_of_a_column_are_refitted_together() -> None:
    tiled = chip(array__tiles=20, array__rows=16, array__columns=6)
    x = normal(60, 30)
    program = compensated(emitted(lowered(perceptron(30, 10, 4), {"x": x}, target=tiled), tiled).program, "none")
    codes = quantise(program.inputs[0], x)
    assert max(one["blocks"] for one in program.instructions if one.name == "mvm") == 2
    exact, fitted = outputs(program, codes), refitted(program, {"x": codes}, DRIFT).program
    before, after = (np.abs(outputs(p, codes, DRIFT) - exact).mean() for p in (program, fitted))
    assert after < 0.5 * before
