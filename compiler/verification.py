"""The proof: the program equals its recompilation, and every tensor is equal in graph, interpreter and reference."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends import ports, reference
from cimc.backends.building import Emission, Write
from cimc.backends.interpreter import Interpreter
from cimc.driver import Compilation
from cimc.evaluate import Evaluator
from cimc.ir.attributes import int_values
from cimc.ir.location import names_of
from cimc.ir.nn import Computed, InputOp
from cimc.ir.types import shape_of
from cimc.ir.xbar import DepthwiseOp, MvmOp, PoolMaxOp, PoolSumOp
from cimc.isa.disassemble import render_instruction
from cimc.isa.program import Program

Codes = NDArray[np.int64]

BATCH = 16
REFERENCE_MULTIPLIES = 100_000_000
"""Multiplications the literal reference may do in one verification; it takes some 71 ns for each."""


@dataclass(frozen=True)
class Difference:
    """The first place where two things that must be equal are not."""

    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class TensorRow:
    """One tensor of the proof: elements compared with the interpreter and with the reference."""

    label: str
    node: str
    shape: tuple[int, ...]
    interpreter: int
    reference: int


def compare_programs(expected: Emission, found: Program) -> Difference | None:
    """Return the first difference of a program from its recompilation, named by instruction, cell or constant."""
    want = expected.program
    for difference in (
        _instructions(want, found),
        _constants(expected, found),
        _conductances(expected, found),
        _frame(want, found),
    ):
        if difference:
            return difference
    return None


def _instructions(want: Program, found: Program) -> Difference | None:
    for index, (a, b) in enumerate(zip(want.instructions, found.instructions, strict=False)):
        place = f"instruction {index} (node {', '.join(want.locations[index]) or 'none'})"
        if a != b:
            return Difference(place, render_instruction(a), render_instruction(b))
        if want.locations[index] != found.locations[index]:
            return Difference(place, f"provenance {want.locations[index]}", f"{found.locations[index]}")
    if len(want.instructions) != len(found.instructions):
        return Difference("number of instructions", str(len(want.instructions)), str(len(found.instructions)))
    return None


def _first_byte(a: bytes, b: bytes) -> int | None:
    """Return the first index where two byte strings differ."""
    if a == b:
        return None
    shared = min(len(a), len(b))
    unequal = np.flatnonzero(np.frombuffer(a[:shared], np.uint8) != np.frombuffer(b[:shared], np.uint8))
    return int(unequal[0]) if unequal.size else shared


def _constants(expected: Emission, found: Program) -> Difference | None:
    want = expected.program.constants
    at = _first_byte(want, found.constants)
    if at is None:
        return None
    name = next(
        (f"{name}, byte {at - start}" for start, size, name in expected.constants if start <= at < start + size),
        "alignment",
    )
    return Difference(f"constant memory byte {at} ({name})", *_bytes_at(want, found.constants, at))


def _conductances(expected: Emission, found: Program) -> Difference | None:
    want = expected.program.conductances
    at = _first_byte(want, found.conductances)
    if at is None:
        return None
    for start, rows, cols, name in expected.cells:
        if start <= at < start + 2 * rows * cols:
            row, col = divmod((at - start) // 2, cols)
            cell = start + 2 * (row * cols + col)
            values = [
                str(int.from_bytes(data[cell : cell + 2], "little", signed=True)) for data in (want, found.conductances)
            ]
            return Difference(f"{name}, cell row {row}, column {col}", values[0], values[1])
    return Difference(f"conductance byte {at}", *_bytes_at(want, found.conductances, at))


def _bytes_at(want: bytes, found: bytes, at: int) -> tuple[str, str]:
    shown = [f"{data[at]:#04x}" if at < len(data) else f"the end (of {len(data)} bytes)" for data in (want, found)]
    return shown[0], shown[1]


def _frame(want: Program, found: Program) -> Difference | None:
    for name in ("inputs", "outputs", "activation_bytes", "meta"):
        a, b = getattr(want, name), getattr(found, name)
        if a != b:
            if isinstance(a, Mapping):
                key = next(key for key in {**a, **b} if a.get(key) != b.get(key))
                return Difference(f"meta {key!r}", _clipped(a.get(key)), _clipped(b.get(key)))
            return Difference(name, _clipped(a), _clipped(b))
    return None


def _clipped(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."


class Prover:
    """Runs inputs through integer graph, interpreter and reference, tensor by tensor."""

    def __init__(self, compilation: Compilation) -> None:
        self.emission = compilation.emission
        self.program = compilation.emission.program
        self.operations = [op for op in compilation.graph.operations if isinstance(op, Computed)]
        self.written = {write.label for write in self.emission.writes.values()}
        self.evaluator = Evaluator(compilation.graph, values=[op.label.data for op in self.operations])
        self.interpreter = Interpreter(self.program)
        self.compared: dict[str, list[int]] = {op.label.data: [0, 0] for op in self.operations}

    def multiplies(self) -> int:
        """Return the multiplications the literal reference does for one sample."""
        return sum(_multiplies(op) for op in self.operations)

    def prove(self, inputs: Mapping[str, NDArray[Any]], reference_samples: int) -> Iterator[Difference | int]:
        """Yield samples done after each batch, or the first Difference and stop."""
        count = len(next(iter(inputs.values())))
        for first, last in pairwise([*range(0, count, BATCH), count]):
            batch = {name: array[first:last] for name, array in inputs.items()}
            difference = self._batch(batch, first, max(0, min(reference_samples, last) - first))
            if difference:
                yield difference
                return
            yield last

    def rows(self) -> list[TensorRow]:
        """Return one row per tensor, in program order."""
        found = []
        for op in self.operations:
            node = (names_of(op.location) or ("",))[-1]
            found.append(TensorRow(op.label.data, node, shape_of(op.out), *self.compared[op.label.data]))
        return found

    def _batch(self, batch: Mapping[str, NDArray[Any]], first: int, literal: int) -> Difference | None:
        expected = next(iter(self.evaluator.stream(batch)))
        expected = {label: np.rint(codes).astype(np.int64) for label, codes in expected.items()}
        codes = {port.name: ports.quantise(port, batch[port.name]) for port in self.program.inputs}
        difference = self._inputs(expected, codes, first) or self._fast(expected, codes, first)
        for sample in range(literal):
            difference = difference or self._literal(expected, codes, first, sample)
        return difference

    def _inputs(
        self, expected: Mapping[str, Codes], codes: Mapping[str, NDArray[Any]], first: int
    ) -> Difference | None:
        for op in self.operations:
            if isinstance(op, InputOp):
                label = op.label.data
                difference = self._equal(label, expected[label], codes[label].astype(np.int64), first, "input codes")
                if difference:
                    return difference
        return None

    def _fast(self, expected: Mapping[str, Codes], codes: Mapping[str, NDArray[Any]], first: int) -> Difference | None:
        tensors = _Tensors(self.operations, len(next(iter(codes.values()))))

        def watch(index: int, values: NDArray[Any]) -> None:
            tensors.take(self.emission.writes[index], np.asarray(values))

        self.interpreter.run(codes, watch=watch)
        return self._tensors(expected, tensors, first, 0, "interpreter")

    def _literal(
        self, expected: Mapping[str, Codes], codes: Mapping[str, NDArray[Any]], first: int, sample: int
    ) -> Difference | None:
        tensors = _Tensors(self.operations, 1)

        def watch(index: int, values: Sequence[int]) -> None:
            tensors.take(self.emission.writes[index], np.asarray(values, np.int64))

        reference.run(
            self.program, {name: array[sample].ravel().tolist() for name, array in codes.items()}, watch=watch
        )
        one = {label: array[sample : sample + 1] for label, array in expected.items()}
        return self._tensors(one, tensors, first + sample, 1, "reference")

    def _tensors(
        self, expected: Mapping[str, Codes], tensors: "_Tensors", first: int, column: int, who: str
    ) -> Difference | None:
        for op in self.operations:
            label = op.label.data
            if label in self.written:
                difference = self._equal(label, expected[label], tensors.get(label), first, who)
                if difference:
                    return difference
                self.compared[label][column] += expected[label].size
        return None

    def _equal(self, label: str, want: Codes, found: Codes, first: int, who: str) -> Difference | None:
        if np.array_equal(want, found):
            return None
        where = tuple(int(i) for i in np.argwhere(want != found)[0])
        op = next(op for op in self.operations if op.label.data == label)
        index = max((i for i, write in self.emission.writes.items() if write.label == label), default=-1)
        place = f"tensor {label!r} (node {', '.join(names_of(op.location))}, instruction {index}) of the {who}"
        element = f"sample {first + where[0]}, element {where[1:]}"
        return Difference(f"{place}, {element}", f"code {want[where]}", f"code {found[where]}")


def _multiplies(op: Computed) -> int:
    if isinstance(op, MvmOp):
        return math.prod(shape_of(op.out)) * op.matrix[1]
    if isinstance(op, (DepthwiseOp, PoolMaxOp, PoolSumOp)):
        window = int_values(op.window)
        return math.prod(shape_of(op.out)) * window[0] * window[1]
    return math.prod(shape_of(op.out))


class _Tensors:
    """Values put together from what single instructions write."""

    def __init__(self, operations: Sequence[Computed], samples: int) -> None:
        self._arrays = {
            op.label.data: np.zeros((samples, int(np.prod(shape_of(op.out), dtype=np.int64))), np.int64)
            for op in operations
        }
        self._shapes = {op.label.data: shape_of(op.out) for op in operations}
        self._samples = samples

    def take(self, write: Write, values: NDArray[Any]) -> None:
        flat = self._arrays[write.label]
        index = np.full((1,), write.start, np.int64)
        for size, pitch in zip(write.shape, write.pitch, strict=True):
            index = (index[:, np.newaxis] + np.arange(size) * pitch).ravel()
        flat[:, index] = values.reshape(self._samples, -1)

    def get(self, label: str) -> Codes:
        return self._arrays[label].reshape(self._samples, *self._shapes[label])
