"""`-` stands for standard input and standard output, where one file is enough."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line.conftest import Command
from command_line.files import FILES, lay

COMMAND = [sys.executable, "-m", "cimc"]


def piped(given: bytes, *arguments: str) -> bytes:
    done = subprocess.run([*COMMAND, *arguments], input=given, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_program_is_assembled_and_run_in_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    binary = piped(FILES["selftest.asm"](), "asm", "-", "--target", "ideal", "-o", "-")
    with np.load(io.BytesIO(piped(binary, "run", "-", "-o", "-"))) as found:
        assert found["y"].tolist() == [[35, 7]]
    assert list(tmp_path.iterdir()) == []


def test_arrays_come_from_a_pipe(folder: Path) -> None:
    lay("digits.cimb", folder)
    by_name, images = (FILES[name]() for name in ("by_name.npz", "images.npz"))
    outputs = [piped(data, "run", "digits.cimb", "--input", "-", "-o", "-") for data in (by_name, images)]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("words", ["compile digits.onnx -o -", "report digits.cimb --input images.npz -o -"])
def test_other_outputs_are_no_streams(words: str, cimc: Command) -> None:
    status, output = cimc(words)
    assert (status, "error[CIM0003]" in output) == (2, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    ("command", "redirected", "status"),
    [
        ("explain CIM0404", ">&-", 3),
        ("explain CIM0404", ">/dev/full", 3),
        ("explain CIM0404", "2>&-", 0),
        ("explain CIM0404", "2>/dev/full >/dev/full", 3),
        ("--help", ">/dev/full", 3),
        ("objdump missing.asm", "2>&-", 3),
        ("objdump missing.asm", "2>/dev/full", 3),
        ("objdump missing.asm", ">&- 2>&- <&-", 3),
        ("objdump -", "<&-", 3),
    ],
)
def test_a_stream_that_is_closed_or_full_changes_no_status_but_that_of_its_own_output(
    command: str, redirected: str, status: int, tmp_path: Path
) -> None:
    shell = f"{sys.executable} -m cimc {command} {redirected}"
    assert subprocess.run(shell, shell=True, cwd=tmp_path, check=False, capture_output=True).returncode == status
    assert list(tmp_path.iterdir()) == [], "a report of a bug"


def test_a_closed_stream_gives_its_number_to_no_file(cimc: Command, folder: Path) -> None:
    assert cimc("asm selftest.asm --target ideal -o wanted.cimb")[0] == 0
    shell = f"{sys.executable} -m cimc asm selftest.asm --target ideal -o found.cimb >&- 2>&-"
    subprocess.run(shell, shell=True, cwd=folder, check=False)
    assert (folder / "found.cimb").read_bytes() == (folder / "wanted.cimb").read_bytes()
