"""The ladders of ranges of docs/tuning.md: one model under PCM noise, its ranges found in one way a row.

    python samples/bench/range_table.py MODEL.onnx CALIB.npz TEST.npz --folder MADE [--scale S] [--offset O]
        [--target aon-cim] [--sources programming,drift,read] [--time 1d] [--compensation column,refit]
        [--seeds 20] [--limit N] [--set steps=300] [--only both]

Ranges come from CALIB, also those that are searched for and learnt, for chips one day after the first read; chips then
run TEST without noise, and at each time with each compensation. What is made on the way stays in the folder. Commands
are printed; the table goes to standard output, with the CPU seconds of what each program is made by.
"""

import argparse
import resource
from pathlib import Path

from noise_table import AIM, BLOCK, COLUMN, INPUTS, PLAIN, cimc, scores

ROWS = {
    "neither": (PLAIN, BLOCK),
    "input": (INPUTS, BLOCK),
    "column": (PLAIN, COLUMN),
    "both": (INPUTS, COLUMN),
    "both, least squared error": ('calibrate{method="mse"}', COLUMN),
    "both, least entropy": ('calibrate{method="entropy"}', COLUMN),
    "both, inputs centred": ('calibrate{inputs="full"}', COLUMN),
}
"""Title -> the passes that find ranges of values, and of columns."""
SEARCHED = "searched"
LEARNT = {"ranges learnt": "ranges", "columns learnt": "columns", "columns and ranges learnt": "columns,ranges"}
"""Title -> what `cimc train` learns: weights stay, but for the factors of whole columns."""
TITLES = (*ROWS, SEARCHED, *LEARNT)
LEARNING = ("steps=60", "batch=24", "measure=60", "rate=0.015", "clean=0", "modes=column", "hold=0.2", "chips=2")
"""Settings of what is learnt where none are given. They were not searched for."""


def program(title: str, options: argparse.Namespace) -> str:
    """Compile the network with one row's ranges and return the program's path."""
    model, name = str(options.model), options.folder / title.replace(" ", "-").replace(",", "")
    made, ranges, trained = (f"{name}.{kind}" for kind in ("cimb", "json", "mlir"))
    target = ["--target", options.target, *AIM]
    searching = [*feeding(options), *target, *sources(options)]
    if title == SEARCHED:
        cimc("tune", model, "--calib", str(options.calib), *searching, "-o", ranges)
        chosen = ["--ranges", ranges]
    elif title in LEARNT:
        settings = [text for one in (f"learn={LEARNT[title]}", *(options.set or LEARNING)) for text in ("--set", one)]
        cimc("train", model, "--data", str(options.calib), *searching, *settings, "-o", trained, "--ranges-out", ranges)
        model, chosen = trained, ["--from", "graph", "--ranges", ranges]
    else:
        calibrate, columns = ROWS[title]
        chosen = ["--set", calibrate, "--set", columns, "--calib", str(options.calib)]
    cimc("compile", model, "-o", made, *chosen, *feeding(options), *target, "--json")
    return made


def sources(options: argparse.Namespace) -> list[str]:
    return ["--sources", options.sources] if options.sources else []


def feeding(options: argparse.Namespace) -> list[str]:
    """Return the options that say how data become inputs."""
    given = (("--scale", options.scale), ("--offset", options.offset))
    return [text for name, value in given if value for text in (name, value)]


def row(title: str, options: argparse.Namespace) -> list[str]:
    """Return the cells of one row: CPU seconds, noise-free, then mean, deviation and 95 % interval on chips, in %."""
    before = children_s()
    made, spent = program(title, options), children_s() - before
    limit = ["--limit", str(options.limit)] if options.limit else []
    scored = ["eval", made, "--data", str(options.test), *limit, *feeding(options), "--json"]
    clean, found = scores(scored, *(chips(mode, options) for mode in options.compensation.split(",")))
    cells = [f"{spent:.0f}", f"{100 * clean:.2f}"]
    for time in found:
        mean, deviation, low, high = (100 * time[name] for name in ("mean", "deviation", "low", "high"))
        cells.append(f"{mean:.2f} ± {deviation:.2f} ({low:.2f} to {high:.2f})")
    return cells


def chips(mode: str, options: argparse.Namespace) -> list[str]:
    """Return the options of `cimc eval` for chips under one compensation."""
    noisy = ["--noise", "pcm", *sources(options), "--time", options.time, "--seeds", str(options.seeds)]
    return [*noisy, "--compensation", mode, *(("--calib", str(options.calib)) if mode == "refit" else ())]


def children_s() -> float:
    """Return the CPU seconds of all commands that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "calib", "test"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="where programs and ranges are written")
    parser.add_argument("--scale")
    parser.add_argument("--offset")
    parser.add_argument("--target", default="aon-cim")
    parser.add_argument("--sources")
    parser.add_argument("--time", default="1d")
    parser.add_argument("--compensation", default="column,refit")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--set", action="append", help="a setting of the rows that learn, in place of those built in")
    parser.add_argument("--only", action="append", choices=TITLES, help="a row of the table; all of them otherwise")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    heads = [f"{time}, {mode}" for mode in options.compensation.split(",") for time in options.time.split(",")]
    print(f"| ranges | CPU s | noise-free | {' | '.join(heads)} |")
    print(f"| --- | --- | --- |{' --- |' * len(heads)}", flush=True)
    for title in options.only or TITLES:
        print(f"| {title} | {' | '.join(row(title, options))} |", flush=True)


if __name__ == "__main__":
    main()
