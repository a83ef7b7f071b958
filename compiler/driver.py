"""The driver: one function from an ONNX file to a program, and what a program says about how it was made."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cimc.backends.emit import Emission, emit
from cimc.frontend import load
from cimc.ir.attributes import int_value, int_values
from cimc.ir.graph import Graph
from cimc.ir.nn import InputOp
from cimc.ir.verify import require_sound
from cimc.passes.calibrate import RANGE, Batch
from cimc.passes.column_ranges import GAIN, PEAKS, stored_columns
from cimc.passes.pipeline import DEFAULT, STAGES, Pass, Setting, parse_pipeline, run, up_to_stage
from cimc.passes.ranges import Ranges
from cimc.passes.schedule import MEMORY
from cimc.targets import Target

SYNTHETIC_SAMPLES = 32
SYNTHETIC_SEED = 0

Observer = Callable[[str, Graph, float], None]
"""Called behind every pass with its name, the graph and the seconds it took."""


@dataclass(frozen=True)
class Request:
    """What to compile for: target, pipeline text, and ranges or data (neither: seeded synthetic data)."""

    target: Target
    pipeline: str = DEFAULT
    ranges: Ranges | None = None
    data: Callable[[list[tuple[str, tuple[int, ...]]]], Batch] | None = None
    observer: Observer | None = None


@dataclass
class _Notes:
    """Ranges as the passes find them, taken down before later passes consume them."""

    activations: dict[str, tuple[float, float]] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    gain: tuple[int, int] | None = None

    def take(self, name: str, graph: Graph) -> None:
        if name == "calibrate":
            for op in graph.module.ops:
                if RANGE in op.attributes:
                    low, high = op.attributes[RANGE].get_values()  # type: ignore[attr-defined]
                    self.activations[op.label.data] = (float(low), float(high))  # type: ignore[attr-defined]
        if name == "column-ranges":
            peaks = {op.label.data: graph.weights.get(op.attributes[PEAKS]) for op in graph.module.ops if PEAKS in op.attributes}  # type: ignore[attr-defined,arg-type]
            self.columns = stored_columns(peaks)  # type: ignore[arg-type]
            gain = int_values(graph.module.attributes[GAIN])  # type: ignore[arg-type]
            self.gain = (gain[0], gain[1])


@dataclass(frozen=True)
class Compilation:
    """The tile graph, the program made from it, the ranges used, and whether they come from synthetic data."""

    graph: Graph
    emission: Emission
    ranges: Ranges
    synthetic: bool


def compile_model(path: Path, request: Request) -> Compilation:
    """Compile an ONNX file. Raises CimcError for anything the user can mend."""
    started = time.perf_counter()
    graph = load(path)
    if request.observer:
        request.observer("import", graph, time.perf_counter() - started)
    shapes = input_shapes(graph)
    synthetic = request.ranges is None and request.data is None
    notes = _Notes()
    graph = _lowered(graph, request, _data(request, shapes), notes)
    ranges = Ranges(notes.activations, notes.columns, notes.gain)
    memory = int_value(graph.module.attributes[MEMORY])  # type: ignore[arg-type]
    emission = emit(graph, program_meta(path, graph, request, ranges, synthetic), memory)
    return Compilation(graph, emission, ranges, synthetic)


def compile_to_stage(path: Path, request: Request, stage: str) -> Graph:
    """Return the graph at a stage of the pipeline (passes.pipeline.STAGES)."""
    graph = load(path)
    text = up_to_stage(request.pipeline, stage)
    needs_data = "calibrate" in text
    data = _data(request, input_shapes(graph)) if needs_data else {}
    return _lowered(graph, Request(request.target, text, request.ranges, request.data, request.observer), data, _Notes())


def run_pipeline(graph: Graph, request: Request) -> Graph:
    """Run the request's pipeline on a graph (what `cimc opt` does)."""
    return _lowered(graph, request, _data(request, input_shapes(graph)), _Notes())


def input_shapes(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    """Return (name, per-sample shape) of every model input."""
    return [(op.label.data, int_values(op.model_shape)) for op in graph.module.ops if isinstance(op, InputOp)]


def synthetic_data(shapes: list[tuple[str, tuple[int, ...]]]) -> Batch:
    """Return seeded standard normal data for every input: something to calibrate on where nothing better is given."""
    generator = np.random.Generator(np.random.Philox(SYNTHETIC_SEED))
    return {name: generator.standard_normal((SYNTHETIC_SAMPLES, *shape), np.float32) for name, shape in shapes}


def program_meta(path: Path, graph: Graph, request: Request, ranges: Ranges, synthetic: bool) -> Mapping[str, Any]:
    """Return what a program says about its origin: enough to compile it again without the calibration data."""
    from cimc.frontend import model_digest

    return {
        "model": {"name": graph.name, "sha256": model_digest(path)},
        "options": {"pipeline": request.pipeline, "calibration": "synthetic" if synthetic else "data"},
        "ranges": ranges.to_json(),
        "target": request.target.sections(),
    }


def _data(request: Request, shapes: list[tuple[str, tuple[int, ...]]]) -> Batch:
    if request.ranges is not None:
        return {}
    return request.data(shapes) if request.data else synthetic_data(shapes)


def _lowered(graph: Graph, request: Request, data: Batch, notes: _Notes) -> Graph:
    passes = parse_pipeline(request.pipeline, Setting(request.target, data, request.ranges))
    clock = [time.perf_counter()]

    def after(one: Pass, current: Graph) -> None:
        require_sound(current, one.name)
        notes.take(one.name, current)
        if request.observer:
            request.observer(one.name, current, time.perf_counter() - clock[0])
        clock[0] = time.perf_counter()

    return run(graph, passes, after)


__all__ = ["STAGES", "Compilation", "Request", "compile_model", "compile_to_stage", "run_pipeline", "synthetic_data"]
