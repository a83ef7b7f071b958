"""The driver: one function from an ONNX file to a program, and what a program says about how it was made."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.emission.builder import Emission
from cimc.backends.emission.emit import emit
from cimc.diagnostics import fail
from cimc.driving.feeding import Feeding, Intake, Values, preprocessing_of, require_inputs
from cimc.driving.integer_inputs import warn_of_reals
from cimc.driving.outliers import KEEPS_ALL, without_outliers
from cimc.evaluate import Batch
from cimc.frontend import AS_THE_FILE, Specialisation, load
from cimc.ir.attributes import int_values
from cimc.ir.dead_code import drop_weights
from cimc.ir.facts import ACTIVATION_BYTES
from cimc.ir.graph import Graph
from cimc.ir.nn import InputOp
from cimc.ir.verify import require_sound
from cimc.isa.errors import CimcError, CimcWarning
from cimc.passes.chosen import Chosen
from cimc.passes.pipeline import (
    DEFAULT,
    STAGES,
    Pass,
    Setting,
    needs_data,
    order_hint,
    parse_pipeline,
    require_order,
    rows_of,
    stems,
    up_to_pass,
    up_to_stage,
)
from cimc.passes.ranges import Ranges
from cimc.passes.seen import Seen, seen_in
from cimc.targets import Target

SYNTHETIC_SAMPLES = 8
SYNTHETIC_SEED = 0

Observer = Callable[[str, Graph, float], None]
"""Called behind every pass with its name, the graph and the seconds it took."""


@dataclass(frozen=True)
class Request:
    """What to compile for: target, pipeline text, and ranges or data (neither: seeded synthetic data).

    `stated` is what the model file leaves open. `start` is the stage of IR text that is compiled
    (passes.pipeline.STAGES), None for a model; the pipeline is then what runs behind it. `preprocessing` is what is
    stated of each input, as in a Feeding; the ports of the program keep it, and `data` is given it with every input.
    `chosen` is what is chosen beside the pipeline; stored ranges win over it.
    """

    target: Target
    pipeline: str = DEFAULT
    ranges: Ranges | None = None
    data: Callable[[list[Intake]], Batch] | None = None
    observer: Observer | None = None
    stated: Specialisation = AS_THE_FILE
    start: str | None = None
    preprocessing: Mapping[str, Values] = field(default_factory=dict)
    chosen: Chosen = field(default_factory=Chosen)

    def learnt(self, ranges: Ranges) -> "Request":
        """Return the request with ranges that training has learnt, and what else is chosen as it was."""
        return replace(self, chosen=replace(self.chosen, learnt=ranges))


@dataclass(frozen=True)
class Compilation:
    """The tile graph, the program made from it, the ranges used, and whether they come from synthetic data."""

    graph: Graph
    emission: Emission
    ranges: Ranges
    synthetic: bool


def compile_model(path: Path, request: Request) -> Compilation:
    """Compile an ONNX file. Raises CimcError for anything the user can mend."""
    return _programmed(*_compiled(path, request), request)


def compile_graph(graph: Graph, request: Request) -> Compilation:
    """Compile a graph that is at stage `request.start`. Raises CimcError for anything the user can mend."""
    _require_pipeline(request, begun=True)
    return _programmed(*_lowered(graph, request), request)


def _programmed(graph: Graph, ranges: Ranges, request: Request) -> Compilation:
    memory = ACTIVATION_BYTES.get(graph.module)
    if memory is None:
        last = STAGES["program"]
        raise fail(
            "CIM0305", f"the pipeline does not end with {last!r}: there is no program to emit", hint=order_hint()
        )
    calibrated = bool(ranges.activations) or request.target.constants["adc.gain"] != "unity"
    given = request.ranges is not None or request.data is not None
    synthetic = calibrated and not given and needs_data(request.pipeline)
    emission = _emitted(graph, program_meta(graph, request, ranges, synthetic), memory, request)
    return Compilation(graph, emission, ranges, synthetic)


def compile_to_stage(path: Path, request: Request, stage: str) -> Graph:
    """Return the graph at a stage of the pipeline (passes.pipeline.STAGES)."""
    return _compiled(path, replace(request, pipeline=up_to_stage(request.pipeline, stage)))[0]


def compile_to_pass(path: Path, request: Request, name: str) -> Graph:
    """Return the graph behind a pass, or behind all where the pipeline does not have it."""
    return _compiled(path, replace(request, pipeline=up_to_pass(request.pipeline, name)))[0]


def run_pipeline(graph: Graph, request: Request) -> Graph:
    """Run the request's pipeline on a graph (what `cimc opt` does)."""
    _require_pipeline(request, begun=True)
    return _lowered(graph, request)[0]


