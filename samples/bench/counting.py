"""What counting the data of a run takes (cimc cost --input), in runs without it: docs/cost.md has the table.

python samples/bench/counting.py [--models FOLDER] [--targets NAME ...] [--images N]

FOLDER is as for speed.py; without it the sample model is measured. Both sides take turns, in the processor's own
time, so that other load counts little. The executors are numpy and the fastest level of the kernels, one thread each.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from speed import Model, Run, compiled, models, rates

from cimc.backends.cost.observed import DataCounting, together
from cimc.backends.interpreter import Interpreter, on_processor
from cimc.backends.machine import ports
from cimc.isa.program import Program


def main() -> None:
    parser = argparse.ArgumentParser(description="measure what counting data takes beside a run without")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--targets", nargs="+", default=["aon-cim"])
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    executors = dict.fromkeys(("numpy", on_processor()[-1]))
    print(f"| target | model | {' | '.join(executors)} |\n{'| --- ' * (2 + len(executors))}|", flush=True)
    for target in options.targets:
        for model in models(options.models):
            program, codes = fed(model, target, options.images)
            cells = (f"{ratio(program, codes, name):.2f}" for name in executors)
            print(f"| {target} | {model.path.stem} | {' | '.join(cells)} |", flush=True)


def fed(model: Model, target: str, images: int) -> tuple[Program, dict[str, Any]]:
    """Return a model's program and input codes for it."""
    program = compiled(model, target)
    port = program.inputs[0]
    return program, {port.name: ports.quantise(port, model.inputs(images).reshape(images, *port.model_shape))}


def ratio(program: Program, codes: dict[str, Any], executor: str) -> float:
    """Return how many times as long a run takes that is counted."""
    alone, images = Interpreter(program, executor=executor), len(next(iter(codes.values())))
    counting = Interpreter(program, executor=executor, chunk=None if executor == "numpy" else together(program))

    def counted() -> None:
        counting.run(codes, DataCounting(program))

    runs: dict[str, Run] = {"alone": lambda: alone.run(codes), "counted": counted}
    found = rates(runs, images, time.process_time)
    return found["alone"] / found["counted"]


if __name__ == "__main__":
    main()
