"""cimc tune."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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
from cimc.driving.scoring import given_labels, samples_of
from cimc.driving.tables import tabulate, terminal_width
from cimc.passes.pipeline import DEFAULT, behind_stage, with_options

if TYPE_CHECKING:
    from cimc.evaluate import Batch
    from cimc.tuning.bits import Measured
    from cimc.tuning.judging import Choice, Judge
    from cimc.tuning.scale import Levels

    Rows = NDArray[np.integer]
    """Places of samples."""

TRIALS = 30
"""Choices that optuna asks for where nothing else is said."""
FEWEST = 8
"""Samples of which some can give ranges and some can judge them."""


def tune_command(options: argparse.Namespace) -> int:
    options = _settled(options)
    if options.within is None or options.by == "tpe":
        require_packages("cimc tune", "search", "optuna")
    outputs = _outputs(options)
    keep_inputs(options, outputs)
    judge, data = _judge(options)
    choices = [_ranges(options, judge)] if options.within is None else _bits(options, judge)
    for output, choice in zip(outputs, choices, strict=True):
        write_ranges(output, judge.compiled(choice, data).ranges)
        print(f"wrote {output}")
    return 0


def _outputs(options: argparse.Namespace) -> list[str]:
    """Return the files that are written: of several shares one each, named by it."""
    shares = options.within[1] if options.within else ()
    if len(shares) < 2:
        return [options.output]
    path = Path(options.output)
    return [str(path.with_stem(f"{path.stem}-{share:g}")) for share in shares]


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
    given, held = _parted(samples_of(data), options.calib, options.seed)
    behind = replace(request, pipeline=behind_stage(request.pipeline, "graph"), start="graph")
    judge = Judge(graph, behind, _rows(data, given), _rows(data, held), noise, options.compensation, options.chips)
    return replace(judge, classes=_classes(options, judge, arrays, samples_of(data), held)), data


def _classes(
    options: argparse.Namespace, judge: "Judge", arrays: "Batch", count: int, held: "Rows"
) -> "NDArray[Any] | None":
    """Return the classes wanted of the samples kept back: the labels, or the float model's; None where noise judges."""
    from cimc.tuning.judging import classes_of

    if options.objective == "accuracy":
        return given_labels(arrays, count, options.calib, "use --objective agreement")[held]
    return classes_of(judge.exact) if options.objective == "agreement" else None


def _parted(count: int, path: str, seed: int) -> "tuple[Rows, Rows]":
    """Return the places of seven tenths of the samples and of the rest, which judges. Raises CimcError CIM0202."""
    if count < FEWEST:
        hint = "some give ranges, and others judge them"
        raise fail("CIM0202", f"{path} holds {count} samples, tuning takes at least {FEWEST}", hint=hint)
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: 7 * count // 10]), np.sort(order[7 * count // 10 :])


def _rows(data: "Batch", places: "Rows") -> "Batch":
    return {name: array[places] for name, array in data.items()}


def _ranges(options: argparse.Namespace, judge: "Judge") -> "Choice":
    """Choose ranges, and tell what that gives."""
    from cimc.tuning.ranges import options_text, searched, steps_of

    progress = Progress("tuning", steps_of(judge, options.trials))
    found = searched(judge, options.trials, options.seed, progress.at)
    progress.done()
    rows = [
        (name, judge.told(loss), " ".join(options_text(choice)), str(len(choice.beside.reach)))
        for name, choice, loss in found.steps
    ]
    heads = ("ranges", judge.measure, "options", "ranges of their own")
    print("\n".join(tabulate([heads, *rows], terminal_width())))
    return found.best


def _bits(options: argparse.Namespace, judge: "Judge") -> "list[Choice]":
    """Choose bits within shares of the cost, and tell what that gives: the front as well, of several shares."""
    from cimc.tuning.bits import fitted
    from cimc.tuning.scale import scale_of

    unit, shares = options.within
    found = fitted(judge, scale_of(judge, unit, min(shares)))
    chosen = {"all bits": found.scale.full}
    for share in shares:
        chosen |= _levels(options, found.within(share), share)
    print("\n".join(_table(found, chosen)))
    if len(shares) > 1:
        print("\n".join(_front(found)))
    print(f"{len(found.losses)} choices compiled")
    return [found.scale.choice(chosen[f"{options.by} {share:g}"]) for share in shares]


def _levels(options: argparse.Namespace, found: "Measured", share: float) -> "dict[str, Levels]":
    """Return the levels of a search within a share, by the name of both; those of greedy beside a study's."""
    from cimc.tuning.bits import by_study, exhaustive, fitting, greedy

    if options.by == "exhaustive":
        every = fitting(found.scale)
        progress = Progress("tuning", len(every))
        levels = {f"exhaustive {share:g}": exhaustive(found, every, progress.at)}
        progress.done()
        return levels
    levels = {f"greedy {share:g}": greedy(found)}
    if options.by == "tpe":
        progress = Progress("tuning", options.trials)
        levels[f"tpe {share:g}"] = by_study(found, options.trials, options.seed, progress.at)
        progress.done()
    return levels


def _table(found: "Measured", chosen: "dict[str, Levels]") -> list[str]:
    """Return what choices cost and lose, and the bits of every value or layer."""
    scale, judge = found.scale, found.judge
    lines = {f"% of the {scale.unit}": [_percent(found, levels) for levels in chosen.values()]}
    lines[judge.measure] = [judge.told(found.loss(levels)) for levels in chosen.values()]
    lines |= {knob.label: [str(levels[knob]) for levels in chosen.values()] for knob in scale.prices}
    rows = [(name, *cells) for name, cells in lines.items()]
    return tabulate([("bits", *chosen), *rows], terminal_width())


def _front(found: "Measured") -> list[str]:
    """Return the front of what was tried: what nothing cheaper loses less than, with the bits in the order above."""
    heads = (f"front: % of the {found.scale.unit}", found.judge.measure, "bits")
    rows = [
        (_percent(found, levels), found.judge.told(found.loss(levels)), " ".join(map(str, levels.values())))
        for levels in found.front()
    ]
    return tabulate([heads, *rows], terminal_width())


def _percent(found: "Measured", levels: "Levels") -> str:
    return f"{100 * found.scale.share(levels):.1f}"
