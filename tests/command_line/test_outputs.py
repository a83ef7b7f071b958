"""What is written: whole or not at all, under every name, with nothing left behind and no input changed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line.conftest import Command
from command_line.files import lay
from command_line.test_cases import run

import cimc.command_line.inspecting
from cimc.command_line import main
from cimc.isa.binary import program_digest
from cimc.isa.container import load_program

SAMPLES = Path(__file__).parents[2] / "samples"
CALIBRATED = "--calib digits_calib.npz --scale 0.0625"
WRITING = {
    "text": f"compile digits.onnx {CALIBRATED} -o out.asm",
    "binary": f"compile digits.onnx {CALIBRATED} -o out.cimb",
    "ir": f"compile digits.onnx {CALIBRATED} --compile-to tile -o out.mlir",
    "golden": f"export-onnx digits.onnx {CALIBRATED} -o out.onnx",
    "outputs": "run digits.asm --input images.npz -o out.npz",
    "assembled": "asm digits.asm -o out.cimb",
    "dumped": "objdump digits.cimb -o out.asm",
    "optimised": "opt graph.mlir -o out.mlir",
}


SWEEP = """\
[[model]]
file = "digits.onnx"
calib = "digits_calib.npz"
data = "digits_calib.npz"
"""


def contents_below(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into every folder")
def test_a_folder_without_permission(cimc: Command, folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o500)
    status, output = cimc("asm digits.asm -o closed/out.cimb")
    assert (status, "error[CIM0002]" in output) == (3, True)


def test_inputs_are_never_changed(cimc: Command, folder: Path) -> None:
    for name in ("digits.onnx", "digits_calib.npz", "digits.asm", "images.npz", "graph.mlir"):
        lay(name, folder)
    before = contents(folder)
    for words in WRITING.values():
        assert cimc(words)[0] == 0
    assert contents(folder).items() >= before.items()


def test_outputs_have_the_models_names_and_shapes(cimc: Command, folder: Path) -> None:
    assert cimc("run digits.asm --input images.npz --codes -o out.npz")[0] == 0
    with np.load(folder / "out.npz") as found:
        arrays = dict(found)
    facts = json.loads(str(arrays.pop("run.facts")))
    assert {name: (array.dtype.str, array.shape) for name, array in arrays.items()} == {
        "logits": ("<f4", (2, 10)),
        "logits.codes": ("<i2", (2, 10)),
    }
    assert facts["feeding"] == {"image": {"data": "raw", "preprocessing": {"scale": 0.0625}}}
    assert facts["program"] == program_digest(load_program("digits.asm")) and facts["noise"] is None


def test_a_run_gives_the_same_bytes_again(cimc: Command, folder: Path) -> None:
    for name in ("a.npz", "b.npz"):
        assert cimc(f"run digits.asm --input images.npz -o {name}")[0] == 0
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()


def shell(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell line in which `cimc` is this Python's command line."""
    code = "import sys; from cimc.command_line import main; sys.exit(main())"
    line = f"set -o pipefail; cimc() {{ {sys.executable} -c '{code}' \"$@\"; }}; {words}"
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True)


def test_a_reader_that_leaves_early_is_no_error(folder: Path) -> None:
    lay("digits.asm", folder)
    found = shell("cimc objdump digits.asm | head -1", folder)
    assert (found.returncode, found.stdout, found.stderr) == (0, ".cimc 1\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", ["objdump digits.asm", "target list", "opt graph.mlir"])
def test_a_full_disk_behind_standard_output(words: str, folder: Path) -> None:
    lay("digits.asm", folder)
    lay("graph.mlir", folder)
    found = shell(f"cimc {words} > /dev/full", folder)
    assert found.returncode == 3
    assert found.stderr.startswith("error[CIM0002]: cannot write standard output: No space left on device\n  hint:")


