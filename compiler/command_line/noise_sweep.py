"""cimc eval over several times and chips: --time 25s,1h,1d --seeds 20."""

import argparse
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

from cimc.backends.noise.sources import Noise
from cimc.command_line.extras import require_packages
from cimc.command_line.feeding_options import feeding_of
from cimc.command_line.files import keep_inputs, write
from cimc.command_line.noise_options import noises_of
from cimc.command_line.plotting import picture
from cimc.command_line.progress import Progress
from cimc.command_line.running import print_score, score, scoring_of
from cimc.diagnostics import fail
from cimc.driving.durations import written
from cimc.driving.intervals import SPREAD_HEADS, spread, spread_cells
from cimc.driving.provenance import run_facts, run_text
from cimc.driving.scoring import Scoring, cores
from cimc.driving.tables import tabulate, terminal_width


def eval_command(options: argparse.Namespace) -> int:
    """Score a program once, or on every chip at every time."""
    if options.plot:
        require_packages("--plot", "plot", "matplotlib")
        keep_inputs(options, [options.plot])
    several = options.seeds is not None or "," in (options.time or "") or options.plot
    if several and options.noise is None and options.chip is None:
        raise fail("CIM0003", "--seeds, --plot and several times need noise", hint="add --noise pcm")
    noises = noises_of(options)
    scoring = scoring_of(options)
    if several:
        _sweep(scoring, options, noises)
    else:
        noise = next(iter(noises), None)
        print_score(options, scoring, noise, score(scoring, noise, options))
    return 0


def _sweep(scoring: Scoring, options: argparse.Namespace, noises: Sequence[Noise]) -> None:
    """Score every chip at every time; a measured chip without times at that of its reading."""
    first = noises[0]
    seeds = range(first.seed, first.seed + (options.seeds or 1))
    scores = _scores(scoring, options, [[replace(noise, seed=seed) for noise in noises] for seed in seeds])
    times = options.time.split(",") if options.time else [written(first.time_s)]
    rows = [
        _row(time, noise, scores[index :: len(times)], options.metric)
        for index, (time, noise) in enumerate(zip(times, noises, strict=True))
    ]
    if options.plot:
        title = f"{scoring.count} samples, {len(seeds)} chip{'s' * (len(seeds) > 1)} of {options.noise or options.chip}"
        write(options.plot, picture(rows, options.metric, title))
    if options.json:
        chips = {"profile": first.profile.name, "sources": sorted(first.sources), "seeds": list(seeds)}
        origin = run_facts(scoring.program, feeding_of(options), None, options.compensation)
        del origin["noise"]
        print(json.dumps({"n": scoring.count, "metric": options.metric, **origin, **chips, "times": rows}))
    else:
        _print_table(options, scoring.count, len(seeds), rows)
        sources = f"noisy: {', '.join(sorted(first.sources))}"
        drawn = [f"chips {seeds[0]} to {seeds[-1]}", sources, f"compensation {options.compensation}"]
        print(run_text(scoring.program, feeding_of(options), drawn))


def _scores(scoring: Scoring, options: argparse.Namespace, chips: list[list[Noise]]) -> list[float]:
    """Return every score, chip by chip; the first is computed here, so that faults show up at once."""
    first, *times = chips[0]
    rest = [times, *chips[1:]] if times else chips[1:]
    progress = Progress("evaluating", sum(map(len, chips)))
    scores = [scoring.score(first, options.compensation, options.threads)]
    workers = min(options.threads or cores(), sum(map(len, rest)))
    if workers:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _adopt, (scoring, options.compensation)) as pool:
            for values in pool.map(_scores_of, list(_shared(rest, workers))):
                scores += values
                progress.at(len(scores))
    progress.done()
    return scores


def _shared(chips: list[list[Noise]], workers: int) -> Iterator[list[Noise]]:
    """Yield what a process scores at once: a chip at all its times, or at fewer where processes would have nothing."""
    most = -(-sum(map(len, chips)) // workers)
    for times in chips:
        yield from (times[start : start + most] for start in range(0, len(times), most))


_adopted: list[tuple[Scoring, str]] = []
"""What a worker process scores: handed over once, when it starts."""


def _adopt(scoring: Scoring, compensation: str) -> None:
    _adopted[:] = [(scoring, compensation)]


def _scores_of(times: list[Noise]) -> list[float]:
    scoring, compensation = _adopted[0]
    return list(scoring.scores(times, compensation, threads=1))


def _row(time: str, noise: Noise, values: list[float], metric: str) -> dict[str, Any]:
    """Return the spread of the scores at one time, named as it was given."""
    return {"time": time, "seconds": noise.time_s, **spread(values, metric), "values": values}


def _print_table(options: argparse.Namespace, count: int, chips: int, rows: list[dict[str, Any]]) -> None:
    print(f"{options.metric} on {count} samples, {chips} chip{'s' * (chips > 1)} of {options.noise or options.chip}")
    lines = [(row["time"], *spread_cells(row, options.metric)) for row in rows]
    print("\n".join(tabulate([("time", *SPREAD_HEADS), *lines], terminal_width())))
