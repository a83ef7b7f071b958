"""The proof: the program equals its recompilation, and every tensor is equal in graph, interpreter and reference."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.emission.building import Emission, Write
from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.reference import interpreter as reference
from cimc.backends.reference import sampled as reference_sample
from cimc.driver import Compilation
from cimc.evaluate import Evaluator
from cimc.ir.attributes import int_values
from cimc.ir.graph import label_of
from cimc.ir.location import names_of
from cimc.ir.loops import ResultOp, StateOp, runs_of, scan_of
from cimc.ir.nn import Computed, InputOp
from cimc.ir.types import shape_of
from cimc.ir.xbar import DepthwiseOp, MatMulOp, MvmOp, PoolMaxOp, PoolSumOp
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


@dataclass
class Share:
    """What the reference computed of a sample that was too large for it: elements, and columns calibrated."""

    elements: int = 0
    of_elements: int = 0
    columns: int = 0
    of_columns: int = 0


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
        self.share: Share | None = None

    def multiplies(self) -> int:
        """Return the multiplications the literal reference does for one sample."""
        return sum(_multiplies(op) * runs_of(op) for op in self.operations)

    def prove(
        self, inputs: Mapping[str, NDArray[Any]], reference_samples: int, sampled: bool = False
    ) -> Iterator[Difference | int]:
        """Yield samples done after each batch, or the first Difference and stop.

        With `sampled`, the reference computes a seeded sample of every instruction's vectors instead of all.
        """
        if sampled:
            self.share = Share()
        count = len(next(iter(inputs.values())))
        for first, last in pairwise([*range(0, count, min(BATCH, self.interpreter.chunk)), count]):
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
        self._add_last_values(expected)
        codes = {port.name: ports.quantise(port, batch[port.name]) for port in self.program.inputs}
        difference = self._inputs(expected, codes, first) or self._fast(expected, codes, first)
        literally = self._sampled if self.share else self._literal
        for sample in range(literal):
            difference = difference or literally(expected, codes, first, sample)
        return difference

    def _add_last_values(self, expected: dict[str, Codes]) -> None:
        """Put behind the steps of each state the value that the last step leaves in it."""
        for op in self.operations:
            scan = scan_of(op) if isinstance(op, StateOp) else None
            if scan is not None:
                following = scan.terminator.next[scan.states.index(op)]  # type: ignore[arg-type]
                last = expected[label_of(following)][:, -1:]
                expected[op.label.data] = np.concatenate([expected[op.label.data], last], axis=1)

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
            tensors.take(index, self.emission.writes[index], np.asarray(values))

        self.interpreter.run(codes, watch=watch)
        return self._tensors(expected, tensors, first, 0, "interpreter")

    def _literal(
        self, expected: Mapping[str, Codes], codes: Mapping[str, NDArray[Any]], first: int, sample: int
    ) -> Difference | None:
        tensors = _Tensors(self.operations, 1)

        def watch(index: int, values: Sequence[int]) -> None:
            tensors.take(index, self.emission.writes[index], np.asarray(values, np.int64))

        reference.run(
            self.program, {name: array[sample].ravel().tolist() for name, array in codes.items()}, watch=watch
        )
        one = {label: array[sample : sample + 1] for label, array in expected.items()}
        return self._tensors(one, tensors, first + sample, 1, "reference")

    def _sampled(
        self, expected: Mapping[str, Codes], codes: Mapping[str, NDArray[Any]], first: int, sample: int
    ) -> Difference | None:
        """Compare a sample of each instruction's results, computed from tensors that graph and interpreter agree on."""
        places = _Places(self.emission, self.operations)
        found: list[Difference] = []

        def truth(index: int) -> Codes | None:
            flat = places.next_run(index)
            return None if flat is None else expected[self.emission.writes[index].label][sample].ravel()[flat]

        def watch(index: int, numbers: Codes, values: Codes) -> None:
            flat, label = places.written(index), self.emission.writes[index].label
            kept = places.last_written(index, flat[numbers])
            array, at = expected[label][sample], flat[numbers][kept]
            self._count(label, at.size)
            wrong = np.flatnonzero(array.ravel()[at] != values[kept])
            if wrong.size and not found:
                element = tuple(int(i) for i in np.unravel_index(at[wrong[0]], array.shape))
                want, have = array[element], values[kept][wrong[0]]
                place = f"{self._place(label, index)} of the reference, sample {first + sample}, element {element}"
                found.append(Difference(place, f"code {want}", f"code {have}"))

        given = {name: array[sample].ravel().tolist() for name, array in codes.items()}
        machine = reference_sample.run(self.program, given, truth, watch)
        assert self.share
        self.share.of_elements += sum(expected[label][sample].size for label in self.written)
        self.share.columns += machine.columns_calibrated
        self.share.of_columns += machine.columns
        return found[0] if found else None

    def _count(self, label: str, elements: int) -> None:
        assert self.share
        self.share.elements += elements
        self.compared[label][1] += elements

    def _place(self, label: str, index: int) -> str:
        op = next(op for op in self.operations if op.label.data == label)
        return f"tensor {label!r} (node {', '.join(names_of(op.location))}, instruction {index})"

    def _tensors(
        self, expected: Mapping[str, Codes], tensors: "_Tensors", first: int, column: int, who: str
    ) -> Difference | None:
        for op in self.operations:
            label = op.label.data
            if label in self.written or isinstance(op, ResultOp):
                difference = self._equal(label, expected[label], tensors.get(label), first, who)
                if difference:
                    return difference
                self.compared[label][column] += expected[label].size
        return None

    def _equal(self, label: str, want: Codes, found: Codes, first: int, who: str) -> Difference | None:
        if np.array_equal(want, found):
            return None
        where = tuple(int(i) for i in np.argwhere(want != found)[0])
        index = max((i for i, write in self.emission.writes.items() if write.label == label), default=-1)
        element = f"sample {first + where[0]}, element {where[1:]}"
        place = f"{self._place(label, index)} of the {who}, {element}"
        return Difference(place, f"code {want[where]}", f"code {found[where]}")


