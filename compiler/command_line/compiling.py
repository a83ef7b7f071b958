"""cimc compile, export-onnx and opt."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cimc.command_line.files import keep_inputs, payload_beside, weights_beside, write, writing
from cimc.command_line.observing import Observer
from cimc.diagnostics import DiagnosticError, fail
from cimc.driving.arrays import Feeding, feed, load_arrays
from cimc.driving.driver import Request, compile_model, compile_to_stage, run_pipeline, warn_without_data
from cimc.driving.tables import terminal_width
from cimc.ir.graph import Graph
from cimc.ir.inline import beside
from cimc.ir.text import parse_graph, print_graph, print_sparse
from cimc.isa.atomic import write_files
from cimc.isa.container import save_binary, save_text
from cimc.isa.program import Program
from cimc.passes.pipeline import DEFAULT, up_to_stage, with_options
from cimc.passes.ranges import Ranges
from cimc.targets import Target, load_target

RANGES_HINT = "write them with `cimc compile --write-ranges FILE`"


def request_of(options: argparse.Namespace, pipeline: str) -> Request:
    """Return what the options ask for; calibration arrays are read once the model's inputs are known."""
    if options.calib and options.ranges:
        raise fail("CIM0003", "--calib and --ranges both give ranges", hint="use one of them")

    def data(inputs: list[tuple[str, tuple[int, ...]]]) -> Any:
        return feed(load_arrays(options.calib), inputs, feeding_of(options), options.calib)

    return Request(
        target=target_of_options(options),
        pipeline=pipeline,
        ranges=read_ranges(options.ranges) if options.ranges else None,
        data=data if options.calib else None,
        observer=Observer.of(options),
        unbatched=getattr(options, "unbatched", False),
    )


def target_of_options(options: argparse.Namespace) -> Target:
    """Return the chip asked for, with another number of tiles where --tiles says so. Raises CimcError."""
    target = load_target(options.target)
    if options.tiles is None:
        return target
    return target.with_tiles(None if options.tiles == "auto" else options.tiles)


def pipeline_of(options: argparse.Namespace) -> str:
    """Return the pipeline asked for, with the options of --set. Raises CimcError CIM0305."""
    pipeline = options.pass_pipeline or DEFAULT
    return with_options(pipeline, ",".join(options.set)) if options.set else pipeline


def feeding_of(options: argparse.Namespace) -> Feeding:
    return Feeding(options.offset, options.scale, options.limit)


def read_ranges(path: str) -> Ranges:
    """Return the ranges of a JSON file. Raises CimcError CIM0204."""
    try:
        facts = json.loads(Path(path).read_text())
    except (ValueError, RecursionError) as error:
        raise fail("CIM0204", f"{path} is not JSON: {error}", hint=RANGES_HINT) from None
    try:
        return Ranges.from_json(facts)
    except DiagnosticError as error:
        raise fail("CIM0204", f"{path}: {error.message}", hint=RANGES_HINT) from None


def compile_command(options: argparse.Namespace) -> int:
    text_only = options.compile_to != "program"
    companion = weights_beside(Path(options.output)) if text_only else payload_beside(options.output)
    keep_inputs([options.output, options.write_ranges, companion], _inputs(options))
    request = request_of(options, pipeline_of(options))
    if options.compile_to == "program":
        return _compile_program(options, request)
    if options.write_ranges or options.json:
        raise fail("CIM0003", "--write-ranges and --json come with a whole compile", hint="leave out --compile-to")
    text = up_to_stage(request.pipeline, options.compile_to)
    write_graph(compile_to_stage(Path(options.model), request, options.compile_to), Path(options.output))
    warn_without_data(request, text)
    return 0


def _compile_program(options: argparse.Namespace, request: Request) -> int:
    from cimc.driving.summary import render_summary, summarise

    compilation = compile_model(Path(options.model), request)
    save(compilation.emission.program, options.output)
    if options.write_ranges:
        write(options.write_ranges, (json.dumps(compilation.ranges.to_json(), indent=1) + "\n").encode())
    if options.json:
        print(json.dumps(summarise(compilation, request.target)))
    else:
        print(render_summary(compilation, request.target, options.output, terminal_width()))
    warn_without_data(request, request.pipeline)
    return 0


def _inputs(options: argparse.Namespace) -> list[str | None]:
    return [options.model, options.calib, options.ranges, options.target]


def save(program: Program, output: str) -> None:
    """Write a program as binary (.cimb) or text (any other name)."""
    with writing(output):
        (save_binary if output.endswith(".cimb") else save_text)(program, output)


def write_graph(graph: Graph, path: Path) -> None:
    """Write IR text to `path` and, where it has large weights, those beside it."""
    from safetensors.numpy import save as to_bytes

    large = beside(graph.weights)
    files = {weights_beside(path): [to_bytes(large)]} if large else {}
    with writing(path):
        write_files({**files, path: [print_graph(graph).encode()]})


def export_command(options: argparse.Namespace) -> int:
    from cimc.evaluate import to_onnx
    from cimc.ir.nn import Computed

    keep_inputs([options.output], _inputs(options))
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
        keep_inputs(outputs, [path, weights_beside(path), options.calib, options.ranges])
    request = request_of(options, options.pass_pipeline)
    graph = run_pipeline(_read_graph(path), request)
    if options.output:
        write_graph(graph, Path(options.output))
    else:
        sys.stdout.write(print_graph(graph) if options.generic else print_sparse(graph))
    warn_without_data(request, request.pipeline)
    return 0


def _read_graph(path: Path) -> Graph:
    from safetensors import SafetensorError
    from xdsl.utils.exceptions import ParseError, VerifyException

    from cimc.ir.verify import malformed, verify

    try:
        graph = replace(parse_graph(path.read_text(), str(path)), name=path.stem)
        if weights_beside(path).exists():
            graph.weights.load(weights_beside(path))
        problems = malformed(graph) or verify(graph)
    except (ParseError, VerifyException, SafetensorError) as error:
        message = str(error).strip()
        raise fail("CIM0306", message if message.startswith(str(path)) else f"{path}: {message}") from None
    except UnicodeDecodeError:
        raise fail("CIM0306", f"{path} is not text") from None
    if problems:
        raise DiagnosticError([d for problem in problems for d in fail("CIM0306", f"{path}: {problem}").diagnostics])
    return graph
