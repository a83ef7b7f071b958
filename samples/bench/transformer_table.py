"""The table of docs/transformers.md: the sample transformer under PCM noise, with and without calibration.

    python samples/bench/transformer_table.py [--seeds 20] [--profile pcm] [--target hermes-64]

Calibration is that of arXiv 2401.09859: a conductance range for every column, and a range for the inputs of every
layer. Every row is made by `cimc compile` and `cimc eval`, which are printed; the table goes to standard output.
"""

import argparse
import tempfile
from pathlib import Path

from noise_table import BLOCK, COLUMN, INPUTS, PLAIN, cimc, scores

SAMPLES = Path(__file__).parent.parent
MODEL, CALIB, TEST = (SAMPLES / name for name in ("digits_transformer.onnx", "digits_calib.npz", "digits_test.npz"))
FEEDING = ("--scale", "0.0625")
TIMES = "1h,1d,30d"
ROAD = "masks,fuse-functions,layout,fold-affine,fold-pads,fold-reshapes,fuse-clamp,dead-code,{calibrate},quantise,"
ROAD += "im2col,digital,split,{ranges},conductance,compensation,place,schedule"
ROWS = (
    ("neither", PLAIN, BLOCK, "column"),
    ("input ranges", INPUTS, BLOCK, "column"),
    ("column ranges", PLAIN, COLUMN, "column"),
    ("both", INPUTS, COLUMN, "column"),
    ("both, without a drift factor", INPUTS, COLUMN, "none"),
    ("both, and gain and offset refitted", INPUTS, COLUMN, "refit"),
)


def row(target: str, profile: str, seeds: int, calibrate: str, ranges: str, mode: str) -> list[str]:
    """Return the cells of one row: clean accuracy, then mean and deviation over chips at each time."""
    with tempfile.TemporaryDirectory() as made:
        program = f"{made}/program.cimb"
        calibration = ["--calib", str(CALIB), *FEEDING]
        pipeline = ROAD.format(calibrate=calibrate, ranges=ranges)
        cimc("compile", str(MODEL), "-o", program, "--target", target, "--pass-pipeline", pipeline, *calibration,
             "--json")  # fmt: skip
        scored = ["eval", program, "--data", str(TEST), *FEEDING, "--json"]
        noisy = ["--noise", profile, "--time", TIMES, "--seeds", str(seeds), "--compensation", mode]
        clean, found = scores(scored, [*noisy, *(calibration[:2] if mode == "refit" else [])])
    return [f"{100 * clean:.2f}", *(f"{100 * time['mean']:.1f} ± {100 * time['deviation']:.1f}" for time in found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--profile", default="pcm")
    parser.add_argument("--target", default="hermes-64")
    options = parser.parse_args()
    print(f"| calibration | noise-free % | {' | '.join(TIMES.split(','))} |")
    print(f"| --- | --- |{' --- |' * len(TIMES.split(','))}", flush=True)
    for title, *choices in ROWS:
        print(f"| {title} | {' | '.join(row(options.target, options.profile, options.seeds, *choices))} |", flush=True)


if __name__ == "__main__":
    main()
