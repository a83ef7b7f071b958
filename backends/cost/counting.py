"""Counts what a program does, instruction by instruction, without running it: loops are multiplied, not unrolled."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil, prod
from typing import Any

import numpy as np

from cimc.backends.cost.counters import NOTHING, Counters, Work, total
from cimc.backends.cost.overlap import blocks_read, timed
from cimc.backends.machine import checks
from cimc.backends.machine.facts import Machine, machine
from cimc.backends.machine.traps import Trap
from cimc.isa.conductances import targets
from cimc.isa.limits import converters
from cimc.isa.program import Instruction, Program
from cimc.isa.region import Region, region
from cimc.isa.streams import StreamState, advanced, define, with_window
from cimc.isa.table import ELEMENT_TYPES

MULTIPLIER, OFFSET, EXPONENTIAL, NUMBER = ELEMENT_TYPES["i32"][0], ELEMENT_TYPES["i64"][0], 4, 4
"""Bytes of the entries of an instruction's tables."""
ISSUED = Counters(issued=1)


def works(program: Program) -> tuple[Work, ...]:
    """Return what every instruction does for one sample. Raises Trap on a fault of the static facts."""
    counting = _Counting(program)
    counting.body(0, 1)
    return timed(program, tuple(map(Work, counting.counts, counting.tiles)))


def count(program: Program) -> tuple[Counters, ...]:
    """Return the counters of every instruction for one sample. Raises Trap on a fault of the static facts."""
    return tuple(work.counters for work in works(program))


class _Counting:
    """A walk over a program that keeps what counters depend on: streams without their bases, and blocks."""

    def __init__(self, program: Program) -> None:
        self.code = program.instructions
        self.locations = program.locations
        self.machine = machine(program.meta)
        self.streams: dict[int, StreamState] = {}
        self.blocks: dict[int, Region] = {}
        self.used: dict[int, int] = {}
        self.conductances = program.conductances
        self.counts = [NOTHING] * len(program.instructions)
        self.tiles: list[dict[int, Counters]] = [{} for _ in program.instructions]

    def body(self, start: int, weight: int) -> int:
        """Walk from `start` to the `endloop` or `halt` of this level, each counter `weight` times; return the next."""
        index = start
        while index < len(self.code):
            instruction = self.code[index]
            work = self._counted(index, instruction)
            self.counts[index] += (work.counters + ISSUED).times(weight)
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
            if i.name in COUNTERS:
                tiles = self.on_tiles(i)
                return Work(COUNTERS[i.name](self, i) + total(tiles.values()), tiles)
            self._changed(i)
        except Trap as trap:
            raise trap.at(index, self.locations) from None
        return Work()

    def on_tiles(self, i: Instruction) -> dict[int, Counters]:
        """Return what the arrays do for the vectors of `in` and consecutive blocks, tile by tile."""
        done: dict[int, Counters] = {}
        for number in blocks_read(i):
            cells, source = self.block(number), self.stream(i["in"])
            reads = len(self.machine.phases(source))
            products = _products(self.machine, cells, self.used[number], reads).times(source.vectors)
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

    def stream(self, number: int) -> StreamState:
        return checks.defined(self.streams, number)

    def block(self, number: int) -> Region:
        if number not in self.blocks:
            raise Trap("CIM0511", f"block b{number} has not been programmed", "a `program` instruction comes first")
        return self.blocks[number]

    def moved(self, i: Instruction, *read: str, tables: int = 0) -> Counters:
        """Return the bytes of the streams named, of `out`, and of an instruction's tables."""
        streams = [self.stream(i[name]) for name in read]
        spaces = [(state.space, inside(state) * state.size) for state in streams]
        out = self.stream(i["out"])
        return Counters(
            act_read=sum(size for space, size in spaces if space == "act"),
            const_read=tables + sum(size for space, size in spaces if space == "const"),
            act_write=out.elements * out.size,
        )


def inside(state: StreamState) -> int:
    """Return how many elements a stream yields that lie in its tensor, each as often as it is used."""
    window = state.window
    if window is None:
        return state.elements
    steps = zip(window.kernel, window.stride, window.dilation, window.pad, window.out, state.shape[1:3], strict=True)
    taps: int = prod(
        sum(0 <= y * stride - pad + k * dilation < size for y in range(out) for k in range(kernel))
        for kernel, stride, dilation, pad, out, size in steps
    )
    return taps * state.shape[3]


def phases_of(target: Machine, cols: int) -> int:
    """Return the conversions of a tile's ADCs that one read phase of a block with so many columns takes."""
    return ceil(cols / converters(target.columns, target.multiplexing))


def _program(state: _Counting, i: Instruction) -> Counters:
    state.blocks[i["block"]], state.used[i["block"]] = region(i), _used(i, state.conductances)
    return Counters(programmed=i["rows"] * i["cols"], rows_programmed=i["rows"])


def _used(i: Instruction, conductances: bytes) -> int:
    """Return the cells of a block that hold weights: of one of diagonals, those that are programmed at all."""
    held = targets(conductances, i)
    return held.size if i.choice("zeros") == "program" else int(np.count_nonzero(held))


def _pattern(_: _Counting, i: Instruction) -> Counters:
    return Counters(programmed=i["rows"] * i["cols"], rows_programmed=i["rows"])


def _calibrate(state: _Counting, i: Instruction) -> Counters:
    return Counters(cal_products=state.stream(i["in"]).vectors * i["blocks"])


def _products(target: Machine, block: Region, used: int, reads: int) -> Counters:
    """Return what the array does for one vector, in so many read phases, through a block with so many cells in use."""
    phases, cells = reads * phases_of(target, block.cols), block.rows * block.cols
    slots, conversions = block.rows * phases, reads * block.cols
    return Counters(products=1, phases=phases, conversions=conversions, cells=cells, macs=used, row_slots=slots)


