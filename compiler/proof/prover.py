"""The second half of the proof: every tensor is equal in integer graph, interpreter and reference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.machine.observer import Writes
from cimc.backends.reference import instructions as reference
from cimc.backends.reference import sampled as reference_sample
from cimc.driving.driver import Compilation
from cimc.driving.scoring import samples_of
from cimc.evaluate import Evaluator, samples_at_once
from cimc.ir.graph import label_of
from cimc.ir.loop import ResultOp, StateOp, runs_of, scan_of
from cimc.ir.nn import Computed, InputOp
from cimc.ir.types import shape_of
from cimc.isa.writes import writes_of
from cimc.proof.programs import Difference
from cimc.proof.tensors import Places, Tensors

Codes = NDArray[np.integer[Any]]

BATCH = 16
REFERENCE_S = 10.0
"""Seconds that the literal reference may take in one verification, as `reference_s` estimates them."""
CELL_S, MULTIPLY_S, ELEMENT_S = 20e-6, 100e-9, 22e-6
"""What the literal reference takes to programme a cell, to multiply, and to write an element."""


@dataclass(frozen=True)
class TensorRow:
    """One tensor of the proof: elements compared with the interpreter and with the reference.

    Inputs and views, for which nothing is computed, have no layer: "".
    """

    label: str
    layer: str
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


class Prover:
    """Runs inputs through integer graph, interpreter and reference, tensor by tensor."""

    def __init__(self, compilation: Compilation) -> None:
        self.program = compilation.emission.program
        self.layers = self.program.layer_names
        self.operations = [op for op in compilation.graph.operations if isinstance(op, Computed)]
        self.writes = writes_of(self.program)
        self.written = {write.tensor for write in self.writes.values()}
        self.evaluator = Evaluator(compilation.graph, values=[op.label.data for op in self.operations])
        self.interpreter = Interpreter(self.program)
        self.batch = min(BATCH, self.interpreter.chunk, samples_at_once(compilation.graph))
        self.compared: dict[str, list[int]] = {op.label.data: [0, 0] for op in self.operations}
        self.share: Share | None = None

    def multiplies(self) -> int:
        """Return the multiplications the literal reference does for one sample."""
        return sum(op.multiplies() * runs_of(op) for op in self.operations)

    def reference_s(self) -> float:
        """Return the seconds that the literal reference takes for one sample, about, whatever the machine's load."""
        cells = sum(int(one["rows"] * one["cols"]) for one in self.program.instructions if one.name == "program")
        elements = sum(prod(write.shape) * write.runs for write in self.writes.values())
        return cells * CELL_S + self.multiplies() * MULTIPLY_S + elements * ELEMENT_S

    def on_reference(self, asked: int | None) -> tuple[int, bool]:
        """Return how many samples the reference gets, and whether it computes a sample of each one's vectors alone."""
        if asked is not None:
            return asked, False
        one = self.reference_s()
        return max(1, int(REFERENCE_S / max(one, ELEMENT_S))), one > REFERENCE_S

    def prove(
        self, inputs: Mapping[str, NDArray[Any]], reference_samples: int, sampled: bool = False
    ) -> Iterator[Difference | int]:
        """Yield samples done after each batch and each sample on the reference, or the first Difference and stop.

        With `sampled`, the reference computes a seeded sample of every instruction's vectors instead of all.
        """
        if sampled:
            self.share = Share()
        count = samples_of(inputs)
        for first, last in pairwise([*range(0, count, self.batch), count]):
            batch = {name: array[first:last] for name, array in inputs.items()}
            for done, difference in enumerate(self._batch(batch, first, max(0, min(reference_samples, last) - first))):
                yield difference or first + done
                if difference:
                    return
            yield last

    def rows(self) -> list[TensorRow]:
        """Return one row per tensor, in program order."""
        found = []
        for op in self.operations:
            label = op.label.data
            found.append(TensorRow(label, self.layers.get(label, ""), shape_of(op.out), *self.compared[label]))
        return found

    def _batch(self, batch: Mapping[str, NDArray[Any]], first: int, literal: int) -> Iterator[Difference | None]:
        """Yield what differs in the interpreter, then in each of the samples that the reference gets."""
        expected = next(iter(self.evaluator.stream(batch)))
        self._add_last_values(expected)
        codes = ports.codes_of(self.program, batch)
        yield self._inputs(expected, codes, first) or self._fast(expected, codes, first)
        literally = self._sampled if self.share else self._literal
        for sample in range(literal):
            yield literally(expected, codes, first, sample)

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
                difference = self._equal(label, expected[label], codes[label], first, "input codes")
                if difference:
                    return difference
        return None

    def _fast(self, expected: Mapping[str, Codes], codes: Mapping[str, NDArray[Any]], first: int) -> Difference | None:
        tensors = Tensors(self.operations, len(next(iter(codes.values()))))

        def take(index: int, values: NDArray[Any]) -> None:
            tensors.take(index, self.writes[index], values)

        self.interpreter.run(codes, Writes(take))
        return self._tensors(expected, tensors, first, 0, "interpreter")

    def _literal(
        self, expected: Mapping[str, Codes], codes: Mapping[str, NDArray[Any]], first: int, sample: int
    ) -> Difference | None:
        tensors = Tensors(self.operations, 1)

        def take(index: int, values: NDArray[Any]) -> None:
            tensors.take(index, self.writes[index], values)

        given = {name: array[sample].ravel().tolist() for name, array in codes.items()}
        reference.run(self.program, given, Writes(take))
        one = {label: array[sample : sample + 1] for label, array in expected.items()}
        return self._tensors(one, tensors, first + sample, 1, "reference")

    def _sampled(
        self, expected: Mapping[str, Codes], codes: Mapping[str, NDArray[Any]], first: int, sample: int
    ) -> Difference | None:
        """Compare a sample of each instruction's results, computed from tensors that graph and interpreter agree on."""
        places = Places(self.writes, self.operations)
        found: list[Difference] = []

        def truth(index: int) -> NDArray[np.int64] | None:
            flat = places.next_run(index)
            return None if flat is None else expected[self.writes[index].tensor][sample].ravel()[flat].astype(np.int64)

        def watch(index: int, numbers: Codes, values: Codes) -> None:
            flat, label = places.written(index), self.writes[index].tensor
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
        return f"tensor {label!r} (layer {self.layers.get(label, 'none')}, instruction {index})"

    def _tensors(
        self, expected: Mapping[str, Codes], tensors: "Tensors", first: int, column: int, who: str
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
        index = max((i for i, write in self.writes.items() if write.tensor == label), default=-1)
        element = f"sample {first + where[0]}, element {where[1:]}"
        place = f"{self._place(label, index)} of the {who}, {element}"
        return Difference(place, f"code {want[where]}", f"code {found[where]}")
