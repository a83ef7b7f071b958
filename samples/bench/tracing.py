"""What a record of `cimc trace` costs beside the plain run.

python samples/bench/tracing.py PROGRAM INPUTS.npz [SAMPLES]
"""

import sys
import time
from collections.abc import Callable

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.bringup.record import SAMPLE
from cimc.bringup.tracing import Tracing
from cimc.driving.arrays import load_arrays
from cimc.driving.feeding import Feeding
from cimc.driving.scoring import program_inputs
from cimc.isa.container import load_program

TRIALS = 9


def fastest(run: Callable[[], object]) -> float:
    """Return the processor time of the fastest of some calls, in microseconds."""
    found = []
    for _ in range(TRIALS):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found) * 1e6


def main(path: str, inputs: str, samples: str = "128") -> None:
    program, count = load_program(path), int(samples)
    codes = ports.codes_of(program, program_inputs(program, load_arrays(inputs), Feeding(limit=count), inputs))
    interpreter, tracing = Interpreter(program), Tracing(program)
    lines = list(tracing.lines(codes))
    records = sum(not line.startswith(SAMPLE) for line in lines)
    plain, traced = fastest(lambda: interpreter.run(codes)), fastest(lambda: list(tracing.lines(codes)))
    print(f"plain run: {plain / count:.0f} us a sample; traced: {traced / count:.0f} us, {records / count:.0f} records")
    print(f"a record: {(traced - plain) / records:.1f} us beside the plain run")


if __name__ == "__main__":
    main(*sys.argv[1:])