def _mvm(state: _Counting, i: Instruction) -> Counters:
    out, blocks = state.stream(i["out"]).elements, i["blocks"]
    cols = state.block(i["block"]).cols
    joined = Counters(dig_mul=out * (blocks - 1), dig_add=out * (blocks - 1), requant=out)
    tables = cols * (blocks * MULTIPLIER + OFFSET)
    return state.moved(i, "in", tables=tables) + joined


def _capture(state: _Counting, i: Instruction) -> Counters:
    return state.moved(i, "in")


def _written(state: _Counting, i: Instruction) -> Counters:
    return state.moved(i)


def _depthwise(state: _Counting, i: Instruction) -> Counters:
    source = state.stream(i["in"])
    macs, outputs = source.elements * i["multiplier"], source.shape[3] * i["multiplier"]
    tables = source.length * i["multiplier"] + outputs * (MULTIPLIER + OFFSET)
    return state.moved(i, "in", tables=tables) + Counters(
        dig_mul=macs, dig_add=macs, requant=state.stream(i["out"]).elements
    )


def _poolmax(state: _Counting, i: Instruction) -> Counters:
    return state.moved(i, "in") + Counters(dig_add=state.stream(i["in"]).elements)


def _poolsum(state: _Counting, i: Instruction) -> Counters:
    source = state.stream(i["in"])
    entries = source.vectors if i.choice("per") == "position" else 1
    summed = Counters(dig_add=source.elements, requant=state.stream(i["out"]).elements)
    return state.moved(i, "in", tables=entries * (MULTIPLIER + OFFSET)) + summed


def _affine(state: _Counting, i: Instruction) -> Counters:
    tables = i["period"] * (MULTIPLIER + OFFSET)
    return state.moved(i, "in", tables=tables) + Counters(requant=state.stream(i["out"]).elements)


def _elementwise(mul: int, add: int, div: int = 0, requant: int = 1) -> Callable[[_Counting, Instruction], Counters]:
    def counted(state: _Counting, i: Instruction) -> Counters:
        each = Counters(dig_mul=mul, dig_add=add, dig_div=div, requant=requant)
        return state.moved(i, "a", "b") + each.times(state.stream(i["out"]).elements)

    return counted


def _lut(state: _Counting, i: Instruction) -> Counters:
    elements, size = state.stream(i["in"]).elements, ELEMENT_TYPES[i.choice("type")][0]
    return state.moved(i, "in", tables=elements * size) + Counters(dig_table=elements)


def _softmax(state: _Counting, i: Instruction) -> Counters:
    """Largest element and differences, exponentials, their sum, and a scaled quotient each."""
    elements = state.stream(i["in"]).elements
    each = Counters(dig_add=3, dig_table=1, dig_mul=1, dig_div=1)
    return state.moved(i, "in", tables=elements * EXPONENTIAL) + each.times(elements)


def _copied(state: _Counting, i: Instruction) -> Counters:
    return state.moved(i, "in")


def _matmul(state: _Counting, i: Instruction) -> Counters:
    out = state.stream(i["out"]).elements
    macs = out * state.stream(i["a"]).shape[3]
    return state.moved(i, "a", "b") + Counters(dig_mul=macs, dig_add=macs, requant=out)


def _norm(state: _Counting, i: Instruction) -> Counters:
    """Sum and sum of squares, one root a vector; for each element a difference, a quotient and a requantisation."""
    source = state.stream(i["in"])
    each = Counters(dig_mul=2, dig_add=3, dig_div=1, requant=1)
    tables = OFFSET + source.length * (MULTIPLIER + OFFSET)
    return state.moved(i, "in", tables=tables) + each.times(source.elements) + Counters(dig_div=source.vectors)


def _embed(state: _Counting, i: Instruction) -> Counters:
    rows, size = state.stream(i["in"]).elements, ELEMENT_TYPES[i.choice("type")][0]
    read = state.stream(i["out"]).elements * size
    return state.moved(i, "in", tables=read) + Counters(dig_table=rows)


def _select(state: _Counting, i: Instruction) -> Counters:
    return state.moved(i, "c", "a", "b") + Counters(dig_add=state.stream(i["out"]).elements)


def _pick(state: _Counting, i: Instruction) -> Counters:
    """Only the vectors picked are read."""
    out = state.stream(i["out"])
    read = out.elements * state.stream(i["in"]).size
    return Counters(act_read=read, act_write=out.elements * out.size, const_read=i["entries"] * NUMBER)


def _argmax(state: _Counting, i: Instruction) -> Counters:
    return state.moved(i, "in") + Counters(dig_add=state.stream(i["in"]).elements)


COUNTERS: Mapping[str, Callable[[Any, Instruction], Counters]] = {
    "program": _program,
    "pattern": _pattern,
    "verify": _written,
    "readcell": _written,
    "calibrate": _calibrate,
    "mvm": _mvm,
    "capture": _capture,
    "selftest": _written,
    "depthwise": _depthwise,
    "poolmax": _poolmax,
    "poolsum": _poolsum,
    "affine": _affine,
    "add": _elementwise(mul=2, add=1),
    "mul": _elementwise(mul=1, add=2),
    "lut": _lut,
    "softmax": _softmax,
    "move": _copied,
    "fill": _written,
    "matmul": _matmul,
    "norm": _norm,
    "embed": _embed,
    "select": _select,
    "pick": _pick,
    "argmax": _argmax,
    "div": _elementwise(mul=1, add=2, div=1),
}
"""Instruction -> what it is counted as; those that are not here move no data."""
