"""Tensors put together from what single instructions write, and which elements those are."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.ir.loop import ResultOp, StateOp, runs_of, scan_of
from cimc.ir.nn import Computed
from cimc.ir.types import code_of, is_quantised, shape_of
from cimc.isa.writes import TensorWrite

Codes = NDArray[np.integer[Any]]


class Tensors:
    """Values put together from what single instructions write; those of a loop with an axis of steps behind samples.

    They are kept in the type of their codes, in a wider one where somebody writes what that does not hold.
    """

    def __init__(self, operations: Sequence[Computed], samples: int) -> None:
        self._operations = {op.label.data: op for op in operations}
        self._arrays: dict[str, Codes] = {
            label: np.zeros((samples, _elements_held(op)), _dtype(op)) for label, op in _labelled(operations)
        }
        self._runs: Counter[int] = Counter()
        self._samples = samples

    def take(self, index: int, write: TensorWrite, values: NDArray[Any]) -> None:
        """Keep what one run of instruction `index` has written."""
        places = _elements(write, self._runs[index])
        self._runs[index] += 1
        array = self._arrays[write.tensor]
        held = np.iinfo(array.dtype)
        if values.size and not held.min <= values.min() <= values.max() <= held.max:
            array = self._arrays[write.tensor] = array.astype(np.int64)
        array[:, places] = values.reshape(self._samples, -1)

    def get(self, label: str) -> Codes:
        op = self._operations[label]
        if isinstance(op, ResultOp) and op.state:
            return self._steps(op.state)[:, -1]
        return self._steps(op) if scan_of(op) else self._steps(op)[:, 0]

    def _steps(self, op: Computed) -> Codes:
        return self._arrays[op.label.data].reshape(self._samples, -1, *shape_of(op.out))


class Places:
    """Which elements of a tensor single instructions write, and which of them no later instruction writes again."""

    def __init__(self, writes: Mapping[int, TensorWrite], operations: Sequence[Computed]) -> None:
        self._writes = writes
        self._runs: Counter[int] = Counter()
        sizes = {label: _elements_held(op) for label, op in _labelled(operations)}
        written: Counter[str] = Counter()
        for write in self._writes.values():
            written[write.tensor] += math.prod(write.shape) * write.runs
        self._last = {
            label: np.full(sizes[label], -1, np.int64) for label, size in written.items() if size > sizes[label]
        }
        for index, write in sorted(self._writes.items()):
            if write.tensor in self._last:
                for run in range(write.runs):
                    self._last[write.tensor][_elements(write, run)] = index

    def next_run(self, index: int) -> NDArray[np.int64] | None:
        """Return the flat elements that the next run of an instruction writes; None where it writes no tensor."""
        self._runs[index] += 1
        return self.written(index) if index in self._writes else None

    def written(self, index: int) -> NDArray[np.int64]:
        """Return the flat elements that this run of an instruction writes, in stream order."""
        return _elements(self._writes[index], self._runs[index] - 1)

    def last_written(self, index: int, flat: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of these elements keep what this instruction writes."""
        last = self._last.get(self._writes[index].tensor)
        return np.ones(flat.shape, np.bool_) if last is None else last[flat] == index


def _labelled(operations: Sequence[Computed]) -> Iterator[tuple[str, Computed]]:
    return ((op.label.data, op) for op in operations)


def _elements_held(op: Computed) -> int:
    """Return the elements of a value in all its steps; a state has one more, what the last step leaves."""
    return (runs_of(op) + isinstance(op, StateOp)) * math.prod(shape_of(op.out))


def _dtype(op: Computed) -> str:
    return code_of(op.out).dtype if is_quantised(op.out) else "i8"


def _elements(write: TensorWrite, run: int) -> NDArray[np.int64]:
    """Return the flat elements of its tensor that one run of a write fills, in stream order."""
    index = np.full((1,), write.start + run * write.step, np.int64)
    for size, pitch in zip(write.shape, write.pitch, strict=True):
        index = (index[:, np.newaxis] + np.arange(size) * pitch).ravel()
    return index