def _multiplies(op: Computed) -> int:
    if isinstance(op, MvmOp):
        return math.prod(shape_of(op.out)) * op.matrix[1]
    if isinstance(op, MatMulOp):
        return math.prod(shape_of(op.out)) * shape_of(op.a)[-1]
    if isinstance(op, (DepthwiseOp, PoolMaxOp, PoolSumOp)):
        window = int_values(op.window)
        return math.prod(shape_of(op.out)) * window[0] * window[1]
    return math.prod(shape_of(op.out))


class _Tensors:
    """Values put together from what single instructions write; those of a loop with an axis of steps behind samples."""

    def __init__(self, operations: Sequence[Computed], samples: int) -> None:
        self._operations = {op.label.data: op for op in operations}
        self._arrays = {label: np.zeros((samples, _elements_held(op)), np.int64) for label, op in _labelled(operations)}
        self._runs: Counter[int] = Counter()
        self._samples = samples

    def take(self, index: int, write: Write, values: NDArray[Any]) -> None:
        """Keep what one run of instruction `index` has written."""
        places = _elements(write, self._runs[index])
        self._runs[index] += 1
        self._arrays[write.label][:, places] = values.reshape(self._samples, -1)

    def get(self, label: str) -> Codes:
        op = self._operations[label]
        if isinstance(op, ResultOp) and op.state:
            return self._steps(op.state)[:, -1]
        return self._steps(op) if scan_of(op) else self._steps(op)[:, 0]

    def _steps(self, op: Computed) -> Codes:
        return self._arrays[op.label.data].reshape(self._samples, -1, *shape_of(op.out))


class _Places:
    """Which elements of a tensor single instructions write, and which of them no later instruction writes again."""

    def __init__(self, emission: Emission, operations: Sequence[Computed]) -> None:
        self._writes = emission.writes
        self._runs: Counter[int] = Counter()
        sizes = {label: _elements_held(op) for label, op in _labelled(operations)}
        written: Counter[str] = Counter()
        for write in self._writes.values():
            written[write.label] += math.prod(write.shape) * write.runs
        self._last = {
            label: np.full(sizes[label], -1, np.int64) for label, size in written.items() if size > sizes[label]
        }
        for index, write in sorted(self._writes.items()):
            if write.label in self._last:
                for run in range(write.runs):
                    self._last[write.label][_elements(write, run)] = index

    def next_run(self, index: int) -> NDArray[np.int64] | None:
        """Return the flat elements that the next run of an instruction writes; None where it writes no tensor."""
        self._runs[index] += 1
        return self.written(index) if index in self._writes else None

    def written(self, index: int) -> NDArray[np.int64]:
        """Return the flat elements that this run of an instruction writes, in stream order."""
        return _elements(self._writes[index], self._runs[index] - 1)

    def last_written(self, index: int, flat: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of these elements keep what this instruction writes."""
        last = self._last.get(self._writes[index].label)
        return np.ones(flat.shape, np.bool_) if last is None else last[flat] == index


def _labelled(operations: Sequence[Computed]) -> Iterator[tuple[str, Computed]]:
    return ((op.label.data, op) for op in operations)


def _elements_held(op: Computed) -> int:
    """Return the elements of a value in all its steps; a state has one more, what the last step leaves."""
    return (runs_of(op) + isinstance(op, StateOp)) * math.prod(shape_of(op.out))


def _elements(write: Write, run: int) -> NDArray[np.int64]:
    """Return the flat elements of its tensor that one run of a write fills, in stream order."""
    index = np.full((1,), write.start + run * write.step, np.int64)
    for size, pitch in zip(write.shape, write.pitch, strict=True):
        index = (index[:, np.newaxis] + np.arange(size) * pitch).ravel()
    return index
