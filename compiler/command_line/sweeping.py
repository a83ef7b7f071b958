"""cimc sweep: a grid of trials, kept as they finish, on this machine or a cluster."""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimc.command_line.extras import require_packages
from cimc.command_line.files import keep_inputs
from cimc.command_line.pareto import pareto_command
from cimc.command_line.progress import Progress, clear_line
from cimc.diagnostics import fail
from cimc.driving.intervals import SPREAD_HEADS, spread, spread_cells
from cimc.driving.scoring import Scoring, cores
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.budgets import budgets
from cimc.isa.opening import root
from cimc.sweep.grid import Build, Grid, Trial, read_grid
from cimc.sweep.work import (
    Row,
    compiled,
    costs,
    drawn_noise,
    inherit,
    measured_noise,
    origins,
    rows,
    scoring_digest,
    scoring_of,
    trial_key,
)

if TYPE_CHECKING:
    from cimc.backends.noise.sources import Noise
    from cimc.isa.program import Program
    from cimc.sweep.store import Store

PACKAGES = ("pyarrow", "distributed")
COSTS = ("latency_us", "energy_uj", "chip_tops_per_w")
"""What one sample takes, the same for all chips."""
ORIGINS = ("program", "feeding")
"""Which program and what its data were taken for, the same for all chips."""
POINT = ("model", "target", "passes", "noise", "sources", "compensation", "time")
"""What the chips of one line of the summary share."""


def sweep_command(options: argparse.Namespace) -> int:
    """Score what is not known yet, write the table, print the summary."""
    require_packages("cimc sweep", "sweep", *PACKAGES)
    if options.sweep == "pareto":
        return pareto_command(options)
    if options.table or options.plot:
        raise fail(
            "CIM0003", "a table and --plot come with `cimc sweep pareto`", hint="cimc sweep pareto TABLE.parquet"
        )
    from cimc.sweep.store import Store

    path = Path(options.sweep)
    grid, output = read_grid(path), path.with_suffix(".parquet") if options.output is None else Path(options.output)
    inputs = [path, *(file for one in grid.subjects for file in (one.file, one.calib, one.data))]
    keep_inputs(options, [output], [*inputs, *grid.chips])
    with _telling_what_is_kept(Store(output)):
        table = _table(grid, Store(output), options)
    Store(output).finish(table)
    lines = list(_summary(table))
    if options.json:
        print(json.dumps({"output": str(output), "trials": sum(1 for _ in grid.trials()), "points": lines}))
    else:
        _print_summary(output, table, lines)
    return 0


