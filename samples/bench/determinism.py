"""Prints the SHA-256 of everything that cimc makes of a model: equal lines in any environment, whatever it is set to.

    python samples/bench/determinism.py MODEL.onnx CALIB.npz INPUT.npz SCALE [--without-kernels]

docs/trust.md says which environments were tried.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
from pathlib import Path

from cimc.command_line import main

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
                status = main(line.split())
            if status:
                sys.exit(f"`cimc {line}` ended with status {status}")
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path().iterdir())}


if __name__ == "__main__":
    if "--without-kernels" in sys.argv:
        sys.modules["cimc.backends.kernels._native"] = None  # type: ignore[assignment]  # as if it had not been built
    model, calib, data = (str(Path(name).resolve()) for name in sys.argv[1:4])
    for name, digest in hashes(commands(model, calib, data, sys.argv[4])).items():
        print(f"{digest}  {name}")
