"""Recurrent models through the command line: proof, linter, text of every stage, size against sequence length."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line.conftest import Command
from frontend.recurrent_models import STATES, recurrent

from cimc.ir.text import parse_graph, print_graph
from cimc.passes.pipeline import STAGES

FORMS: dict[str, Any] = {
    **{
        f"{operator}_{direction}": (operator, direction, {})
        for operator in STATES
        for direction in ("forward", "reverse")
    },
    "lstm_both": ("LSTM", "bidirectional", {"peepholes": True, "clip": 1.5}),
    "gru_both": ("GRU", "bidirectional", {"linear_before_reset": 1}),
    "rnn_relu": ("RNN", "forward", {"activations": ["Relu"]}),
    "lengths_given": ("GRU", "bidirectional", {"lengths": "computed"}),
    "lengths": ("LSTM", "reverse", {"rows": 3, "lengths": [5, 2, 1]}),
}


def lay(folder: Path, operator: str, direction: str = "forward", **options: Any) -> str:
    """Write m.onnx and x.npz; return the options that the model is compiled with."""
    proto = recurrent(operator, direction, **options)
    unbatched = options.get("rows", "N") != "N"
    rng, arrays = np.random.default_rng(0), {}
    for value in proto.graph.input:
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        shape = (6, *(size for size in sizes if size))
        given = rng.integers(1, 6, shape) if value.name == "lengths" else rng.normal(0.0, 0.7, shape)
        arrays[value.name] = given
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    np.savez(folder / "x.npz", **arrays)
    return "--unbatched" if unbatched else ""


@pytest.mark.parametrize("form", FORMS)
def test_it_is_proved_and_has_no_faults(form: str, cimc: Command, folder: Path) -> None:
    operator, direction, options = FORMS[form]
    more = lay(folder, operator, direction, **options)
    status, output = cimc(f"compile m.onnx --calib x.npz {more} -o p.asm")
    assert status == 0, output
    status, output = cimc("lint p.asm")
    assert status == 0 and output.endswith(": 0 findings\n")
    status, output = cimc("verify m.onnx p.asm --input x.npz --limit 3 --reference-samples 2")
    assert status == 0, output
    assert "ok: every tensor equal, 3 samples on integer graph and interpreter, 2 of them on the reference" in output
    ratio = min(float(line.split("noise")[1].split()[0]) for line in output.splitlines() if "float model" in line)
    assert ratio > 25.0, output


@pytest.mark.parametrize("operator", STATES)
def test_the_program_has_the_same_size_for_any_length(operator: str, cimc: Command, folder: Path) -> None:
    found = []
    for steps in (4, 40):
        lay(folder, operator, initial="none", steps=steps)
        facts = json.loads(cimc("compile m.onnx --calib x.npz -o p.asm --json")[1].splitlines()[-1])
        found.append((facts["static_instructions"], facts["mvms"] / steps))
    assert found[0] == found[1]


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "program"])
def test_text_of_a_stage(stage: str, cimc: Command, folder: Path) -> None:
    lay(folder, "GRU", "reverse")
    assert cimc(f"compile m.onnx --calib x.npz --compile-to {stage} -o s.mlir")[0] == 0
    source = (folder / "s.mlir").read_text()
    assert '"loop.scan"' in source
    assert print_graph(parse_graph(source)) == source
    if shutil.which("mlir-opt-22"):
        command = ["mlir-opt-22", "--allow-unregistered-dialect", "--mlir-print-debuginfo", "s.mlir"]
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert (found.returncode, found.stderr) == (0, "")


def test_stored_ranges_give_the_same_program(cimc: Command, folder: Path) -> None:
    lay(folder, "LSTM")
    assert cimc("compile m.onnx --calib x.npz --write-ranges r.json -o a.cimb")[0] == 0
    assert cimc("compile m.onnx --ranges r.json -o b.cimb")[0] == 0
    assert (folder / "a.cimb").read_bytes() == (folder / "b.cimb").read_bytes()


def test_the_golden_graph_gives_the_same_codes(cimc: Command, folder: Path) -> None:
    import onnxruntime as ort

    lay(folder, "LSTM", "bidirectional")
    assert cimc("compile m.onnx --calib x.npz -o p.asm")[0] == 0
    assert cimc("run p.asm --input x.npz -o y.npz")[0] == 0
    assert cimc("export-onnx m.onnx --calib x.npz -o golden.onnx")[0] == 0
    session = ort.InferenceSession(str(folder / "golden.onnx"), providers=["CPUExecutionProvider"])
    with np.load(folder / "x.npz") as given, np.load(folder / "y.npz") as wanted:
        names = [one.name for one in session.get_outputs()]
        results = session.run(names, {name: given[name].astype(np.float32) for name in given.files})
        for name, array in zip(names, results, strict=True):
            np.testing.assert_array_equal(array, wanted[name])


def test_a_damaged_loop_is_found(cimc: Command, folder: Path) -> None:
    """One step too few in the loop: the recompilation says so."""
    lay(folder, "RNN")
    assert cimc("compile m.onnx --calib x.npz -o p.asm")[0] == 0
    text = (folder / "p.asm").read_text()
    assert text.count("loop count=5") == 1
    changed = re.sub(r"(?m)^\.code .*\n", "", text.replace("loop count=5", "loop count=4"))
    (folder / "p.asm").write_text(changed)
    status, output = cimc("verify m.onnx p.asm --input x.npz --limit 1")
    assert (status, "expected loop count=5, found loop count=4" in output) == (1, True), output
