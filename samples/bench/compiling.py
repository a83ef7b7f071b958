"""Report compile time, peak memory, program size and start-up time. `make bench` runs this; it judges nothing.

python samples/bench/compiling.py [MODEL.onnx CALIB.npz [options of cimc compile, such as --target or --scale]]
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

SAMPLES = Path(__file__).parent.parent
SAMPLE = [str(SAMPLES / "digits.onnx"), str(SAMPLES / "digits_calib.npz"), "--scale", "0.0625"]
REPEATS = 3


class Run(NamedTuple):
    """One run of a command: time, processor time and memory it took, exit status, standard output and error."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    status: int
    output: str
    errors: str


def measured(command: list[str]) -> Run:
    """Run a command and return what it took."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (output, errors):
            file.seek(0)
        cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        return Run(seconds, cpu, peak, process.returncode, output.read(), errors.read())


def best_of(command: list[str]) -> Run:
    """The fastest of a few runs."""
    best = min(measured(command) for _ in range(REPEATS))
    if best.status:
        sys.exit(f"bench: `{' '.join(command)}` ended with status {best.status}\n{best.errors}")
    return best


def main() -> None:
    if len(sys.argv) == 2:
        sys.exit("bench: give a model and its calibration data, or nothing for the sample model")
    if not shutil.which("cimc"):
        sys.exit("bench: no cimc command on the path; `make bench` brings its own")
    model, calib, *options = sys.argv[1:] or SAMPLE
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "program.asm")
        best = best_of(["cimc", "compile", model, "--calib", calib, *options, "-o", program, "--json"])
    facts = json.loads(best.output)
    print(f"{Path(model).name}, best of {REPEATS}")
    print(f"  compile               {best.seconds:8.2f} s")
    print(f"  peak memory           {best.peak_mib:8.0f} MiB")
    print(f"  static instructions   {facts['static_instructions']:8d}")
    print(f"  cimc --help           {best_of(['cimc', '--help']).seconds:8.2f} s")


if __name__ == "__main__":
    main()
