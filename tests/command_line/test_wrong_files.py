"""What is no file that can be read, in every place that takes one: a coded error that says what to do, no output."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from command_line.conftest import Command

INPUTS = "--input images.npz --scale 0.0625"
PLACES: Mapping[str, str] = {
    "model": "compile WRONG --ranges digits.json -o out.asm",
    "calibration": "compile digits.onnx --calib WRONG -o out.asm",
    "ranges": "compile digits.onnx --ranges WRONG -o out.asm",
    "target": "compile digits.onnx --ranges digits.json --target WRONG.toml -o out.asm",
    "IR": "opt WRONG -o out.mlir",
    "root": "compile digits.onnx --ranges digits.json --model-root WRONG -o out.asm",
    "program": f"run WRONG {INPUTS} -o out.npz",
    "input": "run digits.asm --input WRONG -o out.npz",
    "noise": f"run digits.asm {INPUTS} --noise WRONG.toml --time 1d -o out.npz",
    "chip": f"run digits.asm {INPUTS} --chip WRONG -o out.npz",
    "labels": "eval digits.asm --data WRONG",
    "sweep": "sweep WRONG -o out.parquet",
    "table": "sweep pareto WRONG",
    "scores": "report digits.asm --eval WRONG -o out.html",
    "trace": "trace-diff WRONG WRONG",
    "commands": f"debug digits.asm {INPUTS} --commands WRONG",
    "covered": "conformance --coverage WRONG",
}

KINDS: Mapping[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "circle": lambda path: path.symlink_to(path.name),
    "fifo": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_it_is_refused(cimc: Command, folder: Path, place: str, kind: str) -> None:
    for name in ("WRONG", "WRONG.toml"):
        KINDS[kind](folder / name)
    status, said = cimc(PLACES[place])
    assert status in (2, 3), said
    assert "error[CIM" in said and "WRONG" in said and "hint: " in said
    assert not list(folder.glob("out*"))
