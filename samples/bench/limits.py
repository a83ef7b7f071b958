"""What the kernels' instructions can do at most on this core, and where the time of a run goes.

    python samples/bench/limits.py [--models FOLDER] [--target NAME] [--batches N ...]

`make bench-limits` runs this; it needs a C compiler, `cc` or the one that CC names. Limits are those of the kernels'
own operations with everything in registers; times are processor time of each instruction within a run, summed by
kind. Results go to standard output as Markdown.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import speed

from cimc.backends.interpreter import Interpreter
from cimc.backends.kernels.executor import KernelExecutor
from cimc.backends.kernels.library import Batch
from cimc.backends.kernels.runs import Rounds, Run
from cimc.backends.machine import ports
from cimc.backends.plan.memory import Chunk
from cimc.backends.plan.state import Write

HERE = Path(__file__).parent
KERNELS = HERE.parent.parent / "backends" / "kernels"
FLAGS = ("-O3", "-Wno-psabi", "-ffp-contract=off", "-fno-math-errno", f"-I{KERNELS}")
REPEATS = 7
WHAT = {
    "dots": "multiply-adds of 16 bits, into 32",
    "roots": "square roots of doubles",
    "words": "random words of Philox",
    "normals": "normal variables",
    "near": "bytes copied within the nearest cache",
    "far": "bytes copied in memory",
}


def limits() -> Iterator[list[str]]:
    """Yield the rows of the first table: what, on which level, and thousand millions of it a second."""
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/limits"
        subprocess.run([os.environ.get("CC", "cc"), *FLAGS, str(HERE / "limits.c"), "-o", program], check=True)
        found = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    for level, what, rate in map(str.split, found.splitlines()):
        yield [WHAT[what], level, f"{float(rate) / 1e9:.3f}"]


class Timed(KernelExecutor):
    """An executor that notes the processor time of every instruction, in seconds by kind."""

    seconds: Counter[str]

    def _run(self, run: Run, chunk: Chunk, native: Batch, done: int = 0) -> None:
        for number in range(done, len(run.steps)):
            action, start = run.steps[number].action, time.process_time()
            if not (run.native and self._performs(run, number, native)):
                raise SystemExit("bench: an instruction was left to numpy")
            assert isinstance(action, Write)
            self.seconds[type(action.compute).__name__] += time.process_time() - start

    def _turn(self, rounds: Rounds, run: Run, chunk: Chunk, native: Batch) -> None:
        raise SystemExit("bench: loops are not timed")


def shares(model: speed.Model, target: str, batches: list[int]) -> Iterator[list[str]]:
    """Yield the rows of the second table: model, kind of noise, batch, microseconds an image, shares of it by kind."""
    program = speed.compiled(model, target)
    port = program.inputs[0]
    codes = ports.quantise(port, model.inputs(max(batches)).reshape(-1, *port.model_shape))
    for kind, noise in speed.noises("pcm").items():
        if kind == "frozen noise":
            continue
        interpreter = Interpreter(program, noise=noise)
        for batch in batches:
            total, parts = timed(interpreter, {port.name: codes[:batch]})
            cells = ", ".join(f"{name} {share:.0%}" for name, share in parts)
            yield [model.path.stem, kind, str(batch), f"{total / batch * 1e6:.0f}", cells]


def timed(interpreter: Interpreter, codes: dict[str, np.ndarray]) -> tuple[float, list[tuple[str, float]]]:
    """Return the processor time of a run in seconds, and in it the shares of kinds of instructions, largest first."""
    executor = interpreter._executor
    assert isinstance(executor, KernelExecutor)
    whole = statistics.median(spent(interpreter, codes) for _ in range(REPEATS))
    executor.__class__, executor.seconds = Timed, Counter()
    try:
        traced = sum(spent(interpreter, codes) for _ in range(REPEATS))
    finally:
        executor.__class__ = KernelExecutor
    parts = [(name, seconds / traced) for name, seconds in executor.seconds.most_common()]
    return whole, [*parts, ("around them", 1 - sum(share for _, share in parts))]


def spent(interpreter: Interpreter, codes: dict[str, np.ndarray]) -> float:
    """Return the processor time of a run, in seconds."""
    start = time.process_time()
    interpreter.run(codes)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, metavar="FOLDER")
    parser.add_argument("--target", default="hermes-64", metavar="NAME")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 128], metavar="N")
    options = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in speed.machine().items()))
    print("\n| what | level | thousand millions a second |\n| --- | --- | --- |")
    for row in limits():
        print(f"| {' | '.join(row)} |", flush=True)
    print("\n| model | noise | batch | microseconds an image | shares |\n| --- | --- | --- | --- | --- |")
    for model in speed.models(options.models):
        for row in shares(model, options.target, options.batches):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
