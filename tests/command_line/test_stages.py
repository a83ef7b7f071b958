"""Stages: IR text of each, passes continued from text, ranges stored and given back, the golden ONNX graph."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from command_line.conftest import Command
from command_line.files import lay

from cimc.ir.text import parse_graph, print_graph
from cimc.isa.container import load_program
from cimc.passes.pipeline import DEFAULT, STAGES, up_to_stage

CALIBRATED = "--calib digits_calib.npz --scale 0.0625"
TARGETS = ("aon-cim", "hermes-64", "ideal")
TEXT_STAGES = tuple(stage for stage in STAGES if stage != "program")


@pytest.mark.parametrize("stage", TEXT_STAGES)
def test_text_of_a_stage_is_parsed_and_printed_as_it_was(stage: str, cimc: Command, folder: Path) -> None:
    assert cimc(f"compile digits.onnx {CALIBRATED} --compile-to {stage} -o s.mlir") == (0, "")
    source = (folder / "s.mlir").read_text()
    assert print_graph(parse_graph(source)) == source
    assert cimc("opt s.mlir --generic") == (0, source)


@pytest.mark.parametrize("stage", TEXT_STAGES)
def test_the_pipeline_continues_from_the_text_of_a_stage(stage: str, cimc: Command, folder: Path) -> None:
    rest = DEFAULT.removeprefix(up_to_stage(DEFAULT, stage)).removeprefix(",")
    for name, place in ((stage, "start"), ("tile", "end")):
        assert cimc(f"compile digits.onnx {CALIBRATED} --compile-to {name} -o {place}.mlir") == (0, "")
    option = f"--pass-pipeline {rest}" if rest else ""
    assert cimc(f"opt start.mlir {CALIBRATED} {option} -o found.mlir") == (0, "")
    assert (folder / "found.mlir").read_text() == (folder / "end.mlir").read_text()
    assert (folder / "found.safetensors").read_bytes() == (folder / "end.safetensors").read_bytes()


@pytest.mark.parametrize("target", TARGETS)
def test_a_program_from_any_stage_is_that_of_the_model(target: str, cimc: Command, folder: Path) -> None:
    options = f"{CALIBRATED} --target {target}"
    assert cimc(f"compile digits.onnx {options} --dump-stages d -o p.cimb")[0] == 0
    assert sorted(path.stem for path in (folder / "d").glob("*.mlir")) == [
        f"{number}-{stage}" for number, stage in enumerate(TEXT_STAGES, 1)
    ]
    whole = replace(load_program(folder / "p.cimb"), meta={})
    for number, stage in enumerate(TEXT_STAGES, 1):
        assert cimc(f"compile --from {stage} d/{number}-{stage}.mlir {options} -o q.cimb")[0] == 0
        found = load_program(folder / "q.cimb")
        assert found.meta["model"]["stage"] == stage
        assert replace(found, meta={}) == whole


def test_a_dumped_stage_is_what_a_compile_to_it_writes(cimc: Command, folder: Path) -> None:
    assert cimc(f"compile digits.onnx {CALIBRATED} --dump-stages d -o p.cimb")[0] == 0
    assert cimc(f"compile digits.onnx {CALIBRATED} --compile-to quantised -o q.mlir") == (0, "")
    for suffix in ("mlir", "safetensors"):
        assert (folder / f"d/3-quantised.{suffix}").read_bytes() == (folder / f"q.{suffix}").read_bytes()


@pytest.mark.skipif(not shutil.which("mlir-opt-22"), reason="mlir-opt-22 (Debian package mlir-22-tools) is absent")
@pytest.mark.parametrize("stage", TEXT_STAGES)
def test_mlir_reads_the_text_of_a_stage(stage: str, cimc: Command, folder: Path) -> None:
    assert cimc(f"compile digits.onnx {CALIBRATED} --compile-to {stage} -o s.mlir") == (0, "")
    command = ["mlir-opt-22", "--allow-unregistered-dialect", "--mlir-print-debuginfo", "s.mlir"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert '"node_conv2d_1"' in found.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_stored_ranges_give_the_same_program(target: str, cimc: Command, folder: Path) -> None:
    common = f"compile digits.onnx --target {target}"
    assert cimc(f"{common} {CALIBRATED} --write-ranges r.json -o a.cimb")[0] == 0
    assert cimc(f"{common} --ranges r.json --scale 0.0625 --write-ranges again.json -o b.cimb")[0] == 0
    assert (folder / "a.cimb").read_bytes() == (folder / "b.cimb").read_bytes()
    assert (folder / "r.json").read_text() == (folder / "again.json").read_text()


def test_a_target_shown_is_a_target_file(cimc: Command, folder: Path) -> None:
    (folder / "shown.toml").write_text(cimc("target show aon-cim")[1])
    assert cimc(f"compile digits.onnx {CALIBRATED} --target shown.toml -o a.cimb")[0] == 0
    assert cimc(f"compile digits.onnx {CALIBRATED} --target aon-cim -o b.cimb")[0] == 0
    assert (folder / "a.cimb").read_bytes() == (folder / "b.cimb").read_bytes()


def shown(output: str) -> list[str]:
    """Return the passes whose IR an output holds."""
    marks = (line for line in output.splitlines() if line.startswith("// ----- IR after "))
    return [line.split()[4] for line in marks]


def test_ir_behind_one_pass_all_and_those_that_changed_it(cimc: Command) -> None:
    command = f"compile digits.onnx {CALIBRATED} -o p.cimb --print-ir-after"
    names = ["import", *DEFAULT.split(",")]
    assert shown(cimc(f"{command} calibrate")[1]) == ["calibrate"]
    assert shown(cimc(f"{command} all")[1]) == names
    changed = shown(cimc(f"{command} changed")[1])
    assert "import" in changed and "quantise" in changed
    assert "fold-pads" not in changed, "the sample model has no pads"


def test_timing_has_a_line_for_every_pass(cimc: Command) -> None:
    output = cimc(f"compile digits.onnx {CALIBRATED} -o p.cimb --timing --json")[1]
    timed = [line.split()[2] for line in output.splitlines() if " s  " in line]
    assert timed == ["import", *DEFAULT.split(",")]


@pytest.mark.parametrize("target", TARGETS)
def test_the_golden_graph_gives_what_the_program_gives(target: str, cimc: Command, folder: Path) -> None:
    common = f"digits.onnx {CALIBRATED} --target {target}"
    assert cimc(f"export-onnx {common} --codes -o golden.onnx") == (0, "")
    assert cimc(f"compile {common} -o p.cimb")[0] == 0
    assert cimc("run p.cimb --input digits_test.npz --scale 0.0625 --limit 20 --codes -o y.npz") == (0, "")
    session = ort.InferenceSession(str(folder / "golden.onnx"), providers=["CPUExecutionProvider"])
    with np.load(folder / "digits_test.npz") as data, np.load(folder / "y.npz") as program:
        images = data["x"][:20].astype(np.float32) * np.float32(0.0625)
        logits, codes = session.run(["logits", "logits:value"], {"image": images})
        np.testing.assert_array_equal(codes, program["logits.codes"])
        np.testing.assert_array_equal(logits, program["logits"])


@pytest.mark.parametrize("target", TARGETS)
def test_a_compile_gives_the_same_bytes_on_any_hash_seed_and_thread_count(target: str, folder: Path) -> None:
    lay("digits.onnx", folder)
    lay("digits_calib.npz", folder)
    code = "import sys; from cimc.command_line import main; sys.exit(main())"
    for seed, threads in ((0, 1), (1, 2), (4321, 7)):
        output = ["-o", f"{seed}.cimb", "--write-ranges", f"{seed}.json"]
        command = [sys.executable, "-c", code, "compile", "digits.onnx", *CALIBRATED.split(), "--target", target]
        environment = {"PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": str(threads)}
        subprocess.run([*command, *output], cwd=folder, env={**os.environ, **environment}, check=True)
    for suffix in ("cimb", "json"):
        assert len({path.read_bytes() for path in folder.glob(f"*.{suffix}")}) == 1


def test_help_imports_nothing_that_takes_time() -> None:
    """Modules that an installation may have imported for itself, such as `re`, are forgotten first."""
    slow = (
        "argparse",
        "typing",
        "re",
        "shutil",
        "textwrap",
        "dataclasses",
        "inspect",
        "contextlib",
        "numpy",
        "cimc.isa",
    )
    code = (
        f"import sys\nfor name in {slow}: sys.modules.pop(name, None)\n"
        "from cimc.command_line import main\nassert main(['--help']) == 0\n"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
