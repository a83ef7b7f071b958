"""cimc tune."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cimc.command_line.compiling import target_of_options, write_ranges
from cimc.command_line.extras import require_packages
from cimc.command_line.feeding_options import stated_of
from cimc.command_line.files import keep_inputs
from cimc.command_line.noise_options import noise_of
from cimc.command_line.progress import Progress
from cimc.diagnostics import fail
from cimc.driving.arrays import load_arrays
from cimc.driving.calibration import calibration
from cimc.driving.driver import Request, compile_to_stage, graph_intakes
from cimc.driving.scoring import samples_of
from cimc.driving.tables import tabulate, terminal_width
from cimc.passes.pipeline import DEFAULT, behind_stage, with_options

if TYPE_CHECKING:
    from cimc.evaluate import Batch
    from cimc.tuning.bits import Levels, Measured
    from cimc.tuning.judging import Choice, Judge

TRIALS = 30
"""Choices that optuna asks for where nothing else is said."""
FEWEST = 8
"""Samples of which some can give ranges and some can judge them."""


def tune_command(options: argparse.Namespace) -> int:
    options = _settled(options)
    if options.within is None or options.by == "tpe":
        require_packages("cimc tune", "search", "optuna")
    keep_inputs(options, [options.output])
    judge, data = _judge(options)
    choice = _ranges(options, judge) if options.within is None else _bits(options, judge)
    write_ranges(options.output, judge.compiled(choice, data).ranges)
    print(f"wrote {options.output}")
    return 0


def _settled(options: argparse.Namespace) -> argparse.Namespace:
    """Return options with --by and --trials filled in. Raises CimcError CIM0003 where no search asks for them."""
    by = options.by or "greedy"
    if options.within is None and options.by is not None:
        raise fail("CIM0003", "--by says how bits are looked for, but there is no --within", hint="add --within ns=0.5")
    if options.within is not None and options.trials is not None and by != "tpe":
        message = f"--trials counts what optuna asks for, and bits are looked for by {by}"
        raise fail("CIM0003", message, hint="add --by tpe, or leave out --trials")
    return argparse.Namespace(**{**vars(options), "by": by, "trials": options.trials or TRIALS})


def _judge(options: argparse.Namespace) -> "tuple[Judge, Batch]":
    """Return what judges, and all data: those that give ranges and those kept back, in an order of the seed."""
    from cimc.driving.aiming import aimed_at
    from cimc.tuning.judging import Judge

    target, noise = target_of_options(options), noise_of(argparse.Namespace(**{**vars(options), "seed": None}))
    pipeline = with_options(DEFAULT, ",".join(options.set)) if options.set else DEFAULT
    request = Request(target, aimed_at(pipeline, target, noise) if noise else pipeline)
    graph = compile_to_stage(Path(options.model), request, "graph")
    arrays = load_arrays(options.calib)
    intakes = graph_intakes(graph, stated_of(options))
    data = calibration(lambda: arrays, options.calib, options.feed, options.limit)(intakes)
    given, held = _parted(data, options.calib, options.seed)
    behind = replace(request, pipeline=behind_stage(request.pipeline, "graph"), start="graph")
    return Judge(graph, behind, given, held, noise, options.compensation, options.chips), data


def _parted(data: "Batch", path: str, seed: int) -> "tuple[Batch, Batch]":
    """Return seven tenths of the data and the rest, which judges. Raises CimcError CIM0202."""
    count = samples_of(data)
    if count < FEWEST:
        hint = "some give ranges, and others judge them"
        raise fail("CIM0202", f"{path} holds {count} samples, tuning takes at least {FEWEST}", hint=hint)
    order = np.random.default_rng(seed).permutation(count)
    given, held = np.sort(order[: 7 * count // 10]), np.sort(order[7 * count // 10 :])
    first, second = ({name: array[rows] for name, array in data.items()} for rows in (given, held))
    return first, second


def _ranges(options: argparse.Namespace, judge: "Judge") -> "Choice":
    """Choose ranges, and tell what that gives."""
    from cimc.tuning.ranges import decibels, options_text, searched, steps_of

    progress = Progress("tuning", steps_of(judge, options.trials))
    found = searched(judge, options.trials, options.seed, progress.at)
    progress.done()
    rows = [
        (name, f"{decibels(power):.2f}", " ".join(options_text(choice)), str(len(choice.reach)))
        for name, choice, power in found.steps
    ]
    heads = ("ranges", "dB on data kept back", "options", "ranges of their own")
    print("\n".join(tabulate([heads, *rows], terminal_width())))
    return found.best


def _bits(options: argparse.Namespace, judge: "Judge") -> "Choice":
    """Choose bits within a share of the cost, and tell what that gives."""
    from cimc.tuning.bits import Measured, scale_of

    unit, share = options.within
    found = Measured(judge, scale_of(judge, unit, share))
    levels = _levels(options, found)
    print("\n".join(_table(found, {"all bits": found.scale.full, options.by: levels})))
    print(f"{len(found.powers)} choices compiled")
    return found.scale.choice(levels)


def _levels(options: argparse.Namespace, found: "Measured") -> "Levels":
    from cimc.tuning.bits import by_study, exhaustive, fitting, greedy

    if options.by == "tpe":
        progress = Progress("tuning", options.trials)
        levels = by_study(found, options.trials, options.seed, progress.at)
    elif options.by == "exhaustive":
        every = fitting(found.scale)
        progress = Progress("tuning", len(every))
        levels = exhaustive(found, every, progress.at)
    else:
        return greedy(found)
    progress.done()
    return levels


def _table(found: "Measured", chosen: "dict[str, Levels]") -> list[str]:
    """Return what choices cost and lose, and the bits of every value or layer."""
    from cimc.tuning.ranges import decibels

    scale = found.scale
    lines = {f"% of the {scale.unit}": [f"{100 * scale.share(levels):.1f}" for levels in chosen.values()]}
    lines["dB on data kept back"] = [f"{decibels(found.power(levels)):.2f}" for levels in chosen.values()]
    lines |= {knob.label: [str(levels[knob]) for levels in chosen.values()] for knob in scale.prices}
    rows = [(name, *cells) for name, cells in lines.items()]
    return tabulate([("bits", *chosen), *rows], terminal_width())
