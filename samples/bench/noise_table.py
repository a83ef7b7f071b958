"""The table of docs/noise-accuracy.md: what each calibration and compensation wins back from PCM noise and drift.

    python samples/bench/noise_table.py MODELS_FOLDER [--seeds 20] [--only resnet8]

MODELS_FOLDER holds the trained models and their data. Every row is made by `cimc compile` and `cimc eval`, which are
printed; results go to standard output as Markdown.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

MODELS = {
    "lenet5": ("mnist_lenet5_fp32", "mnist_calib512", "mnist_test10k", ["--scale", "0.00392156862745098"], 2000),
    "resnet8": ("resnet8_cifar10_fp32", "cifar10_calib256", "cifar10_test1000", [], 1000),
    "kws_dscnn": (
        "kws_dscnn_fp32",
        "kws01_calib100",
        "kws01_test500",
        ["--offset", "-83", "--scale", "0.5847029"],
        500,
    ),
    "vww": ("vww_mobilenetv1_fp32", "vww_coco_calib64", "vww_coco_val128", ["--scale", "0.00392156862745098"], 128),
}
"""Name -> model, calibration set, test set, preprocessing, samples scored."""

ROAD = "layout,fold-affine,fold-pads,fold-reshapes,fuse-clamp,dead-code,{calibrate},quantise,im2col,digital,split,"
ROAD += "{ranges},conductance,compensation,place,schedule"
PLAIN, INPUTS = 'calibrate{method="minmax" inputs="symmetric"}', "calibrate"
BLOCK, COLUMN = 'column-ranges{per="block"}', "column-ranges"
ROWS = (
    ("(a) per-block scaling", PLAIN, BLOCK, "none", "aon-cim"),
    ("(b) a + drift factor per block", PLAIN, BLOCK, "block", "aon-cim"),
    ("(c) per-column scaling and drift factor", PLAIN, COLUMN, "column", "aon-cim"),
    ("(d) c + input and activation ranges", INPUTS, COLUMN, "column", "aon-cim"),
    ("(e) d + gain and offset refit", INPUTS, COLUMN, "refit", "aon-cim"),
    ("(f) d + two averaged pairs", INPUTS, COLUMN, "column", "aon-cim-2p"),
    ("(e + f) all", INPUTS, COLUMN, "refit", "aon-cim-2p"),
    ("(g) d + second pair corrects", INPUTS, COLUMN, "column", "aon-cim-2r"),
    ("(e + g)", INPUTS, COLUMN, "refit", "aon-cim-2r"),
)

AIM = ("--noise", "pcm", "--time", "1d")
"""What all programs are compiled for."""


def cimc(*arguments: str) -> str:
    """Run one command, shown on stderr, and return what it prints."""
    print("cimc " + " ".join(arguments), file=sys.stderr, flush=True)
    return subprocess.run(["cimc", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def scores(scored: Sequence[str], *noisy: Sequence[str]) -> tuple[float, list[dict[str, float]]]:
    """Return the accuracy that `cimc eval` finds without noise, and its scores of chips at each time of each noise."""
    clean = json.loads(cimc(*scored))["accuracy"]
    return clean, [time for options in noisy for time in json.loads(cimc(*scored, *options))["times"]]


def row(name: str, folder: Path, seeds: int, calibrate: str, ranges: str, mode: str, target: str) -> list[str]:
    """Return the cells of one row: clean accuracy, then mean, deviation and 95 % interval at one hour and one day."""
    model, calib, test, feeding, count = MODELS[name]
    data = folder / "data"
    with tempfile.TemporaryDirectory() as made:
        program = f"{made}/{name}.cimb"
        pipeline = ROAD.format(calibrate=calibrate, ranges=ranges)
        calibration = ["--calib", f"{data}/{calib}.npz", *feeding]
        cimc("compile", f"{folder}/{model}.onnx", "-o", program, "--target", target, "--pass-pipeline", pipeline,
             *calibration, *AIM, "--json")  # fmt: skip
        scored = ["eval", program, "--data", f"{data}/{test}.npz", "--limit", str(count), *feeding, "--json"]
        noisy = ["--noise", "pcm", "--time", "1h,1d", "--seeds", str(seeds), "--compensation", mode]
        refit = calibration[:2] if mode == "refit" else []
        clean, found = scores(scored, [*noisy, *refit])
    cells = [f"{100 * clean:.1f}"]
    for time in found:
        cells.append(f"{100 * time['mean']:.1f} ± {100 * time['deviation']:.1f}")
        cells.append(f"{100 * time['low']:.1f} to {100 * time['high']:.1f}")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", choices=MODELS)
    options = parser.parse_args()
    for name in [options.only] if options.only else MODELS:
        print(f"\n### {name}, {MODELS[name][4]} samples, {options.seeds} chips\n")
        print("| | clean % | 1 h: mean ± sd | 95 % interval | 1 d: mean ± sd | 95 % interval |")
        print("| --- | --- | --- | --- | --- | --- |", flush=True)
        for title, *choices in ROWS:
            print(f"| {title} | {' | '.join(row(name, options.folder, options.seeds, *choices))} |", flush=True)


if __name__ == "__main__":
    main()
