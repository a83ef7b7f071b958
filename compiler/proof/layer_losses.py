"""The second arrow layer by layer: what each tensor of a program has lost against the float graph, and where.

A ratio is the mean square of the float values by that of the error, in decibels. Accumulated: the whole program has
run in integers, seen at this tensor. Sensitivity: this tensor alone is computed in codes, from float values rounded to
the codes it reads, seen at the outputs of the float graph (of several outputs the mean share of noise).
Minus infinity, which hides scores from a softmax, is no real number: codes say it by their lowest, and lose nothing.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.machine.observer import Writes
from cimc.driving.driver import Compilation, compile_to_stage
from cimc.driving.scoring import samples_of
from cimc.evaluate import Evaluator, given_name, samples_at_once
from cimc.evaluate.swapped import Swapped
from cimc.ir.graph import Graph
from cimc.ir.loop import ResultOp, StateOp, runs_of, scan_of
from cimc.ir.nn import HIDDEN, Computed
from cimc.ir.types import CodeType, code_of, is_quantised, shape_of
from cimc.ir.xbar import MvmOp
from cimc.isa.writes import writes_of
from cimc.passes.requantise import quantised
from cimc.proof.programs import request_of
from cimc.proof.tensors import Tensors

Array = NDArray[Any]
Arrays = Mapping[str, Array]

BATCH = 16


@dataclass(frozen=True)
class LayerLoss:
    """One tensor; errors in real values, ratios in dB, None where nothing differs.

    `beyond_share` is the share of the error power on elements whose float value lies beyond the codes' range, `clips`
    the number of those elements, `codes_used` how many of `codes` occur.
    """

    layer: str
    tensor: str
    unit: str
    float_accumulated_db: float | None
    float_sensitivity_db: float | None
    largest_error: float
    mean_error: float
    beyond_share: float
    codes_used: int
    codes: int
    clips: int


def decibels(signal: float, noise: float) -> float | None:
    """Return a ratio of powers in dB; None without noise, minus infinity without signal."""
    if noise <= 0.0:
        return None
    return 10.0 * math.log10(signal / noise) if signal > 0.0 else -math.inf


@dataclass
class _Sums:
    """What the errors of one tensor add up to."""

    code: CodeType
    count: int = 0
    signal: float = 0.0
    noise: float = 0.0
    beyond: float = 0.0
    magnitude: float = 0.0
    largest: float = 0.0
    clips: int = 0
    used: set[int] = field(default_factory=set)

    def add(self, real: Array, codes: Array) -> None:
        """Take in float values and the codes that stand for them, but for those that stand for minus infinity."""
        seen = real > HIDDEN
        exact, codes = real[seen].astype(np.float64), codes[seen]
        error = np.abs(dequantised(codes, self.code) - exact)
        outside = np.abs(exact / self.code.scale.data + self.code.zero.data - _middle(self.code)) > _reach(self.code)
        self.count += exact.size
        self.signal += float(np.square(exact).sum())
        self.noise += float(np.square(error).sum())
        self.beyond += float(np.square(error[outside]).sum())
        self.magnitude += float(error.sum())
        self.largest = max(self.largest, float(error.max(initial=0.0)))
        self.clips += int(np.count_nonzero(outside))
        self.used.update(np.unique(codes).tolist())

    def loss(self, layer: str, tensor: str, unit: str, sensitivity: float | None) -> LayerLoss:
        width = self.code.high.data - self.code.low.data + 1
        accumulated = decibels(self.signal, self.noise)
        mean, beyond = self.magnitude / max(self.count, 1), self.beyond / self.noise if self.noise else 0.0
        errors = (self.largest, mean, beyond)
        return LayerLoss(layer, tensor, unit, accumulated, sensitivity, *errors, len(self.used), width, self.clips)


def dequantised(codes: Array, code: CodeType) -> Array:
    """Return the real values of codes."""
    return np.asarray((codes.astype(np.float64) - code.zero.data) * code.scale.data)


def _middle(code: CodeType) -> float:
    return (code.low.data + code.high.data) / 2


def _reach(code: CodeType) -> float:
    """Return how far from the middle of its codes a value may lie and still be rounded, not clipped."""
    return (code.high.data - code.low.data + 1) / 2


class Comparison:
    """A program beside the float graph that it was made from; the compilation is that of `recompile`."""

    def __init__(self, model: str, compilation: Compilation) -> None:
        self.program = compilation.emission.program
        self.tile = compilation.graph
        self.real = compile_to_stage(Path(model), request_of(self.program), "graph")
        self._layers = self.program.layer_names
        self._writes = writes_of(self.program)
        written = {write.tensor for write in self._writes.values()}
        known = {op.label.data: op for op in self.real.operations if isinstance(op, Computed)}
        self._operations = [op for op in self.tile.operations if isinstance(op, Computed)]
        self._compared = [
            op
            for op in self._operations
            if (op.label.data in written or isinstance(op, ResultOp)) and _is_alike(op, known.get(op.label.data))
        ]

    @property
    def labels(self) -> list[str]:
        return [op.label.data for op in self._compared]

    def losses(self, inputs: Arrays, interpreter: Interpreter | None = None) -> Iterator[LayerLoss]:
        """Yield what every tensor lost on inputs [N, *shape], in program order; `interpreter` may be a noisy chip's."""
        sums = {op.label.data: _Sums(code_of(op.out)) for op in self._compared}
        self._accumulate(sums, inputs, interpreter or Interpreter(self.program))
        some = {name: array[: samples_at_once(self.real)] for name, array in inputs.items()}
        alone = _Alone(self, some)
        for op in self._compared:
            label, unit = op.label.data, "crossbar" if isinstance(op, MvmOp) else "digital"
            if sums[label].count:
                yield sums[label].loss(self._layers.get(label, ""), label, unit, alone.sensitivity(op))

    def _accumulate(self, sums: Mapping[str, _Sums], inputs: Arrays, interpreter: Interpreter) -> None:
        floats = Evaluator(self.real, self.labels, batch=BATCH)
        size = min(BATCH, interpreter.chunk)  # an observer is told chunk by chunk
        for first in range(0, samples_of(inputs), size):
            batch = {name: array[first : first + size] for name, array in inputs.items()}
            tensors = self._run(batch, interpreter, first)
            for label, real in floats.run(batch).items():
                sums[label].add(real, tensors.get(label))

    def _run(self, batch: Arrays, interpreter: Interpreter, first: int) -> Tensors:
        codes = ports.codes_of(self.program, batch)
        tensors = Tensors(self._operations, len(next(iter(codes.values()))))
        observer = Writes(lambda index, values: tensors.take(index, self._writes[index], values))
        interpreter.run(codes, observer, first=first)
        return tensors


