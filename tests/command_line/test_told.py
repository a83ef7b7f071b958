"""Whoever prints facts of a program says which program, and whoever draws a chip says which chip and how old it is."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line.files import lay

from cimc.command_line.commands import COMMANDS
from cimc.driving.provenance import SHORT
from cimc.isa.binary import program_digest
from cimc.isa.container import load_program
from cimc.isa.errors import FAILED, INVALID

ON = "--noise pcm --seed 731 --time 3601s"
"""A chip whose number and age no output holds by chance."""
INPUT = "--input images.npz --limit 1"
LAYERS = f"run digits.asm {INPUT} --layers -o codes.npz"
OTHER = "compile digits.onnx --calib digits_calib.npz --scale 0.0625 --target hermes-64 -o other.asm"
BANDS = f"bands digits.asm {INPUT} --seeds 4 {ON} -o bands.npz"
CHIP = f"chip digits.asm {ON} -o chip.npz"

PROGRAM = {
    "compile": ["compile digits.onnx --calib digits_calib.npz --scale 0.0625 -o digits.asm"],
    "lint": ["lint digits.asm"],
    "cost": ["cost digits.asm"],
    "schedule": ["schedule digits.asm -o s.html", "schedule digits.asm -o s.vcd", "schedule digits.asm -o s.pftrace"],
    "asm": ["asm digits.asm -o d.cimb --json"],
    "verify": [f"verify digits.onnx digits.asm {INPUT}"],
}
"""Command -> words of which each says the program."""
CHIPS = {
    "run": [f"run digits.asm {INPUT} {ON} -o y.npz", f"run digits.asm {INPUT} {ON} --print"],
    "compare": [f"compare digits.onnx digits.asm {INPUT} {ON}"],
    "eval": [f"eval digits.asm --data digits_test.npz --limit 8 {ON}"],
    "report": [f"report digits.asm {INPUT} {ON} -o r.{form}" for form in ("html", "json", "csv")]
    + [f"report digits.asm {ON} -o r.html"],
    "bands": [BANDS],
    "chip": [CHIP],
    "where": [f"where digits.asm conv1.weight[0,0,0,0] --model digits.onnx {ON}"],
    "image": [f"image digits.asm {INPUT} {ON} -o image"],
    "trace": [f"trace digits.asm {INPUT} {ON} -o t.trace"],
    "debug": [f"debug digits.asm {INPUT} {ON} --commands steps.txt"],
}
"""Command -> words of which each says the program, the chip and its age."""
OF_FILES = {
    "diff": [OTHER, "diff digits.asm other.asm"],
    "check-silicon": [BANDS, LAYERS, "check-silicon bands.npz codes.npz"],
    "diagnose": [CHIP, "diagnose digits.asm --chip chip.npz"],
    "twin": [LAYERS, f"twin digits.asm --measured codes.npz {INPUT} -o twin.npz"],
}
"""Command -> words that make what it reads, and its own words behind them, which say the program."""
JSON = {
    "lint": "lint digits.asm --json",
    "cost": "cost digits.asm --json",
    "verify": f"verify digits.onnx digits.asm {INPUT} --json",
    "eval": f"eval digits.asm --data digits_test.npz --limit 8 {ON} --json",
    "bands": f"{BANDS} --json",
}
"""Words of commands that print their facts as JSON too: with the whole hash, under its name."""
ELSEWHERE = {
    "trace-diff": "compares files which say it, and refuses those of two programs",
    "sweep": "a table with a row for each trial: tests/sweep",
    "train": "writes a model, not a program: its provenance is in tests/training",
    "export-onnx": "writes an integer graph, before there is a program",
    "objdump": "prints the program itself",
    "conformance": "writes programs of its own, each with a trace that says it",
    "opt": "no program yet",
    "tune": "no program yet",
    "check": "no program yet",
    **dict.fromkeys(("target", "noise", "passes", "explain", "doctor", "completion"), "tells nothing of a program"),
}


def test_every_command_has_a_case():
    assert {*PROGRAM, *CHIPS, *OF_FILES, *ELSEWHERE} == {command.name for command in COMMANDS}


LAID = ("digits.asm", "digits.onnx", "digits_calib.npz", "digits_test.npz", "images.npz", "steps.txt")


@pytest.fixture
def laid(folder):
    for name in LAID:
        lay(name, folder)
    return folder


@pytest.fixture
def said(cimc, laid):
    """A function from lines of words to all that the last of them prints and writes, as text."""

    def told(*lines: str) -> str:
        for words in lines[:-1]:
            assert cimc(words)[0] == 0
        before = _files(laid)
        status, output = cimc(lines[-1])
        assert status in (0, FAILED, INVALID), output
        return output + "".join(content for path, content in _files(laid).items() if before.get(path) != content)

    return told


def _files(folder: Path) -> dict[Path, str]:
    """Return what lies in a folder as text, but programs themselves; of arrays their bytes, unpacked."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix not in (".asm", ".payload", ".cimb"):
            content = _unpacked(path) if path.suffix == ".npz" else path.read_bytes()
            found[path] = content.decode("latin-1")
    return found


def _unpacked(path: Path) -> bytes:
    with np.load(path) as arrays:
        return b"".join(array.tobytes().replace(b"\0", b"") for array in arrays.values())


def digest() -> str:
    return program_digest(load_program("digits.asm"))


@pytest.mark.parametrize("words", [words for each in PROGRAM.values() for words in each])
def test_the_program_is_told(words, said):
    assert digest()[:SHORT] in said(words)


@pytest.mark.parametrize("words", [words for each in CHIPS.values() for words in each])
def test_the_chip_is_told(words, said):
    text = said(words)
    assert all(fact in text for fact in (digest()[:SHORT], "731", "3601"))


@pytest.mark.parametrize("lines", OF_FILES.values(), ids=OF_FILES)
def test_the_program_of_files_is_told(lines, said):
    assert digest()[:SHORT] in said(*lines)


@pytest.mark.parametrize("words", JSON.values(), ids=JSON)
def test_json_has_the_whole_hash(words, cimc, laid):
    facts, _ = json.JSONDecoder().raw_decode(cimc(words)[1])
    assert facts["program"] == digest()
