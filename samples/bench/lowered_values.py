"""What fewer bits of what layers read lose without noise: by their codes alone, and with the ADCs behind them.

    python samples/bench/lowered_values.py MODEL.onnx CALIB.npz DATA.npz [--rows N] [--noise pcm] [--limit 1000]

Each value alone, then all, in 6 and in 4 bits; rows of such layers stand up to N times. The signal over the noise of
the outputs on DATA, in dB, against the float model; ranges come from CALIB. For models of one input of raw values.
With --noise columns are as large as those of programs for a day of that noise, which runs nowhere here.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.driving.aiming import aimed_at
from cimc.driving.arrays import load_arrays
from cimc.driving.driver import Request, compile_model, compile_to_pass, compile_to_stage, graph_intakes
from cimc.driving.scoring import chunks, real_outputs
from cimc.evaluate import Batch, evaluate
from cimc.passes.calibrate import ranges_read
from cimc.passes.chosen import Chosen
from cimc.passes.pipeline import DEFAULT, with_options
from cimc.targets import DEFAULT_TARGET, load_target

RUNGS = (6, 4)
DAY = 86400


def decibels(found: Mapping[str, NDArray[np.generic]], wanted: Mapping[str, NDArray[np.generic]]) -> float:
    """Return the signal over the noise of the first output."""
    (name, real), *_ = wanted.items()
    exact = real.astype(np.float64)
    return float(10 * np.log10(exact.var() / np.square(found[name].reshape(exact.shape) - exact).mean()))


def measured(model: Path, request: Request, data: Batch, wanted: Mapping[str, NDArray[np.generic]]) -> str:
    """Return the two last cells of a line: by codes alone, with ADCs."""
    codes = evaluate(compile_to_pass(model, request, "row-copies"), data)
    program = compile_model(model, request).emission.program
    chips = real_outputs(program, chunks(program, data, None, 1))
    return f"{decibels(codes, wanted):.1f} | {decibels(chips, wanted):.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("model", "calib", "data"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--noise")
    parser.add_argument("--limit", type=int, default=1000)
    options = parser.parse_args()
    target = load_target(DEFAULT_TARGET)
    graph = compile_to_stage(options.model, Request(target), "graph")
    (intake,) = graph_intakes(graph)
    given, data = (
        {intake.name: load_arrays(path)["x"][: options.limit].astype(np.float32)}
        for path in (options.calib, options.data)
    )
    wanted = evaluate(graph.copy(), data)
    pipeline = with_options(DEFAULT, f"row-copies{{most={options.rows}}}")
    if options.noise:
        pipeline = aimed_at(pipeline, target, Noise(load_profile(options.noise), time_s=DAY))
    reads = ranges_read(graph, target)
    print("| value | bits | codes alone, dB | with the ADCs, dB |\n| --- | --- | --- | --- |")
    for value in (None, *dict.fromkeys(reads.values()), "all"):
        for bits in RUNGS if value else (8,):
            chosen = {layer: (bits, 8) for layer, read in reads.items() if value in (read, "all")}
            request = Request(target, pipeline, data=lambda intakes: given, chosen=Chosen(chosen))
            print(f"| {value or 'none'} | {bits} | {measured(options.model, request, data, wanted)}", flush=True)


if __name__ == "__main__":
    main()
