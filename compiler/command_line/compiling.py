"""cimc compile, export-onnx and opt."""

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cimc.command_line.bounded import facts_of, judged, print_lines, require_whole_compile, within_bound
from cimc.command_line.feeding_options import stated_of
from cimc.command_line.files import keep_inputs, payload_beside, weights_beside, write, writing
from cimc.command_line.float_checking import FloatCheckBeside
from cimc.command_line.graph_files import read_graph, write_graph
from cimc.command_line.observing import observer_of, stage_files
from cimc.command_line.specialising import said_first, specialisation_of
from cimc.diagnostics import DiagnosticError, fail
from cimc.driving.arrays import load_arrays
from cimc.driving.calibration import Calibration, calibration
from cimc.driving.driver import (
    Compilation,
    Request,
    calibration_data,
    compile_to_stage,
    run_pipeline,
    warn_without_data,
)
from cimc.driving.from_text import compile_text, require_stage
from cimc.driving.json_files import read_json
from cimc.driving.tables import terminal_width
from cimc.ir.graph import Graph
from cimc.ir.text import print_graph, print_sparse
from cimc.isa.container import save_binary, save_text
from cimc.isa.errors import FAILED
from cimc.isa.program import Program
from cimc.passes.pipeline import DEFAULT, STAGES, behind_stage, up_to_stage, with_options
from cimc.passes.ranges import Ranges
from cimc.targets import Target, load_target

if TYPE_CHECKING:
    from cimc.driving.raising import Raised

RANGES_HINT = "write them with `cimc compile --write-ranges FILE`"


def request_of(options: argparse.Namespace, pipeline: str) -> Request:
    """Return what the options ask for; calibration arrays are read once the model's inputs are known."""
    if options.calib and options.ranges:
        raise fail("CIM0003", "--calib and --ranges both give ranges", hint="use one of them")
    if options.ranges and getattr(options, "check_passes", False):
        message = "--check-passes runs the graph behind every pass on data, and --ranges gives none"
        raise fail("CIM0003", message, hint="give --calib DATA.npz in place of --ranges")
    request = Request(
        target=target_of_options(options),
        pipeline=pipeline,
        ranges=read_ranges(options.ranges) if options.ranges else None,
        data=_calibration(options) if options.calib else None,
        stated=specialisation_of(options),
        start=getattr(options, "start", None),
        preprocessing=stated_of(options),
    )
    return replace(request, observer=observer_of(options, pipeline, partial(calibration_data, request)))


def _calibration(options: argparse.Namespace) -> Calibration:
    return calibration(partial(load_arrays, options.calib), options.calib, options.feed, options.limit)


def target_of_options(options: argparse.Namespace) -> Target:
    """Return the chip asked for, with another number of tiles where --tiles says so. Raises CimcError."""
    target = load_target(options.target)
    if options.tiles is None:
        return target
    return target.with_tiles(None if options.tiles == "auto" else options.tiles)


def pipeline_of(options: argparse.Namespace) -> str:
    """Return the pipeline asked for, what of it lies behind --from, with the options of --set, for --noise.

    Raises CimcError CIM0305.
    """
    pipeline = options.pass_pipeline or DEFAULT
    if getattr(options, "start", None):
        pipeline = behind_stage(pipeline, options.start)
    pipeline = with_options(pipeline, ",".join(options.set)) if options.set else pipeline
    return _aimed(pipeline, options)


def _aimed(pipeline: str, options: argparse.Namespace) -> str:
    """Return the pipeline for the noise that `compile` aims at, where it aims at any. Raises CimcError."""
    from cimc.command_line.noise_options import noise_of

    noise = noise_of(options) if hasattr(options, "noise") else None
    if noise is None:
        return pipeline
    from cimc.driving.aiming import aimed_at

    return aimed_at(pipeline, target_of_options(options), noise)


def read_ranges(path: str) -> Ranges:
    """Return the ranges of a JSON file. Raises CimcError CIM0204."""
    facts = read_json(path, "CIM0204", RANGES_HINT)
    try:
        return Ranges.from_json(facts)
    except DiagnosticError as error:
        raise fail("CIM0204", f"{path}: {error.message}", hint=RANGES_HINT) from None


def write_ranges(path: str, ranges: Ranges) -> None:
    """Write ranges as `read_ranges` reads them. Raises CimcError CIM0002."""
    write(path, (json.dumps(ranges.to_json(), indent=1) + "\n").encode())


