"""cimc eval over several times and chips: --time 25s,1h,1d --seeds 20."""

import argparse
import json
import math
import multiprocessing
import os
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from cimc.command_line.files import keep_inputs, write
from cimc.command_line.noise_options import noise_of, seconds
from cimc.command_line.plotting import picture, require_matplotlib
from cimc.command_line.progress import Progress
from cimc.command_line.running import cores, print_score, score
from cimc.diagnostics import fail

QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""Student's t for 95 %, by degrees of freedom from 1."""

Scores = dict[tuple[int, str], float]


def eval_command(options: argparse.Namespace) -> int:
    """Score a program once, or on every chip at every time."""
    times = (options.time or "0s").split(",")
    if options.plot:
        require_matplotlib()
        keep_inputs([options.plot], [options.program, options.data])
    if options.seeds is None and len(times) == 1 and not options.plot:
        count, value = score(options)
        print_score(options, count, value)
        return 0
    if options.noise is None:
        raise fail("CIM0003", "--seeds, --plot and several times need noise", hint="add --noise pcm")
    for time in times:
        seconds(time)
    _sweep(options, times)
    return 0


def _sweep(options: argparse.Namespace, times: list[str]) -> None:
    first = noise_of(_one(options, None, times[0]))
    assert first
    seeds = range(first.seed, first.seed + (options.seeds or 1))
    tasks = list(product(seeds, times))
    count, scores = _scores(options, tasks)
    highest = 1.0 if options.metric == "accuracy" else math.inf
    rows = [_row(time, [scores[seed, time] for seed in seeds], highest) for time in times]
    if options.plot:
        title = f"{count} samples, {len(seeds)} chip{'s' * (len(seeds) > 1)} of {options.noise}"
        write(options.plot, picture(rows, options.metric, title))
    if options.json:
        facts = {"n": count, "metric": options.metric, "profile": first.profile.name, "sources": sorted(first.sources)}
        print(json.dumps({**facts, "seeds": list(seeds), "times": rows}))
    else:
        _print_table(options, count, len(seeds), rows)


def _scores(options: argparse.Namespace, tasks: list[tuple[int, str]]) -> tuple[int, Scores]:
    """Return the number of samples and every score; the first is computed here, so that faults show up at once."""
    progress = Progress("evaluating", len(tasks))
    count, value = score(_one(options, *tasks[0], threads=options.threads))
    scores = {tasks[0]: value}
    workers = min(options.threads or cores(), len(tasks) - 1)
    if workers:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _quieten) as pool:
            found = pool.map(score, [_one(options, *task, threads=1) for task in tasks[1:]])
            for task, (_, value) in zip(tasks[1:], found, strict=True):
                scores[task] = value
                progress.at(len(scores))
    progress.done()
    return count, scores


def _one(options: argparse.Namespace, seed: int | None, time: str, threads: int | None = None) -> argparse.Namespace:
    """Return the options of one chip at one time, which can be handed to another process."""
    chosen = {"time": time, "threads": threads, "run": None}
    if seed is not None:
        chosen["seed"] = str(seed)
    return argparse.Namespace(**{**vars(options), **chosen})


def _quieten() -> None:
    """Let only the first process show progress."""
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _row(time: str, values: list[float], highest: float) -> dict[str, object]:
    """Return mean, standard deviation and the 95 % interval of the mean over chips (null for a single chip).

    The interval is cut to what the measure can reach, 0 to `highest`.
    """
    mean, n = statistics.fmean(values), len(values)
    deviation = statistics.stdev(values) if n > 1 else None
    low = high = None
    if deviation is not None:
        quantile = QUANTILES[n - 2] if n - 1 <= len(QUANTILES) else 1.96 + 2.4 / (n - 1)
        half = quantile * deviation / math.sqrt(n)
        low, high = max(mean - half, 0.0), min(mean + half, highest)
    found = {"mean": mean, "deviation": deviation, "low": low, "high": high, "values": values}
    return {"time": time, "seconds": seconds(time), **found}


def _print_table(options: argparse.Namespace, count: int, chips: int, rows: list[dict[str, object]]) -> None:
    factor, unit = (100, " %") if options.metric == "accuracy" else (1, "")
    print(f"{options.metric} on {count} samples, {chips} chip{'s' * (chips > 1)} of {options.noise}")
    print(f"  {'time':>8}  {'mean':>9}  {'deviation':>9}  95 % interval of the mean")
    for row in rows:
        mean, deviation, low, high = (_shown(row[key], factor) for key in ("mean", "deviation", "low", "high"))
        interval = f"{low} to {high}{unit}" if row["low"] is not None else "-"
        print(f"  {row['time']:>8}  {mean:>9}  {deviation:>9}  {interval}")


def _shown(value: object, factor: int) -> str:
    return f"{factor * value:.2f}" if isinstance(value, float) else "-"
