"""One measured chip through the commands: the sample model on both interpreters."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line.files import SAMPLES, lay
from command_line.test_cases import run

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.machine.observer import Writes
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.reference import instructions as reference
from cimc.driving.chip_files import load_chip
from cimc.isa.container import load_program

DRAWN = "--noise pcm --seed 7 --time 1d"
DATA = f"--input {SAMPLES / 'digits_test.npz'} --limit 20"
LABELLED = f"--data {SAMPLES / 'digits_test.npz'} --limit 100"
Command = Callable[[str], tuple[int, str]]


@pytest.fixture(scope="module")
def drawn_chip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A drawn chip with the sample model in it."""
    folder = tmp_path_factory.mktemp("chip")
    lay("digits.cimb", folder)
    status, told = run(["chip", str(folder / "digits.cimb"), *DRAWN.split(), "-o", str(folder / "chip.npz")])
    assert status == 0, told
    assert "cells conduct whole codes: that loses 0." in told
    return (folder / "chip.npz").read_bytes()


@pytest.fixture
def chip(drawn_chip: bytes, folder: Path) -> Path:
    """The chip as chip.npz, and its program beside it."""
    lay("digits.cimb", folder)
    (folder / "chip.npz").write_bytes(drawn_chip)
    return folder / "chip.npz"


def test_the_sample_model_gives_the_bits_of_its_noise_on_both_interpreters(chip: Path) -> None:
    program = load_program("digits.cimb")
    (port,) = program.inputs
    x = np.load(SAMPLES / "digits_test.npz")["x"][:1].astype(np.float32) / 16
    codes = ports.quantise(port, x.reshape(1, *port.model_shape))
    twin, drawn = Noise.of_chip(load_chip(str(chip), program)), Noise(load_profile("pcm"), 7, 86400)
    seen = []
    for noise, executor in ((drawn, "best"), (twin, "best"), (twin, "numpy")):
        seen.append([])
        keep = Writes(lambda index, values: seen[-1].append((index, values.tolist())))
        Interpreter(program, noise=noise, executor=executor).run({port.name: codes}, keep)
    seen.append([])
    reference.run(program, {port.name: codes[0].tolist()}, keep, twin)
    assert all(one == seen[0] for one in seen)


def test_run_and_eval_on_a_chip_say_what_the_noise_says(cimc: Command, chip: Path) -> None:
    for name, options in (("drawn", DRAWN), ("twin", "--chip chip.npz")):
        assert cimc(f"run digits.cimb {DATA} {options} --layers -o {name}.npz") == (0, "")
    drawn, twin = np.load("drawn.npz"), np.load("twin.npz")
    assert [name for name in drawn if (drawn[name] != twin[name]).any()] == ["run.facts"]
    scores = [json.loads(cimc(f"eval digits.cimb {LABELLED} --json {one}")[1]) for one in (DRAWN, "--chip chip.npz")]
    assert scores[0]["accuracy"] == scores[1]["accuracy"]
    assert scores[1]["noise"].pop("chip")
    assert scores[0]["noise"] == scores[1]["noise"]


@pytest.mark.parametrize(
    "command",
    [
        "image digits.cimb --format raw -o image",
        f"trace digits.cimb {DATA} -o x.trace --time 30d",
        pytest.param(f"eval digits.cimb {LABELLED} --time 1d,30d", marks=pytest.mark.nightly),
        f"run digits.cimb {DATA} -o y.npz --compensation refit --calib {SAMPLES / 'digits_calib.npz'} --calib-limit 16",
    ],
)
def test_other_commands_take_a_chip(cimc: Command, chip: Path, command: str) -> None:
    assert cimc(f"{command} --chip chip.npz")[0] == 0


def test_the_debugger_steps_over_a_chip_to_its_end(cimc: Command, chip: Path) -> None:
    Path("steps.txt").write_text("layer node_linear\nstep\ncell 0 928 48\nrun\nprint logits\nsave all.npz\n")
    told = []
    for options in (DRAWN, "--chip chip.npz"):
        stepping = f"debug digits.cimb --input {SAMPLES / 'digits_test.npz'} --commands steps.txt {options}"
        status, output = cimc(stepping)
        steps = output.partition("\n")[2]  # the line above names the chip
        told.append(((status, steps), {name: one.tolist() for name, one in np.load("all.npz").items()}))
    drawn, twin = told
    assert twin == drawn
    (status, output), _ = twin
    assert status == 0 and "at the end, " in output


def test_a_plot_without_times_is_of_the_chip_when_it_was_read(
    cimc: Command, chip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cimc.command_line.noise_sweep.require_packages", lambda *_: None)
    monkeypatch.setattr("cimc.command_line.noise_sweep.picture", lambda *_: b"")
    status, told = cimc(f"eval digits.cimb {LABELLED} --chip chip.npz --plot x.png --json")
    assert status == 0, told
    assert [(one["time"], one["seconds"]) for one in json.loads(told)["times"]] == [("1d", 86400)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--chip chip.npz --noise pcm", "--noise draws a chip, and --chip gives one"),
        ("--chip chip.npz --seed 3", "--seed draws a chip, and --chip gives one"),
        ("--chip chip.npz --time 1h", "tile 0 of the chip was read at 86400 s, its devices at 3600 s are asked for"),
        ("--chip digits.cimb", "digits.cimb is a program, a file of arrays is needed in its place"),
    ],
)
def test_contradictions_are_refused(cimc: Command, chip: Path, options: str, told: str) -> None:
    status, output = cimc(f"run digits.cimb {DATA} -o y.npz {options}")
    assert status != 0
    assert told in output
