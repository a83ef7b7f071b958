"""Counts what a program does, instruction by instruction, without running it: loops are multiplied, not unrolled."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import ceil, prod
from typing import Any

import numpy as np

from cimc.backends.cost.cells import Cells, Held
from cimc.backends.cost.counters import NOTHING, Counters, Number, Work
from cimc.backends.cost.overlap import blocks_read, timed
from cimc.backends.machine import checks
from cimc.backends.machine.facts import Machine, machine
from cimc.backends.machine.traps import Trap
from cimc.isa.limits import converters
from cimc.isa.program import Instruction, Program
from cimc.isa.region import Region, region
from cimc.isa.streams import StreamState, advanced, define, with_window
from cimc.isa.table import ELEMENT_TYPES, TAP_BITS, Field
from cimc.isa.writes import inputs_of, output_of


def works(program: Program) -> tuple[Work, ...]:
    """Return what every instruction does for one sample. Raises Trap on a fault of operands and of the static facts."""
    counting = counted(program)
    return timed(program, tuple(map(Work, counting.counts, counting.tiles)))


def count(program: Program) -> tuple[Counters, ...]:
    """Return the counters of every instruction for one sample. Raises Trap on a fault of the static facts."""
    return tuple(work.counters for work in works(program))


def counted(program: Program) -> "Counting":
    """Return a walk over a program that has come to its end. Raises Trap as `works` does."""
    checks.operands(program)
    counting = Counting(program)
    counting.body(0, 1)
    return counting


class Counting:
    """A walk over a program that keeps what counters depend on: streams without their bases, and blocks."""

    def __init__(self, program: Program) -> None:
        self.code = program.instructions
        self.locations = program.locations
        self.machine = machine(program.meta)
        self.read = once_each if _buffers_lines(program.meta["target"]) else inside
        self.streams: dict[int, StreamState] = {}
        self.blocks: dict[int, Region] = {}
        self.held: dict[int, Held] = {}
        self.cells = Cells(program.conductances, self.machine)
        self.counts = [NOTHING] * len(program.instructions)
        self.tiles: list[dict[int, Counters]] = [{} for _ in program.instructions]
        self.read_by: list[dict[int, list[tuple[Region, Held]]]] = [{} for _ in program.instructions]
        """Instruction -> block -> the regions that it read as the block, with what they held, each once."""

    def body(self, start: int, weight: int) -> int:
        """Walk from `start` to the `endloop` or `halt` of this level, each counter `weight` times; return the next."""
        index = start
        while index < len(self.code):
            instruction = self.code[index]
            work = self._counted(index, instruction)
            self.counts[index] += work.counters.times(weight)
            for tile, done in work.tiles.items():
                self.tiles[index][tile] = self.tiles[index].get(tile, NOTHING) + done.times(weight)
            if instruction.name in ("halt", "endloop"):
                return index + 1
            index = self._loop(index, weight) if instruction.name == "loop" else index + 1
        return index

    def _loop(self, index: int, weight: int) -> int:
        """Walk a loop's turns until one leaves the state as it found it: all that follow count like the next."""
        left = self.code[index]["count"]
        while left:
            before = self._state()
            end = self.body(index + 1, weight)
            left -= 1
            if left and self._state() == before:
                return self.body(index + 1, weight * left)
        return end

    def _state(self) -> tuple[dict[int, StreamState], dict[int, Region]]:
        return {number: replace(state, base=0) for number, state in self.streams.items()}, dict(self.blocks)

    def _counted(self, index: int, i: Instruction) -> Work:
        try:
            self._changed(i)
            tiles = self.on_tiles(index, i)
            stated = {name: self._sum(i, formula) for name, formula in i.spec.counts.items()}
            return Work(sum(tiles.values(), Counters(issued=1, **stated) + self.moved(i)), tiles)
        except Trap as trap:
            raise trap.at(index, self.locations) from None

    def on_tiles(self, index: int, i: Instruction) -> dict[int, Counters]:
        """Return what the arrays do for the vectors of `in` and consecutive blocks, tile by tile."""
        done: dict[int, Counters] = {}
        for number in blocks_read(i):
            cells, source = self.block(number), self.stream(i["in"])
            self._note_read(index, number, cells)
            reads = len(self.machine.phases(source))
            products = _products(self.machine, cells, self.held[number], reads).times(source.vectors)
            done[cells.tile] = done.get(cells.tile, Counters()) + products
        return done

    def _changed(self, i: Instruction) -> None:
        """Take over what an instruction changes that later ones are counted by."""
        match i.name:
            case "tensor":
                self.streams[i["stream"]] = define(i)
            case "window":
                self.streams[i["stream"]] = with_window(self.stream(i["stream"]), i)
            case "advance":
                self.streams[i["stream"]] = advanced(self.stream(i["stream"]), i)
            case "program" | "pattern":
                self._written(i)

    def _written(self, i: Instruction) -> None:
        """Write cells: what other blocks hold that have some of them is not what it was."""
        again = self.cells.write(i)
        if i.name == "program":
            self.blocks[i["block"]], self.held[i["block"]] = region(i), self.cells.programmed(i)
        for number in [number for number, cells in self.blocks.items() if again and cells.overlaps(region(i))]:
            self.held[number] = replace(self.held[number], rows=self.cells.conducted(self.blocks[number]))

    def _note_read(self, index: int, number: int, cells: Region) -> None:
        known, rows = self.read_by[index].setdefault(number, []), self.held[number].rows
        if not any(cells == other and np.array_equal(held.rows, rows) for other, held in known):
            known.append((cells, self.held[number]))

    def stream(self, number: int) -> StreamState:
        return checks.defined(self.streams, number)

    def block(self, number: int) -> Region:
        if number not in self.blocks:
            raise Trap("CIM0511", f"block b{number} has not been programmed", "a `program` instruction comes first")
        return self.blocks[number]

    def moved(self, i: Instruction) -> Counters:
        """Return the bytes of the stream written and of those read for it, unless the table counts what is read."""
        number = output_of(i)
        if number is None:
            return NOTHING
        out, read = self.stream(number), () if "act_read" in i.spec.counts else inputs_of(i)
        spaces = [(state.space, self.read(state) * state.size) for state in map(self.stream, read)]
        return Counters(
            act_read=sum(size for space, size in spaces if space == "act"),
            const_read=sum(size for space, size in spaces if space == "const"),
            act_write=out.elements * out.size,
        )

    def _sum(self, i: Instruction, formula: str) -> int:
        """Return what a formula of the table of instructions comes to, halves of a byte rounded up."""
        return ceil(sum(sign * prod(self._factor(i, name) for name in names) for sign, names in terms(formula)))

    def _factor(self, i: Instruction, name: str) -> Number:
        """Return a factor of a formula: a number, the bytes of an element type, an operand, or a fact of one."""
        operand, _, fact = name.partition(".")
        if name.isdecimal():
            return int(name)
        if name in ELEMENT_TYPES:
            return ELEMENT_TYPES[name][0]
        found: int = i[operand]
        return self._fact(i.spec.field(operand), found, fact) if fact else found

    def _fact(self, operand: Field, value: int, fact: str) -> Number:
        """Return a fact of what an operand of this value names: a stream, a block, a type, or a member."""
        if operand.prefix == "s":
            return STREAM_FACTS[fact](self.stream(value))
        if operand.prefix == "b":
            return BLOCK_FACTS[fact](self.block(value), self.held[value])
        if operand.names == tuple(ELEMENT_TYPES) and fact == "size":
            return ELEMENT_TYPES[operand.names[value]][0]
        if operand.names == tuple(TAP_BITS) and fact == "size":
            return Fraction(TAP_BITS[operand.names[value]], 8)
        return int(operand.names[value] == fact)


