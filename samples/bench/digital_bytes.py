"""What bytes for the digital unit change where DACs have fewer bits: a program's outputs beside the float model's.

    python samples/bench/digital_bytes.py MODEL.onnx CALIB.npz IMAGES.npz [--target aon-cim-6b] [--scale S] [--halves N]
        [--limit N]

A line for all of CALIB, and one for each of so many random halves that calibrate alone. Programs read codes of the
DAC's bits in the digital unit, or bytes; both run without noise and without labels, on 32 random crops of each image of
CALIB that did not calibrate (of all in the first line), and on IMAGES, enlarged to the model's size; at most so many of
each file are read (2,000).
The same top-1 as the float model in %, and the signal over the noise of the outputs in dB, the DAC's bits first.
"""

import argparse
from pathlib import Path

import numpy as np
from lowered_values import decibels
from numpy.typing import NDArray

from cimc.driving.arrays import load_arrays
from cimc.driving.driver import Request, compile_model, compile_to_stage, graph_intakes
from cimc.driving.scoring import chunks, real_outputs
from cimc.evaluate import Batch, evaluate
from cimc.isa.program import Program
from cimc.passes.pipeline import DEFAULT, with_options
from cimc.targets import Target, load_target

CROPS = 32
SMALLEST = 2 / 3
"""The smallest crop, as a share of the image's side."""
Reals = NDArray[np.float32]


def enlarged(image: Reals, side: int) -> Reals:
    """Return a square image [side, side, channels], linear between its pixels."""
    places = np.clip((np.arange(side) + 0.5) * len(image) / side - 0.5, 0, len(image) - 1)
    first = places.astype(np.int64)
    second, share = np.minimum(first + 1, len(image) - 1), (places - first).astype(np.float32)
    rows = image[first] * (1 - share)[:, None, None] + image[second] * share[:, None, None]
    return np.asarray(rows[:, first] * (1 - share)[:, None] + rows[:, second] * share[:, None])


def cropped(images: Reals) -> Reals:
    """Return random square crops [CROPS, N, side, side, channels] of images, half of them mirrored."""
    random, side = np.random.default_rng(0), images.shape[1]

    def crop(image: Reals) -> Reals:
        size = int(random.integers(round(SMALLEST * side), side))
        top, left = random.integers(0, side - size + 1, 2)
        return enlarged(image[top : top + size, left : left + size][:, :: random.choice((1, -1))], side)

    return np.stack([[crop(image) for image in images] for _ in range(CROPS)])


def compared(model: Path, target: Target, calib: Batch, sets: list[tuple[Batch, Batch]]) -> str:
    """Return the cells of a line: of each of the sets of inputs and outputs, what both programs make of it."""
    found = []
    for option in (f"quantise{{bits={int(target.constants['dac.bits'])}}}", "quantise{bits=0}"):
        request = Request(target, with_options(DEFAULT, option), data=lambda intakes: calib)
        program = compile_model(model, request).emission.program
        found.append([agreement(program, data, wanted) for data, wanted in sets])
    pairs = zip(*found, strict=True)
    return " | ".join(f"{a[0]:.1f}, {b[0]:.1f} | {a[1]:.1f}, {b[1]:.1f}" for a, b in pairs)


def agreement(program: Program, data: Batch, wanted: Batch) -> tuple[float, float]:
    """Return in how many % of the samples the first output has the wanted top-1, and its signal over the noise."""
    outputs = real_outputs(program, chunks(program, data, None, 1))
    (name, real), *_ = wanted.items()
    same = (outputs[name].argmax(axis=-1) == real.argmax(axis=-1)).mean()
    return float(100 * same), decibels(outputs, wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("model", "calib", "images"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--target", default="aon-cim-6b")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--halves", type=int, default=12)
    parser.add_argument("--limit", type=int, default=2000)
    options = parser.parse_args()
    target = load_target(options.target)
    graph = compile_to_stage(options.model, Request(target), "graph")
    (intake,) = graph_intakes(graph)
    calib, images = (
        load_arrays(path)["x"][: options.limit].astype(np.float32) * np.float32(options.scale)
        for path in (options.calib, options.images)
    )
    crops = cropped(calib)

    def judged(data: Reals) -> tuple[Batch, Batch]:
        return {intake.name: data}, evaluate(graph.copy(), {intake.name: data})

    others = judged(np.stack([enlarged(image, calib.shape[1]) for image in images]))
    print("| calibrated on | crops: same top-1, % | dB | images: same top-1, % | dB |\n| --- | --- | --- | --- | --- |")
    for half in range(options.halves + 1):
        order = np.random.default_rng(half).permutation(len(calib))
        used = np.arange(len(calib)) if half == 0 else np.sort(order[: len(calib) // 2])
        rest = used if half == 0 else np.setdiff1d(order, used)
        kept = judged(crops[:, rest].reshape(-1, *calib.shape[1:]))
        print(f"| {'all' if half == 0 else f'half {half}'} | ", end="")
        print(compared(options.model, target, {intake.name: calib[used]}, [kept, others]), "|", flush=True)


if __name__ == "__main__":
    main()
