"""cimc train."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from cimc.command_line.compiling import read_ranges, target_of_options, write_ranges
from cimc.command_line.extras import require_packages
from cimc.command_line.feeding_options import stated_of
from cimc.command_line.files import keep_inputs, write
from cimc.command_line.graph_files import write_graph
from cimc.command_line.noise_options import noises_of
from cimc.command_line.observing import Steps
from cimc.command_line.progress import Progress
from cimc.diagnostics import fail
from cimc.driving.aiming import aimed_at
from cimc.driving.arrays import feed, load_arrays
from cimc.driving.calibration import calibration
from cimc.driving.driver import Compilation, Request, compile_graph, compile_to_stage, graph_intakes
from cimc.driving.feeding import Intake, taken_for
from cimc.driving.scoring import given_labels, samples_of
from cimc.driving.tables import tabulate, terminal_width
from cimc.evaluate import to_onnx
from cimc.ir.loop import ScanOp
from cimc.passes.chosen import Chosen
from cimc.passes.pipeline import DEFAULT, behind_stage, with_options

if TYPE_CHECKING:
    from cimc.ir.graph import Graph
    from cimc.training.batches import Data
    from cimc.training.fit import Plan, Trained
    from cimc.training.settings import Settings

DISTANCES = ("distance, noise-free", "on chips")
"""Heads of the distances from the teacher in the table of candidates."""


def train_command(options: argparse.Namespace) -> int:
    require_packages("cimc train", "train", "jax", "optax")
    from cimc.training.fit import train

    checkpoint = f"{options.output}.checkpoint.npz"
    keep_inputs(options, [options.output, options.ranges_out, checkpoint])
    plan = _plan(options, Path(checkpoint))
    progress = Progress("training", plan.settings.all_steps)
    progress.at(0)
    trained = train(plan, lambda done, loss: progress.at(done))
    progress.done()
    print("\n".join(_table(trained)))
    if trained.graph is None or trained.chosen is None:
        message = "no candidate is nearer to the teacher on noisy chips at a cost of at most"
        hint = "judge the same run anew with --resume and a larger --most-lost, give more data, or train gentler"
        raise fail("CIM0221", f"{message} {options.most_lost:g} % without noise", hint=hint)
    _write(options, plan, trained)
    plan.kept.unlink(missing_ok=True)
    print(f"wrote {options.output}: {trained.chosen.name}")
    return 0


def _plan(options: argparse.Namespace, checkpoint: Path) -> "Plan":
    from cimc.training.fit import Plan

    noises, target = noises_of(options), target_of_options(options)
    settings, pipeline = _settings(options.set)
    keeps = settings.learns("ranges") or bool(options.ranges)
    if keeps:
        _require_kept(options)
    chosen = Chosen.of(read_ranges(options.ranges)) if options.ranges else Chosen()
    request = Request(target, aimed_at(pipeline, target, noises[-1]), chosen=chosen)
    graph = compile_to_stage(Path(options.model), request, "graph")
    _require_writable(graph, Path(options.output))
    data = _data(options, graph_intakes(graph, stated_of(options)))
    if keeps:
        _require_lasting(graph, request, Path(options.output))
    bound = options.most_lost / 100.0
    return Plan(graph, request, data, settings, noises, noises[0].seed, bound, checkpoint, options.resume)


def _settings(texts: Sequence[str]) -> "tuple[Settings, str]":
    """Return the settings of training, and the pipeline: texts with a brace set options of passes."""
    from cimc.training.settings import changed

    passes = ",".join(text for text in texts if "{" in text)
    return changed([text for text in texts if "{" not in text]), with_options(DEFAULT, passes) if passes else DEFAULT


def _require_kept(options: argparse.Namespace) -> None:
    """Raise CimcError CIM0003 where what is learnt or was chosen beside the weights would be lost."""
    if not options.ranges_out:
        found = "--ranges" if options.ranges else "--set learn=ranges"
        message = f"{found} without --ranges-out loses what the trained model is to be compiled with"
        raise fail("CIM0003", message, hint="give --ranges-out a file")


def _require_writable(graph: "Graph", output: Path) -> None:
    """Raise CimcError CIM0121 for a network with a loop, which ONNX text of a graph does not hold as it came."""
    if is_ir_text(output):
        return
    for op in graph.operations:
        if isinstance(op, ScanOp):
            message = "a network with a loop is written as IR text, not as an ONNX model"
            hint = "give -o TRAINED.mlir, and compile that with `cimc compile TRAINED.mlir --from graph`"
            raise fail("CIM0121", message, hint=hint)


def _require_lasting(graph: "Graph", request: Request, output: Path) -> None:
    """Raise CimcError CIM0121 where an ONNX model of the graph, read again, would not have the layers that learn."""
    from cimc.training.learnt import renamed

    again = graph if is_ir_text(output) else _read_again(graph, request)
    renamed(request.chosen, graph, again, request.target)


def _read_again(graph: "Graph", request: Request) -> "Graph":
    """Return what is read of an ONNX model of the graph."""
    with TemporaryDirectory() as folder:
        written = Path(folder) / "written.onnx"
        written.write_bytes(to_onnx(graph).SerializeToString())
        return compile_to_stage(written, request, "graph")


def is_ir_text(path: Path) -> bool:
    """Say whether a trained network goes to this file as IR text at stage `graph`, its weights beside it."""
    return path.suffix == ".mlir"


def _data(options: argparse.Namespace, intakes: list[Intake]) -> "Data":
    from cimc.training.batches import Data

    arrays = load_arrays(options.data)
    inputs = calibration(lambda: arrays, options.data, options.feed, options.limit)(intakes)
    count = samples_of(inputs)
    if count < 2:
        raise fail("CIM0202", f"{options.data} holds {count} sample, training and judging need at least one each")
    return Data(inputs, _shares(arrays, count, options) if options.labels else None, _others(options, intakes))


def _others(options: argparse.Namespace, intakes: list[Intake]) -> dict[str, Any]:
    """Return the inputs of which only the teacher says what they are. Raises CimcError CIM0201 to CIM0203."""
    path = options.unlabelled
    return feed(load_arrays(path), taken_for(intakes, options.feed), path, None) if path else {}


def _shares(arrays: Any, count: int, options: argparse.Namespace) -> Any:
    """Return the labels `y` as shares of classes [N, classes]. Raises CimcError CIM0201, CIM0202."""
    labels = given_labels(arrays, count, options.data, "leave out --labels")
    return np.eye(int(labels.max()) + 1, dtype=np.float32)[labels]


def _write(options: argparse.Namespace, plan: "Plan", trained: "Trained") -> None:
    """Write the network, and the ranges that the compiler finds for it on all data."""
    assert trained.graph is not None
    output = Path(options.output)
    if is_ir_text(output):
        write_graph(trained.graph, output)
    else:
        write(output, to_onnx(trained.graph).SerializeToString(deterministic=True))
    if options.ranges_out:
        write_ranges(options.ranges_out, _compiled(plan, trained, output).ranges)


def _compiled(plan: "Plan", trained: "Trained", output: Path) -> Compilation:
    """Compile what was written, as a user will but with what was learnt and chosen, and show how far that is."""
    from cimc.training.learnt import renamed

    assert trained.graph is not None
    graph = trained.graph if is_ir_text(output) else compile_to_stage(output, plan.request, "graph")
    chosen = plan.request.learnt(trained.ranges).chosen
    request = replace(
        plan.request,
        pipeline=behind_stage(plan.request.pipeline, "graph"),
        start="graph",
        data=lambda shapes: plan.data.inputs,
        chosen=renamed(chosen, trained.graph, graph, plan.request.target) if chosen != Chosen() else chosen,
    )
    return compile_graph(graph, replace(request, observer=Steps(request.pipeline, "finding ranges")))


def _table(trained: "Trained") -> list[str]:
    """Return what was judged: shares of equal classes on the data kept back, and the distance from the teacher."""
    modes = list(trained.verdicts[0].agreement)
    heads = (f"on {trained.held} samples kept back", "noise-free %", *(f"{mode} %" for mode in modes), *DISTANCES)
    rows = [
        (
            one.name,
            _percent(one.clean_agreement),
            *(_percent(one.agreement[mode]) for mode in modes),
            f"{one.clean:.4f}",
            f"{one.noisy:.4f}",
        )
        for one in trained.verdicts
    ]
    return list(tabulate([heads, *rows], terminal_width()))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
