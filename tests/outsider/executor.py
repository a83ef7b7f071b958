"""An executor written from docs/isa.md, docs/number-rules.md and docs/formats.md alone: nothing of cimc is imported.

It runs one sample and writes its trace. `faults` switches mistakes on that people make:
tests/conformance/faults.py has their list.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import isqrt
from typing import Any, Literal

from outsider.noise import Chip, code_of
from outsider.program import Program

SIZES = {"i8": 1, "u8": 1, "i16": 2, "u16": 2, "i32": 4, "i64": 8}
ONE = 1 << 14
SUMS, ACCUMULATORS, ROOTS = 1 << 32, 1 << 52, 62


Column = tuple[list[int], list[int]]
"""Plus and minus devices of a column, row by row."""


class Trapped(Exception):
    """The program has met a fault; its code is the argument."""


def limits(kind: str) -> tuple[int, int]:
    bits = 8 * SIZES[kind]
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if kind[0] == "i" else (0, (1 << bits) - 1)


def half_even(n: int, d: int) -> int:
    q, r = divmod(n, d)
    return q + (2 * r > d or (2 * r == d and q % 2))


def half_up(n: int, d: int) -> int:
    return (2 * n + d) // (2 * d)


def truncated(n: int, d: int) -> int:
    return n // d if n >= 0 else -(-n // d)


def clamp(x: int, low: int, high: int) -> int:
    return max(min(x, high), low) if low <= high else low


EMPTY = {
    "tensor": ("shape",), "window": ("kernel", "stride", "dilation", "out"), "program": ("rows", "cols"),
    "pattern": ("rows", "cols"), "calibrate": ("blocks",), "mvm": ("blocks",), "affine": ("period",),
    "lut": ("entries",), "softmax": ("entries",), "embed": ("rows",), "pick": ("entries", "group"),
}  # fmt: skip
"""Counts of which 1 is the least."""


def wrong_operand(name: str, o: dict[str, Any]) -> str | None:
    """Return the code with which an instruction is refused before anything runs."""
    if name == "loop" and not o["count"]:
        return "CIM0507"
    if name == "gain" and (o["multiplier"] < 1 << 15 or (o["scope"] == "all" and o["tile"])):
        return "CIM0517"
    for count in EMPTY.get(name, ()):
        if 0 in (o[count] if isinstance(o[count], list) else [o[count]]):
            return "CIM0509"
    limited = {"add": ("ma", "mb"), "mul": ("m",), "matmul": ("m",)}.get(name, ())
    if any(abs(o[m]) >= 1 << 16 for m in limited) or ("low" in o and o["low"] > o["high"]):
        return "CIM0517"
    return None


@dataclass(frozen=True)
class Stream:
    space: str
    kind: str
    base: int
    shape: list[int]
    pitch: list[int]
    window: dict[str, Any] | None = None

    @property
    def size(self) -> int:
        return SIZES[self.kind]

    @property
    def vectors(self) -> int:
        if self.window:
            return self.window["out"][0] * self.window["out"][1]
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def length(self) -> int:
        taps = self.window["kernel"][0] * self.window["kernel"][1] if self.window else 1
        return taps * self.shape[3]

    def address(self, *index: int) -> int:
        return self.base + self.size * sum(i * p for i, p in zip(index, self.pitch, strict=True))

    def mistaken(self, faults: frozenset[str]) -> "Stream":
        """Return the stream as an address generator with some faults takes it."""
        found = self
        if "negative pitch taken as positive" in faults:
            found = replace(found, pitch=[abs(p) for p in found.pitch])
        if w := found.window:
            right, changed = int("window one column to the right" in faults), dict(w)
            changed["pad"] = [0, 0] if "padding ignored" in faults else [w["pad"][0], w["pad"][1] - right]
            if "dilation ignored" in faults:
                changed["dilation"] = [1, 1]
            if "strides swapped" in faults:
                changed["stride"] = w["stride"][::-1]
            found = replace(found, window=changed)
        return found

    def places(self, faults: frozenset[str]) -> Iterator[list[int | None]]:
        """Yield the addresses of each vector, None for what lies outside the tensor."""
        if faults:
            self = self.mistaken(faults)
        if self.window is None:
            a, b, c, d = map(range, self.shape)
            yield from ([self.address(i, j, k, n) for n in d] for i in a for j in b for k in c)
            return
        w, (_, height, width, channels) = self.window, self.shape
        taps = [(i, j) for i in range(w["kernel"][0]) for j in range(w["kernel"][1])]
        if "taps column-major" in faults:
            taps.sort(key=lambda tap: tap[::-1])
        for y in range(w["out"][0]):
            for x in range(w["out"][1]):
                yield [
                    self.address(0, row, column, n) if 0 <= row < height and 0 <= column < width else None
                    for row, column in (self._tap(w, y, x, tap) for tap in taps)
                    for n in range(channels)
                ]

    def _tap(self, w: dict[str, Any], y: int, x: int, tap: tuple[int, int]) -> tuple[int, int]:
        row = y * w["stride"][0] - w["pad"][0] + tap[0] * w["dilation"][0]
        return row, x * w["stride"][1] - w["pad"][1] + tap[1] * w["dilation"][1]

    def bounds(self) -> tuple[int, int]:
        """Return the lowest byte touched and one past the highest, of windows those within reach of any tap."""
        axes = [range(count) for count in self.shape]
        if self.window:
            w = self.window
            axes[0] = range(min(self.shape[0], 1))
            for axis in (0, 1):
                last = (w["out"][axis] - 1) * w["stride"][axis] + (w["kernel"][axis] - 1) * w["dilation"][axis]
                first = -w["pad"][axis]
                axes[axis + 1] = range(max(first, 0), min(first + last, self.shape[axis + 1] - 1) + 1)
        if not all(axes):
            return self.base, self.base
        ends = [sorted((a[0] * p, a[-1] * p)) for a, p in zip(axes, self.pitch, strict=True)]
        return self.base + self.size * sum(e[0] for e in ends), self.base + self.size * (sum(e[1] for e in ends) + 1)


@dataclass
class Block:
    tile: int
    row: int
    col: int
    rows: int
    cols: int
    factors: list[int] = field(default_factory=list)


class Executor:
    """A machine that runs a program on one sample; `lines` is its trace, without the line of the sample."""

    def __init__(
        self, program: Program, faults: frozenset[str] = frozenset(), chip: Chip | None = None, seconds: int = 0
    ) -> None:
        self.program, self.faults, self.chip, self.seconds = program, faults, chip, seconds
        self.states: dict[tuple[int, int, int, int], tuple[int, tuple[int, int], int]] = {}
        self.conducted: dict[tuple[int, int, int, int, int], int] = {}
        target = program.facts["meta"]["target"]
        self.array, self.dac, self.adc = target["array"], target["dac"], target["adc"]
        self.lines: list[str] = []
        self.memory = bytearray(program.facts["activation_bytes"])
        self.streams: dict[int, Stream] = {}
        self.cells: dict[tuple[int, int, int], list[int]] = {}
        self.blocks: dict[int, Block] = {}
        self.gains: dict[int, tuple[int, int]] = {}
        self.common: tuple[int, int] | None = None
        self.loops: list[list[int]] = []
        self.clips: list[int] | None = None
        self.left = 0
        self.pc = self.retired = 0

    # Running.

    def run(self, inputs: dict[str, list[int]]) -> list[str]:
        """Return the trace of a sample, whose codes are in memory order by the input's name."""
        for number, (name, opcode, operands) in enumerate(self.program.code):
            if fault := wrong_operand(name, operands):
                return [f"0 {number:x} - {opcode:x} trap 0..0 0 {fault} - -"]
        for port in self.program.facts["inputs"]:
            self._store(self._port(port), inputs[port["name"]])
        going = True
        while going:
            name, opcode, operands = self.program.code[self.pc]
            self.clips = None
            moment = self._moment(opcode)
            try:
                record = getattr(self, f"do_{name}")(operands)
            except Trapped as trap:
                self.lines.append(f"{moment} trap 0..0 0 {trap.args[0]} - -")
                return self.lines
            if record:
                clips = " ".join(f"{n:x}" for n in self.clips) if self.clips and self.adc["bits"] < 33 else "- -"
                self.lines.append(f"{moment} {record} {clips}")
            going = name != "halt"
            self.pc += 1
            self.retired += 1
        return self.lines

    def _moment(self, opcode: int) -> str:
        turns = ".".join(f"{done:x}" for _, done, _ in self.loops) or "-"
        return f"{self.retired:x} {self.pc:x} {turns} {opcode:x}"

    def do_halt(self, _: dict[str, Any]) -> str:
        crc = 0
        for port in self.program.facts["outputs"]:
            stream = self._port(port)
            low, high = stream.bounds()
            crc = zlib.crc32(self.memory[low:high], crc)
        return f"end 0..0 {len(self.lines):x} {crc:08x}"

    def do_nop(self, _: dict[str, Any]) -> None:
        pass

    def do_loop(self, o: dict[str, Any]) -> None:
        if len(self.loops) == 4:
            raise Trapped("CIM0507")
        self.loops.append([self.pc, 0, o["count"]])

    def do_endloop(self, _: dict[str, Any]) -> None:
        if not self.loops:
            raise Trapped("CIM0507")
        loop = self.loops[-1]
        loop[1] += 1
        if loop[1] == loop[2] + ("one turn more" in self.faults):
            self.loops.pop()
        else:
            self.pc = loop[0]

    # Streams.

    def do_tensor(self, o: dict[str, Any]) -> None:
        old = self.streams.get(o["stream"])
        window = old.window if old and "tensor keeps the window" in self.faults else None
        self.streams[o["stream"]] = Stream(o["space"], o["type"], o["base"], o["shape"], o["pitch"], window)

    def do_window(self, o: dict[str, Any]) -> None:
        stream = self._stream(o["stream"])
        if stream.shape[0] != 1:
            raise Trapped("CIM0504")
        self.streams[o["stream"]] = replace(stream, window=o)

    def do_advance(self, o: dict[str, Any]) -> None:
        stream = self._stream(o["stream"])
        size = 1 if "advance in bytes" in self.faults else stream.size
        self.streams[o["stream"]] = replace(stream, base=stream.base + o["by"] * size)

    def _stream(self, number: int) -> Stream:
        if number not in self.streams:
            raise Trapped("CIM0502")
        return self.streams[number]

    def _port(self, port: dict[str, Any]) -> Stream:
        count = 1
        for n in port["shape"]:
            count *= n
        return Stream("act", port["type"], port["base"], [1, 1, 1, count], [count, count, count, 1])

    def _in(self, number: int) -> Stream:
        stream = self._stream(number)
        low, high = stream.bounds()
        if low < 0 or high > len(self.memory if stream.space == "act" else self.program.constants):
            raise Trapped("CIM0501")
        return stream

    def _read(self, stream: Stream) -> list[list[int]]:
        memory = self.memory if stream.space == "act" else self.program.constants
        fill = stream.window["fill"] if stream.window and "fill taken as 0" not in self.faults else 0

        order: Literal["big", "little"] = "big" if "elements big-endian" in self.faults else "little"
        signed = stream.kind[0] == "i" and "sign of elements lost" not in self.faults

        def element(at: int | None) -> int:
            return fill if at is None else int.from_bytes(memory[at : at + stream.size], order, signed=signed)

        return [[element(at) for at in vector] for vector in stream.places(self.faults)]

    def _out(self, number: int, elements: int | None) -> Stream:
        stream = self._stream(number)
        if stream.space != "act" or stream.window:
            raise Trapped("CIM0503")
        stream = self._in(number)
        if elements is not None and stream.vectors * stream.length != elements:
            raise Trapped("CIM0505")
        return stream

    def _write(self, stream: Stream, values: list[int]) -> str:
        low, high = limits(stream.kind)
        if any(not low <= value <= high for value in values) and "outputs out of range wrap" not in self.faults:
            raise Trapped("CIM0506")
        data = self._store(stream, values)
        first, end = stream.bounds()
        return f"act {first:x}..{max(end - 1, first):x} {len(values):x} {zlib.crc32(data):08x}"

    def _store(self, stream: Stream, values: list[int]) -> bytes:
        data = b"".join((value & (1 << 8 * stream.size) - 1).to_bytes(stream.size, "little") for value in values)
        places = (at for vector in stream.places(frozenset()) for at in vector)
        for number, at in enumerate(places):
            assert at is not None
            self.memory[at : at + stream.size] = data[number * stream.size :][: stream.size]
        return data

    def _table(self, address: int, kind: str, count: int) -> list[int]:
        size = SIZES[kind]
        if address + size * count > len(self.program.constants):
            raise Trapped("CIM0501")
        parts = (self.program.constants[address + size * n :][:size] for n in range(count))
        return [int.from_bytes(part, "little", signed=kind[0] == "i") for part in parts]

    def _multipliers(self, address: int, count: int) -> list[int]:
        table = self._table(address, "i32", count)
        if any(abs(m) >= 1 << 16 for m in table):
            raise Trapped("CIM0517")
        return table

    # The arrays.

    def do_gain(self, o: dict[str, Any]) -> str:
        gain = (o["multiplier"], o["divide"])
        first = last = o["tile"]
        if o["scope"] == "all":
            self.common = gain
            if "common gain leaves the gains of tiles" not in self.faults:
                self.gains = {}
            first, last = 0, (1 << 16 if self.array["tiles"] == "unbounded" else self.array["tiles"]) - 1
        else:
            self._require_tile(o["tile"])
            self.gains[o["tile"]] = gain
        data = gain[0].to_bytes(2, "little") + bytes([gain[1]])
        return f"gain {first:x}..{last:x} 1 {zlib.crc32(data):08x}"

    def do_program(self, o: dict[str, Any]) -> str:
        self._require_region(o)
        for (row, col), value in zip(self._cells_of(o), self._targets(o["data"], o), strict=True):
            for side, target in enumerate((max(value, 0), max(-value, 0))):
                if target or (o["zeros"] == "program" and "zeros left as they were" not in self.faults):
                    self._set(o["tile"], row, col, side, target)
        self.blocks[o["block"]] = Block(o["tile"], o["row"], o["col"], o["rows"], o["cols"], [ONE] * o["cols"])
        return self._devices(o)

    def do_pattern(self, o: dict[str, Any]) -> str:
        self._require_region(o)
        if max(o["plus"], o["minus"]) > self._highest():
            raise Trapped("CIM0516")
        for row, col in self._cells_of(o):
            for side, target in enumerate((o["plus"], o["minus"])):
                self._set(o["tile"], row, col, side, target)
        return self._devices(o)

    def _set(self, tile: int, row: int, col: int, side: int, target: int) -> None:
        """Programme one device: on a noisy chip it is left at another value."""
        held = self.cells.setdefault((tile, row, col), [-1, -1])
        held[side] = target
        if self.chip:
            place = (tile, row, col, side)
            writes = self.states[place][2] if place in self.states else 0
            state = self.chip.programmed((*place, 0), target, writes)
            self.states[place] = (target, state, writes + 1)
            held[side] = code_of(state[0])
            for known in [key for key in self.conducted if key[:4] == place] if writes else ():
                del self.conducted[known]

    def _conducts(self, tile: int, row: int, col: int, side: int) -> int:
        """Return what a device conducts in a product, at the present time."""
        place = (tile, row, col, side)
        if self.chip is None or place not in self.states:
            return self._device(*place)
        key = (*place, self.seconds)
        if key not in self.conducted:
            target, state, _ = self.states[place]
            self.conducted[key] = code_of(self.chip.conductance((*place, 0), target, state, self.seconds))
        return self.conducted[key]

    def _devices(self, o: dict[str, Any]) -> str:
        values = [self._device(o["tile"], row, col, side) for row, col in self._cells_of(o) for side in (0, 1)]
        data = b"".join(value.to_bytes(2, "little") for value in values)
        columns = self.array["columns"]
        first = o["row"] * columns + o["col"]
        last = (o["row"] + o["rows"] - 1) * columns + o["col"] + o["cols"] - 1
        return f"tile{o['tile']:x} {first:x}..{last:x} {o['rows'] * o['cols']:x} {zlib.crc32(data):08x}"

    def _cells_of(self, o: dict[str, Any]) -> list[tuple[int, int]]:
        columns = range(o["col"], o["col"] + o["cols"])
        return [(row, col) for row in range(o["row"], o["row"] + o["rows"]) for col in columns]

    def _device(self, tile: int, row: int, col: int, side: int) -> int:
        value = self.cells.get((tile, row, col), [-1, -1])[side]
        nothing = "unprogrammed devices conduct nothing" in self.faults
        return value if value >= 0 else 0 if nothing else self.array["unprogrammed"]

    def _highest(self) -> int:
        return int(self.array["levels"] << self.array["fraction_bits"])

    def _targets(self, address: int, o: dict[str, Any]) -> list[int]:
        count, data = o["rows"] * o["cols"], self.program.conductances
        if address + 2 * count > len(data):
            raise Trapped("CIM0501")
        values = [int.from_bytes(data[address + 2 * n :][:2], "little", signed=True) for n in range(count)]
        if any(abs(value) > self._highest() for value in values):
            raise Trapped("CIM0516")
        return values

    def _require_tile(self, tile: int) -> None:
        if self.array["tiles"] != "unbounded" and tile >= self.array["tiles"]:
            raise Trapped("CIM0510")

    def _require_region(self, o: dict[str, Any]) -> None:
        self._require_tile(o["tile"])
        if o["row"] + o["rows"] > self.array["rows"] or o["col"] + o["cols"] > self.array["columns"]:
            raise Trapped("CIM0510")

    def do_verify(self, o: dict[str, Any]) -> str:
        block = self._block(o["block"])
        region = vars(block)
        targets = self._targets(o["data"], region)
        out, wrong = self._out(o["out"], 1), 0
        allowed = o["tolerance"] - ("tolerance excluded" in self.faults)
        for (row, col), value in zip(self._cells_of(region), targets, strict=True):
            for side, target in enumerate((max(value, 0), max(-value, 0))):
                wrong += abs(self._device(block.tile, row, col, side) - target) > allowed
        return self._write(out, [wrong])

    def do_readcell(self, o: dict[str, Any]) -> str:
        self._require_region({**o, "rows": 1, "cols": 1})
        side = 0 if "readcell reads the plus device" in self.faults else ("plus", "minus").index(o["polarity"])
        return self._write(self._out(o["out"], 1), [self._device(o["tile"], o["row"], o["col"], side)])

    def do_time(self, o: dict[str, Any]) -> str:
        self.seconds = o["seconds"]
        data = o["seconds"].to_bytes(8, "little")
        return f"time {o['seconds']:x}..{o['seconds']:x} 1 {zlib.crc32(data):08x}"

    def _block(self, number: int) -> Block:
        if number not in self.blocks:
            raise Trapped("CIM0511")
        return self.blocks[number]

    def _blocks(self, first: int, count: int) -> list[Block]:
        blocks = [self._block(number) for number in range(first, first + count)]
        for block in blocks:
            self._gain(block.tile)
            if block.cols != blocks[0].cols:
                raise Trapped("CIM0505")
        return blocks

    def _gain(self, tile: int) -> tuple[int, int]:
        found = self.common if "gain of a tile ignored" in self.faults else self.gains.get(tile, self.common)
        if found is None:
            raise Trapped("CIM0512")
        return found

    def _products(self, source: Stream, blocks: list[Block]) -> list[list[list[int]]]:
        """Return the ADC's codes [vectors][blocks][cols]."""
        if source.length != sum(block.rows for block in blocks):
            raise Trapped("CIM0505")
        vectors = self._read(source)
        low, high = self._codes(self.dac)
        if "DAC codes out of range clipped" in self.faults:
            vectors = [[clamp(x, low, high) for x in vector] for vector in vectors]
        if any(not low <= x <= high for vector in vectors for x in vector):
            raise Trapped("CIM0513")
        if "DAC code unsigned" in self.faults:
            vectors = [[x & 0xFF for x in vector] for vector in vectors]
        self.clips = [0, 0]
        matrices = [self._matrix(block) for block in blocks]
        gains = [self._gain(block.tile) for block in blocks]
        phases = self._phases(source)
        return [self._converted(vector, blocks, matrices, gains, phases) for vector in vectors]

    def _phases(self, source: Stream) -> list[tuple[int, int]]:
        """Return the signs of inputs and devices of each phase that is read, 0 for both."""
        low, high = limits(source.kind)
        fill = source.window["fill"] if source.window else 0
        signs = [sign for sign, exists in ((1, max(high, fill) > 0), (-1, min(low, fill) < 0)) if exists]
        count = self.program.facts["meta"]["target"].get("read_phases", 1)
        if count == 1 or "phases joined before conversion" in self.faults:
            return [(0, 0)]
        if "negative inputs not read" in self.faults:
            signs = [1]
        if count == 4 and "minus devices not read" in self.faults:
            return [(sign, 1) for sign in signs]
        return [(sign, side) for sign in signs for side in ((0,) if count == 2 else (1, -1))]

    def _converted(
        self,
        vector: list[int],
        blocks: list[Block],
        matrices: list[list[Column]],
        gains: list[tuple[int, int]],
        phases: list[tuple[int, int]],
    ) -> list[list[int]]:
        codes, start = [], 0
        self.left = 0
        for block, columns, gain in zip(blocks, matrices, gains, strict=True):
            x = vector[start : start + block.rows]
            codes.append([sum(self._phase(x, column, gain, *phase) for phase in phases) for column in columns])
            start += block.rows
        return codes

    def _phase(self, x: list[int], column: Column, gain: tuple[int, int], sign: int, side: int) -> int:
        """Return what one phase adds to the code of a product."""
        x = x if sign == 0 else [max(sign * value, 0) for value in x]
        devices = column[0] if side == 1 else column[1] if side == -1 else [p - m for p, m in zip(*column, strict=True)]
        weight = 1 if "codes of phases added" in self.faults else (sign or 1) * (side or 1)
        return weight * self._convert(self._sum(x, devices), gain)

    def _matrix(self, block: Block) -> list[Column]:
        """Return plus and minus devices, column by column."""
        sides = (1, 0) if "plus and minus swapped" in self.faults else (0, 1)
        row, col = (int(f"{axis} address off by one" in self.faults) for axis in ("row", "column"))
        ignored = 1 if "minus array ignored" in self.faults else None

        def devices(c: int, side: int) -> list[int]:
            rows = range(block.row + row, block.row + block.rows + row)
            return [0 if side == ignored else self._conducts(block.tile, r, c + col, side) for r in rows]

        columns = range(block.col, block.col + block.cols)
        return [(devices(c, sides[0]), devices(c, sides[1])) for c in columns]

    def _sum(self, x: list[int], column: list[int]) -> int:
        faults = self.faults
        if "first row of a block dropped" in faults:
            x, column = x[1:], column[1:]
        if "stale DAC register where the code is 0" in faults:
            x = [value or x[n - 1] for n, value in enumerate(x)]
        total = sum(a * b for a, b in zip(x, column, strict=True))
        if "accumulator keeps the column before" in faults:
            total = self.left = total + self.left
        for bits in (16, 18):
            if f"accumulator of {bits} bits" in faults:
                total = (total + (1 << bits - 1) & (1 << bits) - 1) - (1 << bits - 1)
        if abs(total) >= SUMS:
            raise Trapped("CIM0514")
        return total

    def _codes(self, converter: dict[str, Any]) -> tuple[int, int]:
        if converter.get("codes") == "unsigned":
            return 0, (1 << converter["bits"]) - 1
        high = (1 << converter["bits"] - 1) - 1
        return -high - (converter.get("codes") == "full"), high

    def _convert(self, total: int, gain: tuple[int, int]) -> int:
        m, k = gain
        k -= "shift one less" in self.faults
        low, high = self._codes(self.adc)
        if "ADC floor" in self.faults or self.adc["rounding"] == "floor":
            code = total * m >> k
        else:
            code = (half_up if "ADC half up" in self.faults else half_even)(total * m, 1 << k)
        low -= "ADC keeps the lowest code" in self.faults
        if "ADC wraps" in self.faults:
            return (code - low) % (high - low + 1) + low
        if "ADC saturation lost" in self.faults:
            return code
        ends = int("clips counted at the ends" in self.faults)
        lost = (code < low + ends, code > high - ends)
        self.clips = [n + one for n, one in zip(self.clips or [0, 0], lost, strict=True)]
        return clamp(code, low, high)

    def do_calibrate(self, o: dict[str, Any]) -> str:
        source, blocks = self._in(o["in"]), self._blocks(o["block"], o["blocks"])
        cols, by_column = blocks[0].cols, o["per"] == "column" and "one drift factor for a block" not in self.faults
        wanted = self._table(o["reference"], "i64", len(blocks) * (cols if by_column else 1))
        codes = self._products(source, blocks)
        for t, block in enumerate(blocks):
            size = int if "calibration sums codes with their signs" in self.faults else abs
            sums = [sum(size(vector[t][j]) for vector in codes) for j in range(cols)]
            if by_column:
                block.factors = [self._factor(wanted[t * cols + j], sums[j]) for j in range(cols)]
            else:
                block.factors = [self._factor(wanted[t], sum(sums))] * cols
        data = b"".join(f.to_bytes(2, "little") for block in blocks for f in block.factors)
        last = o["block"] + o["blocks"] - 1
        return f"factor {o['block']:x}..{last:x} {len(blocks) * cols:x} {zlib.crc32(data):08x}"

    def _factor(self, wanted: int, found: int) -> int:
        return clamp(half_even(wanted * ONE, found), 1, 65535) if found else ONE

    def do_mvm(self, o: dict[str, Any]) -> str:
        source, out, blocks = self._in(o["in"]), self._out(o["out"], None), self._blocks(o["block"], o["blocks"])
        cols = blocks[0].cols
        scale = self._multipliers(o["scale"], len(blocks) * cols)
        bias = self._table(o["bias"], "i64", cols)
        if "bias lost" in self.faults:
            bias = [0] * cols
        if out.vectors * out.length != source.vectors * cols:
            raise Trapped("CIM0505")
        m = [[self._scaled(scale[t * cols + j], b.factors[j]) for j in range(cols)] for t, b in enumerate(blocks)]
        totals = [
            bias[j] + sum(codes[t][j] * m[t][j] for t in range(len(blocks)))
            for codes in self._products(source, blocks)
            for j in range(cols)
        ]
        return self._write(out, [self._requantised(total, o) for total in totals])

    def _scaled(self, multiplier: int, factor: int) -> int:
        if "drift factors rounded down" in self.faults:
            return multiplier * factor // ONE
        return multiplier if "drift factors ignored" in self.faults else half_even(multiplier * factor, ONE)

    def do_capture(self, o: dict[str, Any]) -> str:
        source, out, blocks = self._in(o["in"]), self._out(o["out"], None), self._blocks(o["block"], 1)
        if out.vectors * out.length != source.vectors * blocks[0].cols:
            raise Trapped("CIM0505")
        return self._write(out, [code for codes in self._products(source, blocks) for code in codes[0]])

    def do_selftest(self, o: dict[str, Any]) -> str:
        self._require_region({"tile": o["tile"], "row": 0, "col": o["col"], "rows": 1, "cols": 1})
        out, gain = self._out(o["out"], 1), self._gain(o["tile"])
        if abs(o["value"]) >= SUMS:
            raise Trapped("CIM0514")
        self.clips = [0, 0]
        return self._write(out, [self._convert(o["value"], gain)])

    # The digital unit.

    def _requantised(self, total: int, o: dict[str, Any]) -> int:
        if "epilogue of 32 bits" in self.faults:
            total = (total + (1 << 31) & (1 << 32) - 1) - (1 << 31)
        if abs(total) >= ACCUMULATORS:
            raise Trapped("CIM0515")
        unit = 1 << o["shift"]
        if "requantise floor" in self.faults:
            value = total // unit
        else:
            value = (half_up if "requantise half up" in self.faults else half_even)(total, unit)
        low = value if "epilogue low clamp lost" in self.faults else o["low"]
        high = max(value, low) if "epilogue high clamp lost" in self.faults else o["high"]
        return clamp(value, low, high)

    def _windows(self, number: int) -> Stream:
        stream = self._in(number)
        if stream.window is None:
            raise Trapped("CIM0504")
        return stream

    def do_depthwise(self, o: dict[str, Any]) -> str:
        source, out = self._windows(o["in"]), self._out(o["out"], None)
        channels, n = source.shape[3], o["multiplier"]
        weights = self._taps(o, source.length * n)
        scale, bias = self._multipliers(o["scale"], channels * n), self._table(o["bias"], "i64", channels * n)
        self._require_count(out, source.vectors * channels * n)
        found = []
        for x in self._read(source):
            for c in range(channels):
                for k in range(n):
                    total = sum(x[tap] * weights[tap * n + k] for tap in range(c, len(x), channels))
                    found.append(self._requantised(total * scale[c * n + k] + bias[c * n + k], o))
        return self._write(out, found)

    def _taps(self, o: dict[str, Any], count: int) -> list[int]:
        if o["taps"] == "i8":
            return self._table(o["weights"], "i8", count)
        packed = self._table(o["weights"], "u8", count // 2 + count % 2)
        order = (16, 1) if "high half of a byte first" in self.faults else (1, 16)
        halves = [pair // place % 16 for pair in packed for place in order]
        return [half - 16 if half > 7 and "sign of half bytes lost" not in self.faults else half for half in halves]

    def _require_count(self, out: Stream, wanted: int) -> None:
        if out.vectors * out.length != wanted:
            raise Trapped("CIM0505")

    def do_poolmax(self, o: dict[str, Any]) -> str:
        source, out = self._windows(o["in"]), self._out(o["out"], None)
        channels = source.shape[3]
        self._require_count(out, source.vectors * channels)
        missed = channels if "pool misses the last tap" in self.faults else 0
        first = [0] if "pool begins at 0" in self.faults else []
        taps = [[*first, *x[c : len(x) - missed : channels]] for x in self._read(source) for c in range(channels)]
        return self._write(out, [clamp(max(one), o["low"], o["high"]) for one in taps])

    def do_poolsum(self, o: dict[str, Any]) -> str:
        source, out = self._windows(o["in"]), self._out(o["out"], None)
        channels, each = source.shape[3], o["per"] == "position"
        count = source.vectors if each else 1
        scale, bias = self._multipliers(o["scale"], count), self._table(o["bias"], "i64", count)
        self._require_count(out, source.vectors * channels)
        found = []
        for position, x in enumerate(self._read(source)):
            p = position if each and "one position for a pool" not in self.faults else 0
            found += [self._requantised(sum(x[c::channels]) * scale[p] + bias[p], o) for c in range(channels)]
        return self._write(out, found)

    def _flat(self, stream: Stream) -> list[int]:
        return [x for vector in self._read(stream) for x in vector]

    def do_affine(self, o: dict[str, Any]) -> str:
        source, out, period = self._in(o["in"]), self._out(o["out"], None), o["period"]
        scale, bias = self._multipliers(o["scale"], period), self._table(o["bias"], "i64", period)
        self._require_count(out, source.vectors * source.length)
        pairs = enumerate(self._flat(source))
        period = 1 if "period ignored" in self.faults else period
        return self._write(out, [self._requantised(x * scale[n % period] + bias[n % period], o) for n, x in pairs])

    def _two(self, o: dict[str, Any], result: Callable[[int, int], int]) -> str:
        a, b, out = self._in(o["a"]), self._in(o["b"]), self._out(o["out"], None)
        self._require_count(b, a.vectors * a.length)
        self._require_count(out, a.vectors * a.length)
        return self._write(out, [result(x, y) for x, y in zip(self._flat(a), self._flat(b), strict=True)])

    def do_add(self, o: dict[str, Any]) -> str:
        ma, mb = ("mb", "ma") if "operands of add swapped" in self.faults else ("ma", "mb")
        return self._two(o, lambda x, y: self._requantised(x * o[ma] + y * o[mb] + o["bias"], o))

    def do_mul(self, o: dict[str, Any]) -> str:
        zb = 0 if "zero point of b lost" in self.faults else o["zb"]
        return self._two(o, lambda x, y: self._requantised((x - o["za"]) * (y - zb) * o["m"] + o["bias"], o))

    def do_div(self, o: dict[str, Any]) -> str:
        def quotient(x: int, y: int) -> int:
            n, d = (x - o["za"]) * o["m"], y - o["zb"]
            if abs(n) >= ACCUMULATORS:
                raise Trapped("CIM0515")
            if d == 0 and "0 where the divisor is 0" in self.faults:
                return clamp(0, o["low"], o["high"])
            if d == 0:
                return clamp(o["zero"], o["low"], o["high"]) if n == 0 else o["high"] if n > 0 else o["low"]
            n, d = (n, d) if d > 0 else (-n, -d)
            rounding = truncated if "quotient truncated" in self.faults else half_even
            return clamp(rounding(n, d << o["shift"]) + o["zero"], o["low"], o["high"])

        return self._two(o, quotient)

    def do_lut(self, o: dict[str, Any]) -> str:
        source, out = self._in(o["in"]), self._out(o["out"], None)
        table = self._table(o["table"], o["type"], o["entries"])
        self._require_count(out, source.vectors * source.length)
        return self._write(out, [table[x] for x in self._entries(source, o["first"], len(table))])

    def _entries(self, source: Stream, first: int, count: int) -> list[int]:
        """Return which entry of a table each code of a stream names."""
        first = 0 if "table begins at 0" in self.faults else first
        codes = [x - first for x in self._flat(source)]
        if "codes outside of a table clipped" in self.faults:
            codes = [clamp(x, 0, count - 1) for x in codes]
        if any(not 0 <= x < count for x in codes):
            raise Trapped("CIM0518")
        return codes

    def do_softmax(self, o: dict[str, Any]) -> str:
        source, out = self._in(o["in"]), self._out(o["out"], None)
        table = self._table(o["table"], "i32", o["entries"])
        if table[0] <= 0 or min(table) < 0:
            raise Trapped("CIM0517")
        self._require_count(out, source.vectors * source.length)
        rounding = (lambda n, d: n // d) if "softmax quotient truncated" in self.faults else half_even
        found = []
        for x in self._read(source):
            e = [table[min(max(x) - value, len(table) - 1)] for value in x]
            found += [clamp(rounding(v * o["numerator"], sum(e)) + o["zero"], o["low"], o["high"]) for v in e]
        return self._write(out, found)

    def do_move(self, o: dict[str, Any]) -> str:
        source, out = self._in(o["in"]), self._out(o["out"], None)
        self._require_count(out, source.vectors * source.length)
        if "writes before all reads" in self.faults:
            self._move_singly(source, out)
        return self._write(out, self._flat(source))

    def _move_singly(self, source: Stream, out: Stream) -> None:
        """Write each element of what fits as it is read, so that it may be read again."""
        for number, at in enumerate(at for vector in out.places(self.faults) for at in vector):
            value = self._flat(source)[number] & (1 << 8 * out.size) - 1
            self.memory[at : at + out.size] = value.to_bytes(out.size, "little")

    def do_fill(self, o: dict[str, Any]) -> str:
        out = self._out(o["out"], None)
        return self._write(out, [o["value"]] * (out.vectors * out.length))

    def do_matmul(self, o: dict[str, Any]) -> str:
        a, b, out = self._in(o["a"]), self._in(o["b"]), self._out(o["out"], None)
        if a.window or b.window:
            raise Trapped("CIM0504")
        if [a.shape[n] for n in (0, 1, 3)] != [b.shape[n] for n in (0, 1, 3)] or out.shape != [
            *a.shape[:3],
            b.shape[2],
        ]:
            raise Trapped("CIM0505")
        left, right, found = self._read(a), self._read(b), []
        for row, x in enumerate(left):
            first = row // a.shape[2] * b.shape[2]
            for y in right[first : first + b.shape[2]]:
                total = sum((p - o["za"]) * (q - o["zb"]) for p, q in zip(x, y, strict=True))
                found.append(self._requantised(total * o["m"] + o["bias"], o))
        return self._write(out, found)

    def do_norm(self, o: dict[str, Any]) -> str:
        source, out = self._in(o["in"]), self._out(o["out"], None)
        n, f, e = source.length, o["fraction"], self._table(o["epsilon"], "i64", 1)[0]
        if e < 0:
            raise Trapped("CIM0517")
        scale, bias = self._multipliers(o["scale"], n), self._table(o["bias"], "i64", n)
        self._require_count(out, source.vectors * n)
        found = []
        for x in self._read(source):
            u = [value - o["zero"] for value in x]
            s = sum(u) if o["centre"] == "mean" and "mean not removed" not in self.faults else 0
            w = max((n * sum(v * v for v in u) - s * s) * 4**f + e, 1)
            if w >= 1 << ROOTS:
                raise Trapped("CIM0515")
            t = 0
            while w * 4 ** (t + 1) < 1 << ROOTS:
                t += 1
            root = isqrt(w) << t if "root of few bits" in self.faults else isqrt(w * 4**t)
            for k, v in enumerate(u):
                h = half_even((n * v - s) << 16 + f + t, root)
                found.append(self._requantised(h * scale[k] + bias[k], o))
        return self._write(out, found)

    def do_embed(self, o: dict[str, Any]) -> str:
        source, out = self._in(o["in"]), self._out(o["out"], None)
        table = self._table(o["table"], o["type"], o["rows"] * out.length)
        if out.vectors != source.vectors * source.length:
            raise Trapped("CIM0505")
        codes = self._entries(source, o["first"], o["rows"])
        return self._write(out, [v for x in codes for v in table[x * out.length : (x + 1) * out.length]])

    def do_select(self, o: dict[str, Any]) -> str:
        c, a, b, out = self._in(o["c"]), self._in(o["a"]), self._in(o["b"]), self._out(o["out"], None)
        for stream in (a, b, out):
            self._require_count(stream, c.vectors * c.length)
        choices = zip(self._flat(c), self._flat(a), self._flat(b), strict=True)
        turned = "select the other way round" in self.faults
        return self._write(out, [x if (chosen != o["zero"]) != turned else y for chosen, x, y in choices])

    def do_pick(self, o: dict[str, Any]) -> str:
        source, out, group = self._in(o["in"]), self._out(o["out"], None), o["group"]
        table = self._table(o["table"], "i32", o["entries"])
        if any(not 0 <= number < group for number in table):
            raise Trapped("CIM0518")
        if source.vectors % group:
            raise Trapped("CIM0505")
        self._require_count(out, source.vectors // group * len(table) * source.length)
        vectors = self._read(source)
        picked = [vectors[first + number] for first in range(0, len(vectors), group) for number in table]
        return self._write(out, [x for vector in picked for x in vector])

    def do_argmax(self, o: dict[str, Any]) -> str:
        source, out = self._in(o["in"]), self._out(o["out"], None)
        self._require_count(out, source.vectors)
        found = []
        for x in self._read(source):
            wanted = max(x) if o["which"] == "largest" or "argmax takes the largest" in self.faults else min(x)
            is_first = o["tie"] == "first" or "argmax takes the first of equals" in self.faults
            found.append(x.index(wanted) if is_first else len(x) - 1 - x[::-1].index(wanted))
        return self._write(out, found)
