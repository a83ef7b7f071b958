"""Every place of a weight as one table: cells of arrays and entries of constant memory, with what they hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.driving.driver import Compilation, compile_model
from cimc.ir.attributes import int_value, int_values
from cimc.ir.facts import ROWS
from cimc.ir.graph import Graph
from cimc.ir.nn import ConvOp, Layer
from cimc.ir.types import shape_of
from cimc.ir.xbar import DepthwiseOp, MvmOp
from cimc.isa.program import Program
from cimc.isa.table import TAP_BITS
from cimc.passes.dither import constant_channels, with_channels
from cimc.passes.im2col import block_diagonal, side_by_side
from cimc.passes.row_copies import repeated
from cimc.proof.programs import request_of
from cimc.provenance.coding import CONSTANT, EMPTY, OFFSET, Weights, owners

Array = NDArray[Any]

COLUMNS = ("owner", "layer", "slice", "replica", "tile", "row", "col", "block", "code", "address")
"""Whole numbers of each place; tile, row, col and block are -1 in constant memory, address is -1 in the arrays."""
NOWHERE = -1


@dataclass(frozen=True)
class Places:
    """A row for each place of a weight: `numbers` by COLUMNS, the real value of its code, the float weight of it.

    `layers` are the names that the column `layer` counts. A block that layers share has a row for each of them.
    """

    weights: Weights
    layers: tuple[str, ...]
    numbers: Mapping[str, Array]
    steps: Array
    """Real value of one unit of the code."""
    exact: Array
    """The float weight that the code stands for, as the layer was mapped."""
    offsets: Array
    """What the layer added to each weight, which its column of offsets takes away again; 0 in most layers."""

    def of_weight(self, number: int) -> Array:
        """Return the rows of a weight."""
        return np.flatnonzero(self.numbers["owner"] == number)

    def of_cell(self, tile: int, row: int, col: int) -> Array:
        """Return the rows of a cell."""
        n = self.numbers
        return np.flatnonzero((n["tile"] == tile) & (n["row"] == row) & (n["col"] == col))


@dataclass
class _Rows:
    """Places as they are found."""

    numbers: list[Array] = field(default_factory=list)
    steps: list[Array] = field(default_factory=list)
    exact: list[Array] = field(default_factory=list)
    offsets: list[Array] = field(default_factory=list)

    def add(self, owner: Array, code: Array, exact: Array, offset: Any = 0.0, **columns: Any) -> None:
        """Add the places [rows, cols] of a matrix; further arguments have its shape, or are one number for all."""
        given = {"owner": owner, "code": code, **columns}
        shape = np.shape(owner)
        table = [np.broadcast_to(given.get(name, NOWHERE), shape).ravel() for name in COLUMNS]
        self.numbers.append(np.stack(table).astype(np.int64))
        step = _step(np.where(owner == CONSTANT, 0, code), exact)
        for column, values in ((self.steps, step), (self.exact, exact), (self.offsets, offset)):
            column.append(np.broadcast_to(values, shape).ravel())

    def places(self, weights: Weights, layers: tuple[str, ...]) -> Places:
        table = np.concatenate([np.empty((len(COLUMNS), 0), np.int64), *self.numbers], axis=1)
        reals = (np.concatenate([np.empty(0), *column]) for column in (self.steps, self.exact, self.offsets))
        return Places(weights, layers, dict(zip(COLUMNS, table, strict=True)), *reals)


@dataclass
class _Mapped:
    """What is seen of each layer while the program is compiled again: its form, and its matrix of float weights."""

    groups: dict[str, tuple[bool, int]] = field(default_factory=dict)
    matrices: dict[str, Array] = field(default_factory=dict)
    taps: dict[str, Array] = field(default_factory=dict)

    def times(self, label: str, known: Mapping[str, Array]) -> int:
        """Return how often each column of a layer stands, to be averaged; `known` are the layers before mapping."""
        if label in known or not label.endswith(".columns"):
            return 1
        return int(self.taps[label].shape[-1] // known[slice_of(label)[0]].shape[-1])

    def __call__(self, name: str, graph: Graph, seconds: float) -> None:
        for op in graph.operations:
            if isinstance(op, Layer):
                group = int_value(op.group) if isinstance(op, ConvOp) else 1
                self.groups[op.label.data] = (isinstance(op, ConvOp), group)
                self.taps[op.label.data] = graph.weights.get(op.weight)
            elif isinstance(op, MvmOp) and op.weight is not None:
                self.matrices[op.label.data] = graph.weights.get(op.weight)


def places(model: Path, program: Program) -> Places:
    """Return every place of the weights of the model that a program was compiled from. Raises CimcError."""
    request, weights, seen = request_of(program), Weights(model), _Mapped()
    compilation = compile_model(model, replace(request, observer=seen))
    known = owners(weights, request)
    rows, layers = _Rows(), list[str]()
    shared = {op.label.data: op for op in compilation.graph.operations if isinstance(op, MvmOp)}
    for op in compilation.graph.operations:
        if isinstance(op, MvmOp):
            home = op if op.shares is None else shared[op.shares.data]
            times, owner = seen.times(op.label.data, known), _owners_of(known, seen, op)
            _add_matrix(rows, compilation.graph, seen, op, home, owner, times, len(layers))
        elif isinstance(op, DepthwiseOp):
            _add_taps(rows, compilation, seen, op, known[op.label.data], len(layers))
        else:
            continue
        layers.append(program.layer_names.get(op.label.data, op.label.data))
    return rows.places(weights, tuple(layers))


def slice_of(label: str) -> tuple[str, int]:
    """Return the label of the layer that an operation is a part of, and the number of its slice of the weights."""
    stem, _, part = label.rpartition(".")
    if part.startswith("slice") and part[5:].isdigit():
        return stem, int(part[5:])
    return (stem, 0) if part in ("raw", "columns") else (label, 0)


def _owners_of(known: Mapping[str, Array], seen: _Mapped, op: MvmOp) -> Array:
    """Return the number of the weight in each element of a matrix [group, rows, cols]."""
    label = op.label.data
    numbers = known[label] if label in known else known[slice_of(label)[0]]
    if label not in known and label.endswith(".raw"):
        numbers = np.concatenate([numbers, np.full((*numbers.shape[:-1], 1), OFFSET)], axis=-1)
    numbers = repeated(np.tile(numbers, seen.times(label, known)), ROWS.get(op) or 1)
    numbers = with_channels(numbers, constant_channels(op), CONSTANT)
    is_convolution, group = seen.groups[label]
    if op.diagonal is not None:
        return block_diagonal(numbers, group, int_value(op.diagonal), EMPTY)
    return side_by_side(numbers, group) if is_convolution else numbers[np.newaxis]


def _add_matrix(
    rows: _Rows, graph: Graph, seen: _Mapped, op: MvmOp, home: MvmOp, owner: Array, times: int, layer: int
) -> None:
    """Add the cells of all copies of the blocks that a layer uses; `home` is the layer that they belong to.

    Columns that stand several `times`, and rows that do, are replicas too.
    """
    copies, all_channels = ROWS.get(op) or 1, shape_of(op.x)[-1]
    channels = (all_channels - constant_channels(op)) // copies
    assert home.conductance is not None and home.first_block is not None
    levels, weight = graph.weights.get(home.conductance), seen.matrices[op.label.data]
    spots, number = int_values(home.blocks), 0
    for copy in range(home.copies):
        for group, r, c in _cuts(home):
            tile, row, col = spots[3 * number : 3 * number + 3]
            code, exact = levels[group, r, c].astype(np.int64), weight[group, r, c].astype(np.float64)
            lines, columns = np.indices(code.shape)
            at = {"tile": tile, "row": row + lines, "col": col + columns, "block": int_value(home.first_block) + number}
            replica = copy * times + (c.start + columns) // (owner.shape[-1] // times)
            replica = replica * copies + (r.start + lines) % all_channels // channels % copies
            about = {"layer": layer, "slice": slice_of(op.label.data)[1], "replica": replica}
            offset = np.where(owner[group, r, c] >= 0, _offset(owner[group, r], weight[group, r]), 0.0)
            rows.add(owner[group, r, c], code, exact, offset, **at, **about)
            number += 1


def _offset(owner: Array, weight: Array) -> Any:
    """Return the offset of each row [rows, 1] of a matrix that has a column of them, else 0."""
    held = (owner == OFFSET).any(axis=0)
    return weight[:, held].astype(np.float64) if held.any() else 0.0


def _cuts(op: MvmOp) -> Iterator[tuple[int, slice, slice]]:
    """Yield group, rows and columns of each block of a layer, in the order of their numbers."""
    for group in range(op.matrix[0]):
        for c0, c1 in pairwise(int_values(op.col_cuts)):
            for r0, r1 in pairwise(int_values(op.row_cuts)):
                yield group, slice(r0, r1), slice(c0, c1)


def _step(code: Array, exact: Array) -> Array:
    """Return the real value of one unit in each column [cols], by least squares over the column's cells."""
    squares = np.square(code.astype(np.float64)).sum(axis=0)
    return np.asarray((code * exact).sum(axis=0) / np.where(squares > 0, squares, 1.0))


def _add_taps(rows: _Rows, compilation: Compilation, seen: _Mapped, op: DepthwiseOp, owner: Array, layer: int) -> None:
    """Add the entries of constant memory that hold a depthwise layer's weights."""
    code = compilation.graph.weights.get(op.weights).astype(np.int64).reshape(owner.reshape(-1, owner.shape[-1]).shape)
    program = compilation.emission.program
    found = next(one for one in program.layers if one.tensor == op.label.data)
    index = next(i for i in program.instructions_of(found) if program.instructions[i].name == "depthwise")
    depthwise = program.instructions[index]
    bits = TAP_BITS[depthwise.choice("taps")] * np.arange(code.size).reshape(code.shape)
    address = depthwise["weights"] + bits // 8
    exact = seen.taps[op.label.data].astype(np.float64).reshape(code.shape)
    numbers = owner.reshape(code.shape)
    rows.add(numbers, code, exact, address=address, layer=layer, slice=0, replica=0)