def warn_without_data(request: Request, pipeline: str) -> None:
    """Warn, loudly, that the ranges of this pipeline come from made-up data, where they do."""
    if request.data is None and request.ranges is None and needs_data(pipeline):
        message = "NO CALIBRATION DATA: ranges come from seeded random inputs, accuracy means nothing"
        hint = "give real inputs with --calib DATA.npz, or stored ranges with --ranges FILE"
        warnings.warn(CimcWarning(message, hint, "CIM0204"), stacklevel=2)


def graph_intakes(graph: Graph, stated: Mapping[str, Values] | None = None) -> list[Intake]:
    """Return the inputs of a graph, with the preprocessing stated of them. Raises CimcError CIM0003."""
    inputs, feeding = _inputs(graph), Feeding(stated or {})
    require_inputs(feeding, {op.label.data: op.integers is None for op in inputs})
    return [_intake(op, feeding) for op in inputs]


def _inputs(graph: Graph) -> list[InputOp]:
    return [op for op in graph.operations if isinstance(op, InputOp)]


def _intake(op: InputOp, feeding: Feeding) -> Intake:
    name, shape = op.label.data, int_values(op.model_shape)
    values = feeding.of(name) if op.integers is None else {}
    return Intake(name, shape, preprocessing_of(name, shape, values) if values else None)


def synthetic_data(graph: Graph) -> Batch:
    """Return seeded data for every input, something to calibrate on where nothing better is given: standard normal.

    Inputs of whole numbers get all the numbers they take, or ones where that is not known.
    """
    generator = np.random.Generator(np.random.Philox(SYNTHETIC_SEED))
    shapes = {op: (SYNTHETIC_SAMPLES, *int_values(op.model_shape)) for op in _inputs(graph)}
    return {op.label.data: _synthetic(op, shape, generator) for op, shape in shapes.items()}


