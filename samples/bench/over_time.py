"""The picture of docs/training.md: accuracy over time of several programs, on the same chips.

    python samples/bench/over_time.py OUT.png came=a.cimb trained=b.cimb -- --data TEST.npz [options of cimc eval]

Each program is scored by `cimc eval --noise pcm --seeds 20` at an hour, a day, 30 days and a year; means and their 95 %
intervals are drawn, means and deviations are printed as a table. Needs the extra `plot`.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TIMES = "1h,1d,30d,1y"
CHIPS = ("--noise", "pcm", "--time", TIMES, "--seeds", "20")


def scored(program: str, options: Sequence[str]) -> list[dict[str, Any]]:
    """Return mean, deviation and interval at every time."""
    command = ["cimc", "eval", program, *CHIPS, "--json", *options]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return list(json.loads(found)["times"])


def drawn(curves: dict[str, list[dict[str, Any]]]) -> Figure:
    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, (name, rows) in enumerate(curves.items()):
        places = [row["seconds"] * 1.06**number for row in rows]
        means = [100 * row["mean"] for row in rows]
        half = [100 * (row["mean"] - row["low"]) for row in rows]
        axes.errorbar(places, means, half, marker="s", capsize=4, label=name)
    rows = next(iter(curves.values()))
    axes.set_xscale("log")
    axes.set_xticks([row["seconds"] for row in rows], [row["time"] for row in rows])
    axes.minorticks_off()
    axes.set(xlabel="time since the first read", ylabel="top-1 accuracy (%)", title="mean of 20 chips, 95 % interval")
    axes.grid(axis="y", color="0.9")
    axes.legend(frameon=False)
    return figure


def main() -> None:
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    output, *named = sys.argv[1:split]
    programs = dict(one.split("=", 1) for one in named)
    curves = {name: scored(program, sys.argv[split + 1 :]) for name, program in programs.items()}
    print(f"| | {' | '.join(TIMES.split(','))} |\n|{' --- |' * 5}")
    for name, rows in curves.items():
        cells = (f"{100 * row['mean']:.1f} ± {100 * row['deviation']:.1f}" for row in rows)
        print(f"| {name} | {' | '.join(cells)} |")
    drawn(curves).savefig(Path(output), metadata={"Software": None})


if __name__ == "__main__":
    main()
