"""What a shell completes, and what `cimc doctor` finds here."""

import json
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from command_line.conftest import Command

import cimc.command_line.doctor as doctor
from cimc.command_line.commands import BY_NAME


def completed(script: str, line: str) -> list[str]:
    """Return what bash offers behind a line whose last word is begun."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _cimc; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_commands_options_and_files(cimc: Command, folder: Path) -> None:
    (folder / "model.onnx").touch()
    status, script = cimc("completion bash")
    assert status == 0
    assert completed(script, "cimc compl") == ["completion"]
    assert completed(script, "cimc compile --norm") == ["--normalise"]
    assert completed(script, "cimc compile mod") == ["model.onnx"]
    assert completed(script, "cimc target sh") == ["show"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_script(shell: str, cimc: Command, folder: Path) -> None:
    status, script = cimc(f"completion {shell}")
    assert status == 0 and all(name in script for name in BY_NAME)
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_the_doctor_finds_all_well_here(cimc: Command) -> None:
    status, output = cimc("doctor --json")
    found = json.loads(output)
    assert (status, found["ok"]) == (0, True)
    assert {"executors", "onnxruntime's integers", "numpy"} <= {one["what"] for one in found["findings"]}


def test_the_doctor_says_what_is_missing(cimc: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        if name == "xdsl":
            raise ImportError("No module named 'xdsl'")
        return import_module(name)

    monkeypatch.setattr(doctor, "import_module", absent)
    status, output = cimc("doctor")
    assert status == 1 and "FAILED: xdsl is wrong" in output and "pip install" in output


def test_the_doctor_tells_executors_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> doctor.Finding:
        raise RuntimeError("no such instruction")

    assert doctor._checked("executors", broken).verdict == doctor.BAD