def _synthetic(op: InputOp, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
    if op.integers is None:
        return generator.standard_normal(shape, np.float32)
    bounds = int_values(op.integers) or (1, 1)
    return generator.integers(bounds[0], bounds[1] + 1, shape).astype(np.float32)


def program_meta(graph: Graph, request: Request, ranges: Ranges, synthetic: bool) -> Mapping[str, Any]:
    """Return what a program says about its origin: enough to compile it again without the calibration data."""
    given = needs_data(request.pipeline) and (request.data is not None or request.ranges is not None)
    model = {"name": graph.name, "sha256": graph.digest}
    options = {"pipeline": request.pipeline, "calibration": "synthetic" if synthetic else "data" if given else "none"}
    return {
        "model": {**model, "stage": request.start} if request.start else model,
        "options": {**options, **request.stated.facts},
        "ranges": ranges.to_json(),
        "target": request.target.sections(),
    }


def _compiled(path: Path, request: Request) -> tuple[Graph, Ranges]:
    _require_pipeline(request, begun=False)
    return _lowered(_imported(path, request), request)


def _require_pipeline(request: Request, begun: bool) -> None:
    """Refuse a pipeline that cannot be read or whose order does not work, before any work is done."""
    parse_pipeline(request.pipeline, Setting(request.target))
    require_order(request.pipeline, begun)


def _imported(path: Path, request: Request) -> Graph:
    started = time.perf_counter()
    graph = load(path, request.stated)
    if request.observer:
        request.observer("import", graph, time.perf_counter() - started)
    return graph


def _data(request: Request, graph: Graph) -> Batch:
    graph_intakes(graph, request.preprocessing)  # what is stated of inputs that are not there is refused here
    if request.ranges is not None or not needs_data(request.pipeline):
        return {}
    data = calibration_data(request, graph)
    if request.data is not None:
        warn_of_reals(graph, data)
    return data


def calibration_data(request: Request, graph: Graph) -> Batch:
    """Return real inputs for an imported graph: the request's, or made-up ones where it has none."""
    return request.data(graph_intakes(graph, request.preprocessing)) if request.data else synthetic_data(graph)


def _seen(request: Request, graph: Graph, data: Batch) -> dict[str, Seen]:
    """Return what calibration saw of every input: on data of the user, or once before for stored ranges."""
    if request.ranges is not None:
        return request.ranges.inputs
    given = _inputs(graph) if request.data is not None and data else []
    return {op.label.data: seen_in(data[op.label.data], op.code is not None) for op in given}


def _lowered(graph: Graph, request: Request) -> tuple[Graph, Ranges]:
    """Run the request's pipeline with verification and the observer behind every pass; return the ranges it found."""
    for row in rows_of(request.pipeline):
        if row.foresee is not None:
            row.foresee(graph, request.target)
    usual = DEFAULT.startswith(request.pipeline) or stems(request.pipeline) == stems(DEFAULT)
    own_order = request.start is not None or not usual
    data = _data(request, graph)
    ranges = Ranges(inputs=_seen(request, graph, data), reach=dict((request.ranges or request.chosen).reach))
    if data and request.data is not None:
        data = without_outliers(graph, data, keeps_all=KEEPS_ALL in request.pipeline)
    setting = Setting(request.target, data, request.ranges, request.chosen)
    verified: object = None
    for one in parse_pipeline(request.pipeline, setting):
        started = time.perf_counter()
        graph = _guarded(one, graph) if own_order else one(graph)
        contents = graph.contents()
        if (contents, graph.weights.names()) != verified:
            drop_weights(graph)
            require_sound(graph, one.name)
            ranges = ranges.noted(graph)
            verified = contents, graph.weights.names()
        if request.observer:
            request.observer(one.name, graph, time.perf_counter() - started)
    return graph, ranges


def _guarded(one: Pass, graph: Graph) -> Graph:
    """Run a pass of a pipeline in the user's own order: what it does not find there is the user's to mend."""
    try:
        return one(graph)
    except CimcError:
        raise
    except Exception as error:
        message = f"pass {one.name} cannot run on this graph: {type(error).__name__}: {error}"
        raise fail("CIM0305", message, hint=order_hint()) from None


def _emitted(graph: Graph, meta: Mapping[str, Any], memory: int, request: Request) -> Emission:
    """Return the program of a graph; what emission does not find in a text is the user's to mend."""
    try:
        return _preprocessing(emit(graph, meta, memory), graph, request)
    except Exception as error:
        if request.start is None or isinstance(error, CimcError):
            raise
        message = f"no program can be emitted from this IR: {type(error).__name__}: {error}"
        raise fail("CIM0306", message, hint="compare with what --compile-to tile writes for a model") from None


def _preprocessing(emission: Emission, graph: Graph, request: Request) -> Emission:
    """Return an emission whose input ports hold what is stated of them."""
    if not request.preprocessing:
        return emission
    stated = {one.name: one.preprocessing for one in graph_intakes(graph, request.preprocessing)}
    program = emission.program
    ports = tuple(replace(port, preprocessing=stated[port.name]) for port in program.inputs)
    return replace(emission, program=replace(program, inputs=ports))