@dataclass(frozen=True)
class _Alone:
    """Tensors one at a time in codes, everything else in float."""

    comparison: Comparison
    inputs: Arrays

    @property
    def _real(self) -> Graph:
        return self.comparison.real

    @cached_property
    def _swapped(self) -> Swapped:
        return Swapped(self._real, self.inputs)

    @cached_property
    def _outputs(self) -> Arrays:
        return self._swapped.outputs

    @cached_property
    def _operations(self) -> Mapping[str, Computed]:
        compared = set(self.comparison.labels)
        operations = (op for op in self.comparison.tile.module.ops if isinstance(op, Computed))
        return {op.label.data: op for op in operations if op.label.data in compared}

    @cached_property
    def _floats(self) -> Arrays:
        """The float value of every tensor outside of loops."""
        return Evaluator(self._real, list(self._operations)).run(self.inputs)

    @cached_property
    def _codes(self) -> Arrays:
        """The codes of every tensor, computed from float values that were rounded to the codes it reads."""
        labels = list(self._operations)
        fed = {
            given_name(name): quantised(real.astype(np.float64), code_of(self._operations[name].out))
            for name, real in self._floats.items()
        }
        return Evaluator(self.comparison.tile, labels, given=labels).run({**self.inputs, **fed})

    def sensitivity(self, op: Computed) -> float | None:
        """Return the ratio at the outputs; None where nothing differs, and inside of a loop."""
        label = op.label.data
        if label not in self._codes:
            return None
        real = self._floats[label]
        coded = np.where(real > HIDDEN, dequantised(self._codes[label], code_of(op.out)), real)
        found = self._swapped.swapped(label, coded)
        return decibels(1.0, float(np.mean([_noise(found[name], out) for name, out in self._outputs.items()])))


def _noise(found: Array, real: Array) -> float:
    """Return the power of the error as a share of the signal's."""
    signal = float(np.square(real.astype(np.float64)).mean())
    return float(np.square(found.astype(np.float64) - real).mean()) / (signal or 1.0)


def _is_alike(op: Computed, real: Computed | None) -> bool:
    """Say whether a value of the program and one of the float graph are the same tensor, and the codes are known."""
    if real is None or isinstance(op, StateOp) or not is_quantised(op.out):
        return False
    return shape_of(op.out) == shape_of(real.out) and (scan_of(op) is None or runs_of(op) == runs_of(real))
