"""Answers about places of weights: where one is, what a cell holds, all of them as a table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from cimc.backends.machine.facts import machine
from cimc.diagnostics import fail
from cimc.isa.program import Program
from cimc.isa.region import blocks_streamed
from cimc.provenance.cells import COLUMNS, NOWHERE, Places
from cimc.provenance.chip import Chip
from cimc.provenance.coding import CONSTANT, EMPTY, OFFSET, SEVERAL

QUESTION = re.compile(r"(?P<name>.+?)(?:\[(?P<index>\s*\d+(?:\s*,\s*\d+)*\s*)\])?")
NO_WEIGHT = {
    EMPTY: "a zero that fills a matrix",
    SEVERAL: "made of several weights",
    OFFSET: "an offset",
    CONSTANT: "a part of a constant row",
}
"""What is said of places that hold no weight, by what stands for its number."""
HEAD = ("initialiser", "index", "kind", "layer", *COLUMNS[2:], "side", "target_us", "real", "float")
"""Columns of the table of all places."""


@dataclass(frozen=True)
class Answers:
    """Says where weights of a program are. `us_per_unit` is the conductance of one unit of a code, in microsiemens.

    With a `chip`, cells are told as it has them too.
    """

    places: Places
    program: Program
    us_per_unit: float
    chip: Chip | None = None

    def weight(self, question: str) -> Iterator[str]:
        """Yield the lines about INITIALISER[index], with ONNX's own index. Raises CimcError CIM0003."""
        name, index = self._asked(question)
        number = self.places.weights.first[name] + int(np.ravel_multi_index(index, self.places.weights.shapes[name]))
        value, rows = float(self.places.weights.values(name)[index]), self.places.of_weight(number)
        yield f"{name}[{', '.join(map(str, index))}] = {value:.6g}, in {len(rows)} place{'' if len(rows) == 1 else 's'}"
        if not len(rows):
            yield f"  none: {self._reason(name)}"
        for row in rows:
            yield from (f"  {line}" for line in self._place(int(row)))
        yield from self._joined(rows)

    def cell(self, tile: int, row: int, col: int) -> Iterator[str]:
        """Yield the lines about the owners of a cell."""
        rows = self.places.of_cell(tile, row, col)
        yield f"tile {tile}, row {row}, column {col}: {self._count(len(rows))}"
        for at in rows:
            yield f"  {self.owner(int(at))}"
            yield from (f"    {line}" for line in self._place(int(at)))

    def _count(self, owners: int) -> str:
        return "never programmed" if not owners else "one owner" if owners == 1 else f"shared by {owners} layers"

    def owner(self, row: int) -> str:
        """Return what a place holds: the weight by name and index, or what else it is."""
        number = int(self.places.numbers["owner"][row])
        if number < 0:
            return NO_WEIGHT[number]
        name, index = self.places.weights.name_of(number)
        return f"{name}[{', '.join(map(str, index))}]"

    def table(self) -> Iterator[tuple[str, ...]]:
        """Yield a row of texts for each place, by HEAD."""
        for row in range(len(self.places.steps)):
            yield self._row(row)

    def _row(self, row: int) -> tuple[str, ...]:
        numbers = {name: int(column[row]) for name, column in self.places.numbers.items()}
        found = self.places.weights.name_of(numbers["owner"]) if numbers["owner"] >= 0 else None
        name, index = (found[0], ",".join(map(str, found[1]))) if found else ("", self.owner(row))
        is_cell = numbers["address"] == NOWHERE
        told = [str(numbers[column]) if numbers[column] != NOWHERE else "" for column in COLUMNS[2:]]
        side, target = (_side(numbers["code"]), f"{self._us(numbers['code']):.4f}") if is_cell else ("", "")
        kind, layer = "cell" if is_cell else "constant", self.places.layers[numbers["layer"]]
        real, exact = numbers["code"] * self.places.steps[row], self.places.exact[row]
        return name, index, kind, layer, *told, side, target, f"{real:.8g}", f"{exact:.8g}"

    def _asked(self, question: str) -> tuple[str, tuple[int, ...]]:
        found, shapes = QUESTION.fullmatch(question), self.places.weights.shapes
        name = found["name"] if found else question
        name = name if name in shapes else self._of_node(name)
        index = tuple(map(int, found["index"].split(","))) if found and found["index"] else (0,) * len(shapes[name])
        wanted = shapes[name]
        if len(index) != len(wanted) or any(not 0 <= i < size for i, size in zip(index, wanted, strict=True)):
            hint = f"{name} has the shape {wanted}: {prod(wanted)} elements"
            raise fail("CIM0003", f"{question!r} is no element of an initialiser", hint=hint)
        return name, index

    def _of_node(self, name: str) -> str:
        """Return the one weight of the node of this name. Raises CimcError CIM0003 where there is none, or several."""
        shapes = self.places.weights.shapes
        nodes = [node for node in self.places.weights.model.graph.node if node.name == name]
        read = [str(word) for node in nodes for word in node.input if word in shapes]
        if len(read) == 1:
            return read[0]
        hint = f"weights: {', '.join(list(shapes)[:12])}"
        raise fail("CIM0003", f"the model has no initialiser of a matrix, or node with one, named {name!r}", hint=hint)

    def _reason(self, name: str) -> str:
        held = self.places.numbers["owner"]
        first = self.places.weights.first[name]
        size = prod(self.places.weights.shapes[name])
        if not ((held >= first) & (held < first + size)).any():
            return "no matrix of the arrays or of the depthwise unit is made of this initialiser"
        return "no output depends on it, or what it is multiplied by is zero"

    def _place(self, row: int) -> Iterator[str]:
        n = {name: int(column[row]) for name, column in self.places.numbers.items()}
        part = f", slice {n['slice']}" if n["slice"] else ""
        copy = f", replica {n['replica']}" if n["replica"] else ""
        about = f"layer {self.places.layers[n['layer']]}{copy}{part}"
        if n["address"] != NOWHERE:
            yield f"constant memory, byte 0x{n['address']:x}: {n['code']}; {about}"
            return
        adc = n["col"] // machine(self.program.meta).multiplexing
        cell = f"tile {n['tile']}, row {n['row']}, column {n['col']} (ADC {adc})"
        yield f"{cell}: {_side(n['code'])} {abs(n['code'])}, {self._us(n['code']):.4f} uS; {about}"
        block = n["block"]
        yield f"  block {block}, programmed by {self._programming(block)}, read by {self._reading(block)}"
        yield from self._on_chip(block, n["row"], n["col"])

    def _on_chip(self, block: int, row: int, col: int) -> Iterator[str]:
        """Yield what a cell is on the chip, in microsiemens of the plus and the minus side."""
        if self.chip:
            states = ([self._us(code) for code in pair] for pair in self.chip.cell(block, row, col))
            programmed, present = (f"plus {plus:.4f}, minus {minus:.4f} uS" for plus, minus in states)
            yield f"  on the chip: programmed {programmed}; now {present}"

    def _us(self, code: int) -> float:
        return abs(code) * self.us_per_unit

    def _programming(self, block: int) -> str:
        found = [
            i for i, one in enumerate(self.program.instructions) if one.name == "program" and one["block"] == block
        ]
        return f"instruction {', '.join(map(str, found))}"

    def _reading(self, block: int) -> str:
        reading = [i for i, one in enumerate(self.program.instructions) if block in blocks_streamed(one)]
        return ", ".join(map(str, reading))

    def _joined(self, rows: np.ndarray) -> Iterator[str]:
        """Yield, for each layer, what the places of one replica stand for together, against the float weight."""
        n = self.places.numbers
        for layer in np.unique(n["layer"][rows]):
            own = rows[(n["layer"][rows] == layer) & (n["replica"][rows] == 0)]
            offset, step = self.places.offsets[own].sum(), float(np.abs(self.places.steps[own]).max())
            real = float((n["code"][own] * self.places.steps[own]).sum() - offset)
            exact = float(self.places.exact[own].sum() - offset)
            error = f", {(real - exact) / step:+.2f} steps of {step:.4g}" if step else ""
            yield f"  layer {self.places.layers[layer]}: stands for {real:.6g}, the mapped weight is {exact:.6g}{error}"


def _side(code: int) -> str:
    return "plus" if code >= 0 else "minus"