STREAM_FACTS: Mapping[str, Callable[[StreamState], int]] = {
    "elements": lambda state: state.elements,
    "vectors": lambda state: state.vectors,
    "length": lambda state: state.length,
    "channels": lambda state: state.shape[3],
    "size": lambda state: state.size,
}
"""What formulas of the table may say of a stream."""
BLOCK_FACTS: Mapping[str, Callable[[Region, Held], int]] = {
    "rows": lambda cells, _: cells.rows,
    "cols": lambda cells, _: cells.cols,
    "programmed": lambda _, held: held.programmed,
    "programmed_rows": lambda _, held: held.programmed_rows,
}
"""What formulas of the table may say of a block."""


@cache
def terms(formula: str) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Return the terms of a formula, each a sign and the names of its factors."""
    parts = formula.replace(" - ", " + -").split(" + ")
    return tuple((-1 if part.startswith("-") else 1, tuple(part.removeprefix("-").split(" * "))) for part in parts)


def _buffers_lines(sections: Mapping[str, Any]) -> bool:
    """Return whether the target that a program embeds keeps what windows read until they need it no more."""
    memory = sections.get("memory")
    return isinstance(memory, Mapping) and memory.get("line_buffer") is True


def inside(state: StreamState) -> int:
    """Return how many elements a stream yields that lie in its tensor, each as often as it is used."""
    return state.elements if state.window is None else prod(map(len, _places(state))) * state.shape[3]


def once_each(state: StreamState) -> int:
    """Return how many elements of its tensor a stream yields, each once however often it is used."""
    return state.elements if state.window is None else prod(len(set(each)) for each in _places(state)) * state.shape[3]


def _places(state: StreamState) -> Iterator[list[int]]:
    """Yield the rows of a window's tensor that its taps meet, one by one, then the columns."""
    window = state.window
    assert window is not None
    steps = zip(window.kernel, window.stride, window.dilation, window.pad, window.out, state.shape[1:3], strict=True)
    for kernel, stride, dilation, pad, out, size in steps:
        met = (y * stride - pad + k * dilation for y in range(out) for k in range(kernel))
        yield [place for place in met if 0 <= place < size]


def phases_of(target: Machine, cols: int) -> int:
    """Return the conversions of a tile's ADCs that one read phase of a block with so many columns takes."""
    return ceil(cols / converters(target.columns, target.multiplexing))


def _products(target: Machine, block: Region, held: Held, reads: int) -> Counters:
    """Return what the array does for one vector, in so many read phases, through a block that holds these cells."""
    phases = reads * phases_of(target, block.cols)
    return Counters(
        products=1,
        phases=phases,
        conversions=reads * block.cols,
        cells=block.rows * block.cols,
        macs=held.programmed,
        conductance=int(held.rows.sum()),
        row_slots=block.rows * phases,
    )
