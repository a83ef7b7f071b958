"""Prints the SHA-256 of everything that cimc makes of a model: equal lines in any environment, whatever it is set to.

    python samples/bench/determinism.py MODEL.onnx CALIB.npz INPUT.npz SCALE [--without-kernels] [--interpreter PYTHON]

Interpreters of other environments, in which cimc is installed, do the same, and what differs is told. docs/trust.md
says which environments were tried.
"""

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cimc import command_line

SOURCES = "programming,drift,read,cycle,output,adc,dac,stuck,ir_drop"
NOISE = f"--noise pcm --seed 3 --time 1d --sources {SOURCES}"


def commands(model: str, calib: str, data: str, scale: str) -> list[str]:
    """Return what is made of a model, each in the folder of those before; its name is that of the files it leaves."""
    calibrated, few = f"--calib {calib} --scale {scale}", f"--input {data} --limit 4"
    return [
        f"compile {model} {calibrated} --no-float-check -o program.asm --write-ranges ranges.json",
        f"compile {model} --ranges ranges.json --scale {scale} --no-float-check -o stored.cimb",
        f"export-onnx {model} {calibrated} -o golden.onnx",
        f"run program.asm {few} --codes -o exact.npz",
        f"run program.asm {few} --codes {NOISE} -o noisy.npz",
        f"run program.asm {few} --codes --noise pcm --time 1d --compensation refit --calib {calib} -o refit.npz",
        f"trace program.asm --input {data} --samples 0:1 --vectors 4 {NOISE} -o run.trace",
    ]


def hashes(lines: list[str]) -> dict[str, str]:
    """Return file -> hash of all that commands leave in an empty folder. Raises SystemExit where one fails."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for line in lines:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
                status = command_line.main(line.split())
            if status:
                sys.exit(f"`cimc {line}` ended with status {status}")
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path().iterdir())}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the hashes; 1 where another interpreter makes other files."""
    parser = argparse.ArgumentParser(description="the SHA-256 of everything that cimc makes of a model")
    for name in ("model", "calib", "data"):
        parser.add_argument(name, type=lambda path: str(Path(path).resolve()))
    parser.add_argument("scale")
    parser.add_argument("--without-kernels", action="store_true", help="as if they had not been built")
    parser.add_argument(
        "--interpreter", action="append", default=[], metavar="PYTHON", help="that has cimc; repeatable"
    )
    options = parser.parse_args(arguments)
    if options.without_kernels:
        sys.modules["cimc.backends.kernels._native"] = None  # type: ignore[assignment]
    own = hashes(commands(options.model, options.calib, options.data, options.scale))
    for name, digest in own.items():
        print(f"{digest}  {name}")
    return sum(_compared(python, options, own) for python in options.interpreter) and 1


def _compared(python: str, options: argparse.Namespace, own: Mapping[str, str]) -> int:
    """Print which files another interpreter makes differently; return how many."""
    model = [options.model, options.calib, options.data, options.scale]
    done = subprocess.run([python, __file__, *model], capture_output=True, text=True, check=True)
    found = {name: digest for digest, name in (line.split("  ") for line in done.stdout.splitlines())}
    other = sorted(name for name in own.keys() | found.keys() if own.get(name) != found.get(name))
    print(f"{python}: {', '.join(other) or f'the same {len(own)} files'}")
    return len(other)


if __name__ == "__main__":
    sys.exit(main())