@contextmanager
def _telling_what_is_kept(store: "Store") -> Iterator[None]:
    """Say what an interrupted sweep leaves, and how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        clear_line()
        kept = f"{store.count()} finished trials are kept in {store.folder}"
        print(f"interrupted: {kept}; the same command goes on with the rest", file=sys.stderr)
        raise


def _table(grid: Grid, store: "Store", options: argparse.Namespace) -> list[Row]:
    """Return the rows of every trial, in the order of the grid."""
    drawn = [(trial, None if trial.measured else drawn_noise(trial)) for trial in grid.trials()]
    scorings = _scorings(grid, options.workers)
    programs = {build: scoring.program for build, scoring in scorings.items()}
    chips = {build: _chips(grid, program) for build, program in programs.items()}
    trials = [(trial, chips[trial.build][trial.noise] if trial.measured else noise) for trial, noise in drawn]
    digests = {build: scoring_digest(scoring) for build, scoring in scorings.items()}
    keys = [trial_key(digests[trial.build], trial, noise) for trial, noise in trials]
    found: dict[str, list[Row]] = {}
    for key, (trial, _) in zip(keys, trials, strict=True):
        before = store.known(key)
        if before is not None and len(before) == len(trial.times):
            found[key] = before
    missing = [index for index, key in enumerate(keys) if key not in found]
    if len(missing) < len(keys):
        print(f"{len(keys) - len(missing)} of {len(keys)} trials are there already", file=sys.stderr)
    if missing:
        held = {digests[build]: scoring for build, scoring in scorings.items()}
        _score(
            options,
            store,
            [(keys[index], digests[trials[index][0].build], *trials[index]) for index in missing],
            held,
            found,
        )
    taken = {build: {**origins(program), **costs(program)} for build, program in programs.items()}
    return [
        {**row, **taken[trial.build]}
        for key, (trial, _) in zip(keys, trials, strict=True)
        for row in _named(found[key], trial)
    ]


def _chips(grid: Grid, program: "Program") -> "dict[str, Noise]":
    """Return the noise of every measured chip with a program, by its file."""
    return {str(chip): measured_noise(str(chip), program, grid.times) for chip in grid.chips}


def _named(found: Sequence[Row], trial: Trial) -> Iterator[Row]:
    """Yield kept rows under the names that the grid uses now: the same trial may have been called otherwise."""
    build = trial.build
    for row in found:
        yield {**row, "model": build.subject.name, "target": build.target, "passes": build.passes, "noise": trial.noise}


def _score(
    options: argparse.Namespace,
    store: "Store",
    tasks: "list[tuple[str, bytes, Trial, Noise | None]]",
    scorings: dict[bytes, Scoring],
    found: dict[str, list[Row]],
) -> None:
    from cimc.sweep.cluster import cluster, run

    progress = Progress("sweeping", len(tasks))

    def finished(index: int, scores: list[float]) -> None:
        key, digest, trial, _ = tasks[index]
        found[key] = rows(trial, key, scorings[digest].count, scores)
        store.keep(key, found[key])
        progress.at(sum(1 for one in tasks if one[0] in found))

    workers = min(options.workers or cores(), len(tasks))
    with cluster(options.scheduler, workers) as client:
        name = tasks[0][0]
        run(client, name, scorings, [(digest, trial, noise) for _, digest, trial, noise in tasks], finished)
    progress.done()


def _scorings(grid: Grid, workers: int | None) -> dict[Build, Scoring]:
    """Return every program of the grid with its data; programs are compiled side by side."""
    builds = grid.builds()
    refit = "refit" in grid.compensation
    progress = Progress("compiling", len(builds))
    programs: list[Program] = []
    for program in _compiled(builds, min(workers or cores(), len(builds))):
        programs.append(program)
        progress.at(len(programs))
    progress.done()
    return {build: scoring_of(program, build.subject, refit) for build, program in zip(builds, programs, strict=True)}


def _compiled(builds: Sequence[Build], workers: int) -> "Iterator[Program]":
    if workers == 1:
        yield from map(compiled, builds)
        return
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawned, inherit, (budgets(), root())) as pool:
        yield from pool.map(compiled, builds)


def _summary(table: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Yield one line a point of the grid: what its chips share, and the spread of their scores."""

    def point(row: Row) -> tuple[Any, ...]:
        return tuple(row[key] for key in POINT)

    order = {key: place for place, key in enumerate(dict.fromkeys(map(point, table)))}
    for key, group in groupby(sorted(table, key=lambda row: order[point(row)]), point):
        chips = list(group)
        metric = chips[0]["metric"]
        facts = {key: chips[0][key] for key in ("metric", "samples", *ORIGINS, *COSTS)} | {"chips": len(chips)}
        yield {**dict(zip(POINT, key, strict=True)), **facts, **spread([row["score"] for row in chips], metric)}


def _print_summary(output: Path, table: Sequence[Row], lines: Sequence[dict[str, Any]]) -> None:
    different = {key: {line[key] for line in lines if line[key] or key == "passes"} for key in POINT}
    varying = [key for key in POINT if key == "model" or len(different[key]) > 1]
    heads = (*varying, "chips", *SPREAD_HEADS, "latency us", "energy uJ")
    print("\n".join(tabulate([heads, *(tuple(_cells(line, varying)) for line in lines)], terminal_width())))
    print(f"wrote {output}: {len(table)} rows")


def _cells(line: dict[str, Any], varying: Sequence[str]) -> Iterator[str]:
    yield from (str(line[key]) or "-" for key in varying)
    yield str(line["chips"])
    yield from spread_cells(line, line["metric"])
    yield f"{line['latency_us']:.2f}"
    yield f"{line['energy_uj']:.3f}"
