"""The ladder of ranges of docs/tuning.md: the vision transformer of samples/train_vit.py under PCM noise and IR drop.

    python samples/bench/vit_table.py FOLDER [--seeds 20] [--limit 10000] [--target hermes-64] [--only both]

FOLDER is what train_vit.py has written. Ranges come from the 512 calibration images, also those that are searched for
and learnt; chips run test images one hour and one day after the first read, with drift factors by column. Commands are
printed; the table goes to standard output.
"""

import argparse
from pathlib import Path

from noise_table import BLOCK, COLUMN, INPUTS, PLAIN, cimc, scores
from transformer_table import ROAD

FEEDING = ("--scale", "0.00392156862745098")
SOURCES = ("--sources", "programming,drift,read,ir_drop")
AIM = ("--noise", "pcm", "--time", "1d")
TIMES = "1h,1d"
ROWS = {
    "neither": (PLAIN, BLOCK),
    "input": (INPUTS, BLOCK),
    "column": (PLAIN, COLUMN),
    "both": (INPUTS, COLUMN),
    "both, inputs centred": ('calibrate{inputs="full"}', COLUMN),
}
SEARCHED, LEARNT = "searched", "learnt"
TITLES = (*ROWS, SEARCHED, LEARNT)
LEARNING = ("learn=ranges", "steps=60", "batch=24", "measure=60", "rate=0.015", "clean=0", "modes=column", "hold=0.2",
            "chips=2")  # fmt: skip
"""Settings of the last row: weights stay. They were not searched for."""


def program(folder: Path, title: str, target: str) -> str:
    """Compile the network with one row's ranges and return the program's path."""
    model, ranges, made = str(folder / "vit.onnx"), str(folder / "searched.json"), str(folder / "vit.cimb")
    calib = ("--calib", str(folder / "vit_calib.npz"), *FEEDING)
    if title == SEARCHED:
        cimc("tune", model, *calib, "--target", target, *AIM, *SOURCES, "-o", ranges)
        chosen = ("--ranges", ranges, *FEEDING)
    elif title == LEARNT:
        came, (model, ranges) = model, (str(folder / f"learnt.{kind}") for kind in ("mlir", "json"))
        data = ("--data", str(folder / "vit_calib.npz"), *FEEDING)
        settings = (text for setting in LEARNING for text in ("--set", setting))
        cimc("train", came, *data, "--target", target, *AIM, *SOURCES, *settings, "-o", model, "--ranges-out", ranges)
        chosen = ("--from", "graph", "--ranges", ranges, *FEEDING)
    else:
        calibrate, columns = ROWS[title]
        chosen = ("--pass-pipeline", ROAD.format(calibrate=calibrate, ranges=columns), *calib)
    cimc("compile", model, "-o", made, "--target", target, *chosen, *AIM, "--json")
    return made


def row(folder: Path, title: str, options: argparse.Namespace) -> list[str]:
    """Return the cells of one row: noise-free, then mean, deviation and 95 % interval at each time, in percent."""
    data = ("--data", str(folder / "vit_test.npz"), "--limit", str(options.limit), *FEEDING)
    scored = ("eval", program(folder, title, options.target), *data, "--json")
    noisy = ("--noise", "pcm", *SOURCES, "--time", TIMES, "--seeds", str(options.seeds))
    clean, found = scores(scored, noisy)
    cells = [f"{100 * clean:.2f}"]
    for time in found:
        mean, deviation, low, high = (100 * time[name] for name in ("mean", "deviation", "low", "high"))
        cells.append(f"{mean:.2f} ± {deviation:.2f} ({low:.2f} to {high:.2f})")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--limit", type=int, default=10000)
    parser.add_argument("--target", default="hermes-64")
    parser.add_argument("--only", choices=TITLES, help="one row of the table")
    options = parser.parse_args()
    print(f"| ranges | noise-free % | {' | '.join(TIMES.split(','))} |")
    print(f"| --- | --- |{' --- |' * len(TIMES.split(','))}", flush=True)
    for title in [options.only] if options.only else TITLES:
        print(f"| {title} | {' | '.join(row(options.folder, title, options))} |", flush=True)


if __name__ == "__main__":
    main()
