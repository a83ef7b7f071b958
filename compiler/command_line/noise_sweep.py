"""cimc eval over several times and chips: --time 25s,1h,1d --seeds 20."""

import argparse
import json
import math
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product

from cimc.backends.noise import Noise
from cimc.command_line.files import keep_inputs, write
from cimc.command_line.noise_options import noise_of, seconds
from cimc.command_line.plotting import picture, require_matplotlib
from cimc.command_line.progress import Progress
from cimc.command_line.running import print_score, score, scoring_of
from cimc.diagnostics import fail
from cimc.scoring import Scoring, cores

QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""Student's t for 95 %, by degrees of freedom from 1."""


def eval_command(options: argparse.Namespace) -> int:
    """Score a program once, or on every chip at every time."""
    times = (options.time or "0s").split(",")
    if options.plot:
        require_matplotlib()
        keep_inputs([options.plot], [options.program, options.data])
    several = options.seeds is not None or len(times) > 1 or options.plot
    if several and options.noise is None:
        raise fail("CIM0003", "--seeds, --plot and several times need noise", hint="add --noise pcm")
    for time in times:
        noise_of(_at(options, time))
    scoring = scoring_of(options)
    if several:
        _sweep(scoring, options, times)
    else:
        print_score(options, scoring.count, score(scoring, options))
    return 0


def _at(options: argparse.Namespace, time: str) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "time": time if options.time else None})


def _sweep(scoring: Scoring, options: argparse.Namespace, times: list[str]) -> None:
    first = noise_of(_at(options, times[0]))
    assert first
    seeds = range(first.seed, first.seed + (options.seeds or 1))
    trials = [replace(first, seed=seed, time_s=seconds(time)) for seed, time in product(seeds, times)]
    scores = _scores(scoring, options, trials)
    highest = 1.0 if options.metric == "accuracy" else math.inf
    rows = [_row(time, scores[index :: len(times)], highest) for index, time in enumerate(times)]
    if options.plot:
        title = f"{scoring.count} samples, {len(seeds)} chip{'s' * (len(seeds) > 1)} of {options.noise}"
        write(options.plot, picture(rows, options.metric, title))
    if options.json:
        facts = {"n": scoring.count, "metric": options.metric, "profile": first.profile.name}
        print(json.dumps({**facts, "sources": sorted(first.sources), "seeds": list(seeds), "times": rows}))
    else:
        _print_table(options, scoring.count, len(seeds), rows)


def _scores(scoring: Scoring, options: argparse.Namespace, trials: list[Noise]) -> list[float]:
    """Return every score; the first is computed here, so that faults show up at once."""
    progress = Progress("evaluating", len(trials))
    scores = [scoring.score(trials[0], options.compensation, options.threads)]
    workers = min(options.threads or cores(), len(trials) - 1)
    if workers:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _adopt, (scoring, options.compensation)) as pool:
            for value in pool.map(_score_one, trials[1:]):
                scores.append(value)
                progress.at(len(scores))
    progress.done()
    return scores


_adopted: list[tuple[Scoring, str]] = []
"""What a worker process scores: handed over once, when it starts."""


def _adopt(scoring: Scoring, compensation: str) -> None:
    _adopted[:] = [(scoring, compensation)]


def _score_one(noise: Noise) -> float:
    scoring, compensation = _adopted[0]
    return scoring.score(noise, compensation, threads=1)


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