def test_a_bug_of_ours_leaves_a_report(cimc: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise ZeroDivisionError("of our making")

    monkeypatch.setattr(cimc_inspecting, "explain_command", broken)
    status, output = cimc("explain CIM0001")
    report = next(folder.glob("cimc-bug-*.txt"))
    assert status == 70
    assert output.startswith("error[CIM0901]: internal error: ZeroDivisionError: of our making; the details are in")
    assert "Traceback" not in output
    assert "ZeroDivisionError: of our making" in report.read_text()


cimc_inspecting = cimc.command_line.inspecting


@pytest.mark.parametrize("beside", ["digits.payload", "digits.asm"])
def test_a_run_never_overwrites_the_program_or_its_payload(
    beside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    feeding = ["--scale", "0.0625"]
    assert main(["compile", str(SAMPLES / "digits.onnx"), "--calib", str(SAMPLES / "digits_calib.npz"), *feeding,
                 "-o", "digits.asm"]) == 0  # fmt: skip
    before = Path(beside).read_bytes()
    assert main(["run", "digits.asm", "--input", str(SAMPLES / "digits_test.npz"), *feeding, "-o", beside]) == 2
    assert Path(beside).read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        "run digits.asm --input images.npz --chip out.npz -o out.npz",
        "run digits.asm --input images.npz --noise pcm --time 1d --compensation refit --calib out.npz -o out.npz",
        "run digits.asm --input images.npz --noise out.toml,drift.nu=0.1 --time 1d -o out.toml",
        "chip digits.asm --noise out.toml --time 1d -o out.toml",
        "compile digits.onnx --ranges digits.json --noise out.toml --time 1d -o out.toml",
        "report digits.asm --eval out.html -o out.html",
        "asm out.other -o out.payload",
    ],
)
def test_no_input_of_whatever_option_is_written_over(cimc: Command, folder: Path, words: str) -> None:
    for name in ("out.npz", "out.toml", "out.html", "out.parquet", "out.other", "out.payload"):
        (folder / name).write_bytes(b"kept")
    status, output = cimc(words)
    assert (status, "is an input and would be overwritten" in output) == (2, True), output
    assert all(path.read_bytes() == b"kept" for path in folder.glob("out.*"))


@pytest.mark.parametrize("place", ["no/where/x", "digits.onnx/x", "folder", "n" * 300, ""])
@pytest.mark.parametrize(
    "words",
    [
        "compile digits.onnx --ranges digits.json -o out.asm --write-ranges",
        "run digits.asm --input images.npz -o out.npz --keep",
        "tune digits.onnx --calib digits_calib.npz --scale 0.0625 --within ns=0.9 -o",
        "sweep sweep.toml -o",
    ],
)
def test_where_nothing_can_be_written_is_told_before_any_work(
    cimc: Command, folder: Path, words: str, place: str
) -> None:
    for name in ("digits.onnx", "digits.json", "digits.asm", "images.npz", "digits_calib.npz"):
        lay(name, folder)
    (folder / "sweep.toml").write_text(SWEEP)
    (folder / "folder").mkdir()
    before = contents_below(folder)
    status, output = run([*words.split(), place])
    assert status in (2, 3) and ("cannot write" in output or "empty name" in output), output
    assert contents_below(folder) == before


def test_what_a_standard_stream_reads_or_writes_is_not_replaced(folder: Path) -> None:
    """As /dev/stdout is where the stream goes to a file: a link of the system's that would be replaced."""
    for name in ("digits.asm", "images.npz"):
        lay(name, folder)
    program = (folder / "digits.asm").read_bytes()
    done = shell("cimc run digits.asm --input images.npz -o out.npz > out.npz", folder)
    assert (done.returncode, (folder / "out.npz").read_bytes()) == (3, b"")
    assert "out.npz: it is where standard output goes" in done.stderr
    done = shell("cimc objdump - -o digits.asm < digits.asm", folder)
    assert (done.returncode, "it is where standard input comes from" in done.stderr) == (3, True), done.stderr
    assert (folder / "digits.asm").read_bytes() == program
