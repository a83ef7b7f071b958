"""Drift compensation in the program: without noise it changes nothing, with drift it brings gain back."""

from dataclasses import replace

import numpy as np
import pytest
from targets.stages import Array, chip, emitted, lowered, normal, perceptron

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.ports import quantise
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.compensation_mode import MODES, compensated
from cimc.isa.program import Program

SMALL = chip(array__tiles=20, array__rows=16, array__columns=6)
X = normal(60, 30)
DRIFT = Noise(load_profile("generic,drift.sigma=0"), time_s=10**7, sources=frozenset({"drift"}))


@pytest.fixture(scope="module")
def program() -> Program:
    return emitted(lowered(perceptron(30, 10, 4), {"x": X}, target=SMALL), SMALL).program


def outputs(program: Program, noise: Noise | None = None) -> Array:
    return Interpreter(program, noise=noise).run({"x": quantise(program.inputs[0], X)})["out"].astype(np.int64)


def names(program: Program) -> list[str]:
    return [one.name for one in program.instructions]


@pytest.mark.parametrize("mode", MODES)
def test_without_noise_every_mode_gives_the_same_bits(program: Program, mode: str) -> None:
    np.testing.assert_array_equal(outputs(compensated(program, mode)), outputs(program))


def test_a_silent_profile_is_no_noise(program: Program) -> None:
    silent = Noise(load_profile("generic").silent(), time_s=10**7)
    np.testing.assert_array_equal(outputs(program, silent), outputs(program))


def test_a_program_without_vectors_gives_the_same_bits(program: Program) -> None:
    bare = emitted(lowered(perceptron(30, 10, 4), {"x": X}, target=SMALL, compensation="vectors=0"), SMALL).program
    assert "calibrate" not in names(bare)
    np.testing.assert_array_equal(outputs(bare), outputs(program))


def test_none_leaves_instruction_numbers_as_they_were(program: Program) -> None:
    bare = compensated(program, "none")
    assert [("nop" if name == "calibrate" else name) for name in names(program)] == names(bare)


def test_column_is_the_program_as_compiled(program: Program) -> None:
    assert compensated(program, "column") == program


def test_block_sums_the_references_of_its_columns(program: Program) -> None:
    changed = compensated(program, "block")
    for old, new in zip(program.instructions, changed.instructions, strict=True):
        if old.name == "calibrate":
            width = program.block_columns[old["block"]]
            before = np.frombuffer(program.constants, "<i8", old["blocks"] * width, old["reference"])
            after = np.frombuffer(changed.constants, "<i8", new["blocks"], new["reference"])
            assert after.tolist() == before.reshape(-1, width).sum(axis=1).tolist()


@pytest.mark.parametrize("mode", ["block", "column"])
def test_uniform_drift_is_undone(program: Program, mode: str) -> None:
    exact = outputs(program)
    drifted = np.abs(outputs(compensated(program, "none"), DRIFT) - exact).mean()
    mended = np.abs(outputs(compensated(program, mode), DRIFT) - exact).mean()
    assert mended < 0.2 * drifted


def test_the_factors_belong_to_chip_and_time_not_to_the_batch(program: Program) -> None:
    noise = replace(DRIFT, profile=load_profile("generic"), sources=frozenset({"programming", "drift", "read"}))
    codes = quantise(program.inputs[0], X)
    whole = Interpreter(program, noise=noise).run({"x": codes})["out"]
    part = Interpreter(program, noise=replace(noise, sample_offset=20)).run({"x": codes[20:]})["out"]
    np.testing.assert_array_equal(whole[20:], part)
