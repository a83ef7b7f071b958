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

SAMPLES = Path(__file__).parent.parent
SAMPLE = [str(SAMPLES / "digits.onnx"), str(SAMPLES / "digits_calib.npz"), "--scale", "0.0625"]
REPEATS = 3


def measured(command: list[str]) -> tuple[float, float, str]:
    """Run a command; return its seconds, its peak memory in MiB and its standard output."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"bench: `{' '.join(command)}` ended with status {process.returncode}")
        output.seek(0)
        return seconds, usage.ru_maxrss / 1024, output.read()


def best_of(command: list[str]) -> tuple[float, float, str]:
    """The fastest of a few runs."""
    return min(measured(command) for _ in range(REPEATS))


def main() -> None:
    if len(sys.argv) == 2:
        sys.exit("bench: give a model and its calibration data, or nothing for the sample model")
    if not shutil.which("cimc"):
        sys.exit("bench: no cimc command on the path; `make bench` brings its own")
    model, calib, *options = sys.argv[1:] or SAMPLE
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "program.asm")
        compiling = ["cimc", "compile", model, "--calib", calib, *options, "-o", program, "--json"]
        seconds, peak_mib, summary = best_of(compiling)
    facts = json.loads(summary)
    print(f"{Path(model).name}, best of {REPEATS}")
    print(f"  compile               {seconds:8.2f} s")
    print(f"  peak memory           {peak_mib:8.0f} MiB")
    print(f"  static instructions   {facts['static_instructions']:8d}")
    print(f"  cimc --help           {best_of(['cimc', '--help'])[0]:8.2f} s")


if __name__ == "__main__":
    main()
