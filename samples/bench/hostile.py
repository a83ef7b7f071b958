"""Runs cimc on files that were made to break it: exit statuses, memory and time of every command, and who broke a rule.

    python samples/bench/hostile.py FILES BASE CASES.tsv [KIND ...]

CASES.tsv has a line KIND<tab>FILE for each file in the folder FILES; BASE holds sound files to go with them
(digits.onnx, digits.asm, digits_test.npz, ranges.json, layers.npz). Each command runs in a fork of a process that has
imported cimc, with 6 GiB of address space and 60 s of processor time; memory and time are those of the fork.
"""

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import cimc.command_line.compiling
import cimc.command_line.running
import cimc.command_line.silicon
import cimc.command_line.sweeping
import cimc.command_line.verifying  # noqa: F401  (so that forks share what all commands import)
from cimc.command_line import main
from cimc.isa.container import load_program
from cimc.isa.errors import INTERNAL

ADDRESS_SPACE, SECONDS = 6 << 30, 60
MOST_BYTES, MOST_SECONDS = 300 << 20, 20
"""What any file below 1 MB may cost."""
WAITED = 10
"""How often its processor time a command may take by the clock, where a machine does much else or nothing happens."""
SMALL = 1_000_000


@dataclass(frozen=True)
class Outcome:
    """What one command came to: status (negative: a signal), processor seconds, peak bytes, and what it said first."""

    file: Path
    command: str
    status: int
    seconds: float
    peak: int
    said: str

    def broken(self) -> str:
        """Return the rule that was broken, "" where none was."""
        if self.status == INTERNAL or self.status < 0:
            return f"status {self.status}"
        if self.file.stat().st_size > SMALL:
            return ""
        if self.seconds > MOST_SECONDS:
            return f"{self.seconds:.0f} s"
        return f"{self.peak >> 20} MiB" if self.peak > MOST_BYTES else ""


def commands(kind: str, file: str, base: str) -> list[list[str]]:
    """Return the commands that a file of a kind is given to."""
    data = ["--input", f"{base}/digits_test.npz", "--scale", "0.0625", "--limit", "2"]
    compiled = ["compile", f"{base}/digits.onnx", "-o", "o.asm"]
    match kind:
        case "onnx" | "onnx_big":
            return [["check", file], ["compile", file, "--target", "ideal", "-o", "o.cimb"], ["verify", file, "o.cimb"]]
        case "npz":
            return [[*compiled, "--calib", file], ["run", f"{base}/digits.asm", "--input", file, "-o", "o.npz"]]
        case "asm":
            return [
                ["run", file, *data, "-o", "o.npz"],
                ["objdump", file],
                ["lint", file],
                ["asm", file, "-o", "o.cimb"],
            ]
        case "ir":
            return [["opt", file, "--pass-pipeline", "schedule", "-o", "o.mlir"]]
        case "target":
            return [[*compiled, "--ranges", f"{base}/ranges.json", "--target", file], ["target", "show", file]]
        case "ranges":
            return [[*compiled, "--ranges", file]]
        case "sweep":
            return [["sweep", file, "-o", "o.parquet", "--workers", "1"]]
        case "bands":
            return [["check-silicon", file, f"{base}/layers.npz"]]
        case _:
            return [["run", f"{base}/digits.asm", *data, "--noise", file, "--time", "1d", "-o", "o.npz"]]


def _with_inputs(command: Sequence[str]) -> list[str]:
    """Return a verify command with two samples of zeros behind it; what did not compile is not verified."""
    import numpy as np

    if command[0] != "verify":
        return list(command)
    ports = load_program("o.cimb").inputs
    np.savez("zeros.npz", **{port.name: np.zeros((2, *port.model_shape), np.float32) for port in ports})
    return [*command, "--input", "zeros.npz"]


def _child(command: Sequence[str]) -> NoReturn:
    """Run one command as the whole of this process, its output in the file `said`."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    for descriptor, path in ((0, os.devnull), (1, os.devnull), (2, "said")):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
    status = 99
    try:
        status = main(_with_inputs(command))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    finally:
        os._exit(status)


def measured(file: Path, command: Sequence[str]) -> Outcome:
    """Return what a command comes to in the current folder."""
    started, child = time.monotonic(), os.fork()
    if child == 0:
        _child(command)
    while not (ended := os.wait4(child, os.WNOHANG))[0]:
        if time.monotonic() - started > WAITED * SECONDS:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.01)
    said = Path("said").read_text(errors="replace").strip().partition("\n")[0]
    status, used = os.waitstatus_to_exitcode(ended[1]), ended[2]
    return Outcome(file, command[0], status, used.ru_utime + used.ru_stime, used.ru_maxrss << 10, said[:200])


def outcomes(files: Path, base: Path, cases: Path, kinds: Sequence[str]) -> Iterator[Outcome]:
    """Yield what each command on each file comes to, each file in an empty folder of its own."""
    for line in cases.read_text().splitlines():
        kind, name = line.split("\t")
        if kinds and kind not in kinds:
            continue
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        for command in commands(kind, str(files / name), str(base)):
            if command[0] != "verify" or Path("o.cimb").exists():
                yield measured(files / name, command)
        shutil.rmtree(folder)


def run(files: Path, base: Path, cases: Path, kinds: Sequence[str]) -> None:
    """Print every command that broke a rule, and how many there were."""
    found: list[Outcome] = []
    for one in outcomes(files.resolve(), base.resolve(), cases.resolve(), kinds):
        found.append(one)
        if one.broken():
            print(f"{one.broken():>12}  {one.command} {one.file.name}: {one.said}", flush=True)
    internal = sum(one.status == INTERNAL for one in found)
    slow, large = (sum(one.broken().endswith(unit) for one in found) for unit in (" s", "MiB"))
    print(
        f"{len({one.file for one in found})} files, {len(found)} commands: {internal} with status {INTERNAL}, ", end=""
    )
    print(f"{slow} of small files above {MOST_SECONDS} s, {large} above {MOST_BYTES >> 20} MiB")


if __name__ == "__main__":
    run(*map(Path, sys.argv[1:4]), sys.argv[4:])
