"""Measure loops over sequences: how long a plan takes to make, and how fast it runs against onnxruntime.

    python samples/bench/loops.py [--target NAME] [--steps N ...] [--batches N ...]

An LSTM of 4 features and 8 units is planned for more and more steps, without noise, with frozen noise and with noise
drawn anew for each product: a plan that holds its body once takes as long for 10,000 steps as for 100. A GRU of the
size of a keyword spotter, 49 steps of 10 features and 154 units, runs beside onnxruntime, one thread each, in turns
within each repeat. Weights are seeded, ranges come from made-up data. Seconds are the processor's; results go to
standard output as Markdown.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import speed
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.inference.sessions import session
from cimc.isa.errors import CimcWarning
from cimc.isa.program import Program

GATES = {"LSTM": 4, "GRU": 3}
LSTM, GRU = ("LSTM", 4, 8), ("GRU", 10, 154)
"""Operator, features and units."""
GRU_STEPS = 49


def recurrent(operator: str, features: int, units: int, steps: int) -> onnx.ModelProto:
    """Return a model of one recurrent node and the last state as its output, weights seeded; the batch is open."""
    generator = np.random.Generator(np.random.Philox(5))
    rows = GATES[operator] * units
    shapes = {"w": (1, rows, features), "r": (1, rows, units), "b": (1, 2 * rows)}
    weights = [
        numpy_helper.from_array(generator.standard_normal(shape, np.float32) * np.float32(units**-0.5), name)
        for name, shape in shapes.items()
    ]
    made = helper.make_node(operator, ["x", *shapes], ["", "y"], hidden_size=units, name=operator)
    sides = [("x", (steps, "N", features)), ("y", (1, "N", units))]
    given, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in sides)
    graph = helper.make_graph([made], operator, [given], [result], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def compiled(model: onnx.ModelProto, target: str) -> Program:
    """Return the program of a model on as many tiles as it needs; that its data are made up goes without saying."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CimcWarning)
        return cimc.compile_model(model, target=target, tiles="auto")


def planned(target: str, counts: list[int]) -> Iterator[str]:
    """Yield a row of the table of plans for each count of steps."""
    for steps in counts:
        program = compiled(recurrent(*LSTM, steps), target)
        seconds = []
        for noise in speed.noises("pcm").values():
            start = time.process_time()
            Interpreter(program, noise=noise)
            seconds.append(time.process_time() - start)
        yield f"| {steps:,} | {len(program.instructions)} | {' | '.join(f'{one:.3f}' for one in seconds)} |"


def streamed(target: str, batches: list[int]) -> Iterator[str]:
    """Yield a row of the table of streams for each batch."""
    model = recurrent(*GRU, GRU_STEPS)
    program = compiled(model, target)
    generator = np.random.Generator(np.random.Philox(6))
    x = generator.standard_normal((max(batches), GRU_STEPS, GRU[1]), np.float32)
    codes = ports.codes_of(program, {"x": x})
    ours = {name: Interpreter(program, noise=noise) for name, noise in speed.noises("pcm").items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gru.onnx"
        onnx.save(model, path)
        network = session(str(path))
    for batch in batches:
        time_first = np.ascontiguousarray(x[:batch].transpose(1, 0, 2))
        runs = {"float32": lambda given=time_first: network.run(None, {"x": given})}
        runs |= {name: speed.runner(one, {"x": codes["x"][:batch]}) for name, one in ours.items()}
        found = speed.rates(runs, batch, time.process_time)
        ratios = [f"{found[name] / found['float32']:.2f}" for name in ours]
        yield f"| {batch} | {found['float32']:,.0f} | {found['exact']:,.0f} | {' | '.join(ratios)} |"


def table(head: str, rows: Iterator[str]) -> None:
    """Print a table row by row."""
    print(f"\n{head}\n{'| --- ' * (head.count('|') - 1)}|")
    for row in rows:
        print(row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="hermes-64", metavar="NAME")
    parser.add_argument("--steps", nargs="+", type=int, default=[100, 1_000, 10_000], metavar="N")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32, 128], metavar="N")
    options = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in speed.machine().items()))
    table("| steps | instructions | plan s | frozen noise | fresh noise |", planned(options.target, options.steps))
    head = "| batch | onnxruntime sequences/s | exact | exact / float32 | frozen / float32 | fresh / float32 |"
    table(head, streamed(options.target, options.batches))


if __name__ == "__main__":
    main()
