"""What `--min-sqnr` gives a model and costs it, scored on other data than it was calibrated on: one row of a table.

    python samples/bench/raised.py MODEL.onnx CALIB.npz SCORE.npz [--min-sqnr 25] [--target ideal] [--unbatched]
                                   [--shape INPUT=1,3,48,192] [--limit 16]

The row goes to standard output as Markdown: the least signal to quantisation noise of all outputs on SCORE.npz and on
the calibration data, array products and time of a sample, and the compile time, each without the option and with it;
then what was raised. docs/number-rules.md has what was measured.
"""

import argparse
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cimc.driving.distances import Bound, distances
from cimc.driving.driver import Request, compile_model
from cimc.driving.raising import raised
from cimc.evaluate import Batch, evaluate, samples_at_once
from cimc.frontend import Specialisation, load
from cimc.ir.graph import Graph
from cimc.targets import load_target

COLUMNS = ("model", "target", "dB", "calibration dB", "array products", "array us", "compile s", "raised")
"""What is not `raised` is given without the option and with it."""
LIMITS = ("not raised", "what its ADC")
"""How lines begin that say why no more was raised."""


def main() -> None:
    options = read_options()
    warnings.simplefilter("ignore")
    calibration, scored = (arrays(path, options.limit) for path in (options.calibration, options.scored))
    target, stated = load_target(options.target), Specialisation(options.unbatched, dict(options.shape))
    request = Request(target, data=lambda _: calibration, stated=stated)
    real = outputs(load(options.model, stated), scored)

    started = time.perf_counter()
    plain = compile_model(options.model, request)
    between = time.perf_counter()
    found = raised(options.model, request, Bound(decibels=options.min_sqnr))
    ended = time.perf_counter()

    compilations, summaries = (plain, found.compilation), (found.costs_before, found.costs_after)
    pairs = [
        [f"{least(outputs(one.graph, scored), real):.1f}" for one in compilations],
        [f"{one.least:.1f}" for one in (found.before, found.after)],
        [f"{one['mvms']}" for one in summaries],
        [f"{one['array_us']}" for one in summaries],
        [f"{between - started:.1f}", f"{ended - between:.1f}"],
    ]
    limits = (line for line in found.lines() if line.startswith(LIMITS))
    what = "; ".join([*found.after.choice.lines(), *limits])
    cells = [options.model.stem, options.target, *map(", ".join, pairs), what or "-"]
    print(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|\n| {' | '.join(cells)} |")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure what --min-sqnr gives on other data, and its price")
    for name in ("model", "calibration", "scored"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--min-sqnr", type=float, default=25.0, metavar="DB")
    parser.add_argument("--target", default="ideal")
    parser.add_argument("--unbatched", action="store_true")
    parser.add_argument("--shape", type=stated, action="append", default=[], metavar="INPUT=SIZE,SIZE,...")
    parser.add_argument("--limit", type=int, metavar="N", help="take only the first N samples of both files")
    return parser.parse_args()


def stated(text: str) -> tuple[str, tuple[int, ...]]:
    """Return an input's name and its sizes."""
    name, _, sizes = text.rpartition("=")
    return name, tuple(map(int, sizes.split(",")))


def arrays(path: Path, limit: int | None) -> Batch:
    with np.load(path) as file:
        return {name: np.asarray(array[:limit], np.float32) for name, array in file.items()}


def outputs(graph: Graph, data: Batch) -> Mapping[str, Any]:
    return evaluate(graph, data, batch=samples_at_once(graph))


def least(exact: Mapping[str, Any], real: Mapping[str, Any]) -> float:
    """Return the smallest signal to quantisation noise of all outputs, in dB."""
    return min(one.decibels for one in distances(exact, real))


if __name__ == "__main__":
    main()