def compile_command(options: argparse.Namespace) -> int:
    text_only = options.compile_to != "program"
    _check_stages(options)
    require_whole_compile(options)
    companion = weights_beside(Path(options.output)) if text_only else payload_beside(options.output)
    keep_inputs(options, [options.output, options.write_ranges, companion], made=stage_files(options))
    request = request_of(options, pipeline_of(options))
    if options.compile_to == "program":
        return _compile_program(options, request)
    if options.write_ranges or options.json:
        raise fail("CIM0003", "--write-ranges and --json come with a whole compile", hint="leave out --compile-to")
    write_graph(_graph_at_stage(options, request), Path(options.output))
    warn_without_data(request, up_to_stage(request.pipeline, options.compile_to))
    return 0


def _check_stages(options: argparse.Namespace) -> None:
    """Raise CimcError where --from, --compile-to and what goes with them do not go together."""
    for stage in (options.compile_to, options.start or "import"):
        up_to_stage("", stage)
    if options.start is None:
        return
    order = list(STAGES)
    if order.index(options.compile_to) <= order.index(options.start):
        message = f"--from {options.start} does not lie before --compile-to {options.compile_to}"
        raise fail("CIM0003", message, hint=f"the stages in order: {', '.join(order)}")
    if option := said_first(options):
        raise fail("CIM0003", f"{option} says how a model is read, and --from reads none", hint="leave it out")


def _graph_at_stage(options: argparse.Namespace, request: Request) -> Graph:
    if options.start is None:
        return compile_to_stage(Path(options.model), request, options.compile_to)
    graph = read_graph(Path(options.model))
    require_stage(graph, options.start)
    return run_pipeline(graph, replace(request, pipeline=up_to_stage(request.pipeline, options.compile_to)))


def _compiled(options: argparse.Namespace, request: Request) -> tuple[Compilation, list[str], "Raised | None"]:
    """Return the compilation, what is wrong with the graph that it began with, and what was raised for a bound."""
    if options.start is not None:
        return compile_text(read_graph(Path(options.model)), request), [], None
    if options.no_float_check:
        compilation, found = within_bound(options, request)
        return compilation, [], found
    beside = FloatCheckBeside(Path(options.model), request)
    compilation, found = within_bound(options, beside.request)
    return compilation, beside.wrong(), found


def _compile_program(options: argparse.Namespace, request: Request) -> int:
    from cimc.driving.summary import SHOWN_LAYERS, render_summary, summarise

    compilation, wrong, found = _compiled(options, request)
    if wrong:
        print("\n".join(f"FAILED: float graph: {one}" for one in wrong))
        return FAILED
    with ThreadPoolExecutor(1) as beside:
        saved = beside.submit(save, compilation.emission.program, options.output)
        facts = summarise(compilation, request.target)
        saved.result()
    if options.write_ranges:
        write_ranges(options.write_ranges, compilation.ranges)
    if options.json:
        print(json.dumps(facts | facts_of(found)))
    else:
        most = None if options.all_layers else SHOWN_LAYERS
        print(render_summary(compilation, facts, request.target, options.output, terminal_width(), most))
        print_lines(found)
    warn_without_data(request, request.pipeline)
    return judged(found, options)


def save(program: Program, output: str) -> None:
    """Write a program as binary (.cimb) or text (any other name)."""
    with writing(output):
        (save_binary if output.endswith(".cimb") else save_text)(program, output)


def export_command(options: argparse.Namespace) -> int:
    from cimc.evaluate import to_onnx
    from cimc.ir.nn import Computed

    keep_inputs(options, [options.output])
    request = request_of(options, pipeline_of(options))
    graph = compile_to_stage(Path(options.model), request, "tile")
    labels = [op.label.data for op in graph.operations if isinstance(op, Computed)] if options.codes else []
    model = to_onnx(graph, values=labels, codes=options.codes)
    write(options.output, model.SerializeToString(deterministic=True))
    warn_without_data(request, request.pipeline)
    return 0


def opt_command(options: argparse.Namespace) -> int:
    path = Path(options.module)
    if options.output:
        outputs = [options.output, weights_beside(Path(options.output))]
        keep_inputs(options, outputs)
    request = request_of(options, options.pass_pipeline)
    graph = run_pipeline(read_graph(path), request)
    if options.output:
        write_graph(graph, Path(options.output))
    else:
        sys.stdout.write(print_graph(graph) if options.generic else print_sparse(graph))
    warn_without_data(request, request.pipeline)
    return 0
