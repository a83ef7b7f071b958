"""Which weight of the model each element of a layer's matrix is: the front half of the compiler run on coded weights.

What passes do to weights before they are mapped is affine in each of them: they turn, cut, scale, take zero points off.
So a model whose weights are numbers that we chose tells which weight is where: of three values w, w + 1 and w + digit
in one element, (third - first) / (second - first) is the digit, whatever the scale and the offset.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cimc.driving.driver import Request, compile_to_stage
from cimc.ir.nn import Layer

Array = NDArray[Any]

EMPTY, SEVERAL, OFFSET, CONSTANT = -1, -2, -3, -4
"""In place of a weight's number: a zero that fills a matrix, made of several weights, an offset, in a constant row."""
BASE = 32
"""Digits are below this: small enough for weights of 8 bits."""
VARIETY = 7
"""Different values that coded weights begin with, so that nothing takes them for a constant."""
TOLERANCE = 0.01
"""How far a digit may be from a whole number before it is none."""


@dataclass(frozen=True)
class Weights:
    """The initialisers of a model that may be matrices: `first` is the number of the first element of each."""

    path: Path

    @cached_property
    def model(self) -> onnx.ModelProto:
        return onnx.load(self.path)

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each initialiser that is coded, by name."""
        return {one.name: tuple(one.dims) for one in self.model.graph.initializer if _may_be_matrix(one)}

    @cached_property
    def first(self) -> Mapping[str, int]:
        """Number of the first element of each initialiser; elements count on in the order of memory."""
        starts = np.cumsum([0, *map(prod, self.shapes.values())])
        return dict(zip(self.shapes, starts.tolist(), strict=False))

    @cached_property
    def _starts(self) -> tuple[list[int], list[str]]:
        """The numbers of `first`, which grow, and the names beside them."""
        return list(self.first.values()), list(self.first)

    @property
    def count(self) -> int:
        return sum(map(prod, self.shapes.values()))

    def name_of(self, number: int) -> tuple[str, tuple[int, ...]]:
        """Return the initialiser of an element's number, and its index there."""
        starts, names = self._starts
        name = names[bisect_right(starts, number) - 1]
        place = np.unravel_index(number - self.first[name], self.shapes[name])
        return name, tuple(map(int, place))

    def values(self, name: str) -> Array:
        """Return an initialiser's own values."""
        found = next(one for one in self.model.graph.initializer if one.name == name)
        return onnx.numpy_helper.to_array(found, str(self.path.parent))

    def coded(self, code: Callable[[Array], Array]) -> onnx.ModelProto:
        """Return the model with the codes of their numbers in place of its weights."""
        made = onnx.ModelProto()
        made.CopyFrom(self.model)
        for one in made.graph.initializer:
            if one.name in self.shapes:
                shape = self.shapes[one.name]
                numbers = self.first[one.name] + np.arange(prod(shape)).reshape(shape)
                dtype = onnx.helper.tensor_dtype_to_np_dtype(one.data_type)
                one.CopyFrom(onnx.numpy_helper.from_array(code(numbers).astype(dtype), one.name))
        return made


def _may_be_matrix(one: onnx.TensorProto) -> bool:
    kind = onnx.helper.tensor_dtype_to_np_dtype(one.data_type)
    is_number = kind.kind == "f" or (kind.kind in "iu" and kind.itemsize == 1)
    return is_number and len(one.dims) >= 2 and prod(one.dims) > 1


def owners(weights: Weights, request: Request) -> dict[str, Array]:
    """Return, for each layer's label, the number of the weight that each element of its weights [...] is.

    Elements that are no weight, or made of several, are EMPTY or SEVERAL. Raises CimcError as compiling does.
    """
    base = _compiled(weights, request, _start)
    one = _compiled(weights, request, lambda numbers: _start(numbers) + 1)
    found = {label: np.zeros(array.shape, np.int64) for label, array in base.items()}
    step = {label: one[label] - base[label] for label in base}
    for unit in _units(weights.count):
        more = _compiled(weights, request, partial(_with_digit, unit=unit))
        for label, numbers in found.items():
            found[label] = numbers * BASE + _read(more[label] - base[label], step[label])
    return {label: _settled(numbers, step[label], weights.count) for label, numbers in found.items()}


def _start(numbers: Array) -> Array:
    return np.asarray(numbers % VARIETY + 1)


def _with_digit(numbers: Array, unit: int) -> Array:
    return np.asarray(_start(numbers) + numbers // unit % BASE)


def _units(count: int) -> list[int]:
    """Return what the digits of the numbers below `count` count, the highest first."""
    units = [1]
    while units[0] * BASE < count:
        units.insert(0, units[0] * BASE)
    return units


def _read(difference: Array, step: Array) -> Array:
    """Return digits, and beyond every number where one is no digit."""
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = difference / step
    good = np.isfinite(digits) & (np.abs(digits - np.rint(digits)) < TOLERANCE)
    good &= (np.rint(digits) >= 0) & (np.rint(digits) < BASE)
    return np.where(good, np.rint(np.where(good, digits, 0)), -(BASE**12)).astype(np.int64)


def _settled(numbers: Array, step: Array, count: int) -> Array:
    fits = (numbers >= 0) & (numbers < count)
    return np.where(step == 0, EMPTY, np.where(fits, numbers, SEVERAL))


def _compiled(weights: Weights, request: Request, code: Callable[[Array], Array]) -> dict[str, Array]:
    """Return the weights of every layer of the coded model, by label, before they are mapped."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(weights.coded(code).SerializeToString())
        graph = compile_to_stage(path, replace(request, observer=None), "graph")
    layers = (op for op in graph.operations if isinstance(op, Layer))
    return {op.label.data: graph.weights.reals(op.weight) for op in layers}
