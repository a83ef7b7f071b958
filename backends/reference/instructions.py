"""The reference interpreter: what each instruction does, in plain integers, one sample at a time."""

from collections.abc import Iterable, Mapping, Sequence
from math import isqrt
from typing import Any

from cimc.backends.machine import checks
from cimc.backends.machine.facts import gain, machine
from cimc.backends.machine.observer import Observer, elements
from cimc.backends.machine.ports import require_in_memory, require_names, require_port
from cimc.backends.machine.rounding import clamp, half_even
from cimc.backends.machine.traps import Trap
from cimc.backends.noise.sources import Noise
from cimc.backends.reference.crossbar import BlockRead, Crossbar, ProgrammedBlock, drift_factor
from cimc.backends.reference.memory import Memory
from cimc.backends.reference.observing import show
from cimc.isa.limits import ACCUMULATOR_LIMIT, NORM_BITS, ROOT_BITS
from cimc.isa.program import Instruction, Program
from cimc.isa.region import region
from cimc.isa.streams import StreamState, advanced, define, with_window
from cimc.isa.table import FACTOR_ONE


def run(
    program: Program,
    inputs: Mapping[str, Sequence[Any]],
    observer: Observer | None = None,
    noise: Noise | None = None,
) -> dict[str, list[int]]:
    """Run one sample and return each output's codes in memory order.

    `inputs` holds each input's codes in memory order, nested or flat. `noise` disturbs devices and converters; the
    sample's number is its sample offset. Raises Trap on a fault of the program.
    """
    return Reference(program, observer, noise).run(inputs)


class Reference:
    """A machine running one program on one sample; each method below `run` is the instruction of its name."""

    def __init__(self, program: Program, observer: Observer | None = None, noise: Noise | None = None) -> None:
        self.code = program
        self.observer = observer
        self.crossbar = Crossbar(machine(program.meta), noise)
        checks.operands(program)
        checks.few_enough(program)
        self.memory = Memory(program)
        self.streams: dict[int, StreamState] = {}
        self.loops: list[tuple[int, int]] = []
        self.index = 0
        self.next: int | None = 0

    def run(self, inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[int]]:
        self.perform(inputs)
        return {port.name: self.memory.result(port) for port in self.code.outputs}

    def perform(self, inputs: Mapping[str, Sequence[Any]]) -> None:
        """Carry out the whole program for a sample's input codes. Raises Trap on a fault."""
        self.begin(inputs)
        while self.next is not None:
            self.step()

    def begin(self, inputs: Mapping[str, Sequence[Any]]) -> None:
        """Take a sample's input codes; the first instruction comes next."""
        require_in_memory(self.code)
        require_names(self.code, inputs)
        for port in self.code.inputs:
            codes = flat(inputs[port.name])
            require_port(port, codes)
            self.memory.load(port, codes)
        if self.observer:
            self.observer.begin(range(self.crossbar.sample, self.crossbar.sample + 1))

    def step(self) -> None:
        """Carry out the instruction that comes next. Raises Trap where it meets a fault, and stays before it."""
        assert self.next is not None
        self.index = self.next
        try:
            if self.index >= len(self.code.instructions):
                raise Trap("CIM0508", "the program has no `halt` where it ends")
            self.next = self.index + 1
            current = self.code.instructions[self.index]
            getattr(self, current.name)(current)
        except Trap as trap:
            self.next = self.index
            raise trap.at(self.index, self.code.locations) from None

    # The instructions, in table order.

    def halt(self, _: Instruction) -> None:
        self.next = None

    def nop(self, _: Instruction) -> None:
        pass

    def loop(self, i: Instruction) -> None:
        checks.loop(len(self.loops))
        self.loops.append((self.index + 1, i["count"]))

    def endloop(self, _: Instruction) -> None:
        checks.endloop(len(self.loops))
        start, left = self.loops.pop()
        if left > 1:
            self.loops.append((start, left - 1))
            self.next = start

    def tensor(self, i: Instruction) -> None:
        self.streams[i["stream"]] = define(i)

    def window(self, i: Instruction) -> None:
        state = checks.defined(self.streams, i["stream"])
        checks.windowable(state)
        self.streams[i["stream"]] = with_window(state, i)

    def advance(self, i: Instruction) -> None:
        self.streams[i["stream"]] = advanced(checks.defined(self.streams, i["stream"]), i)

    def gain(self, i: Instruction) -> None:
        self.crossbar.load_gain(i["tile"], gain(i), i.choice("scope") == "all")

    def program(self, i: Instruction) -> None:
        cells = region(i)
        self.crossbar.machine.require_region(cells)
        values = iter(self._targets(i["data"], cells.rows * cells.cols))
        skipping = i.choice("zeros") == "skip"
        for row in range(cells.row, cells.row + cells.rows):
            for col in range(cells.col, cells.col + cells.cols):
                value = next(values)
                targets = {"plus": max(value, 0), "minus": max(-value, 0)}
                if skipping:
                    targets = {polarity: target for polarity, target in targets.items() if target}
                self.crossbar.write(cells.tile, row, col, targets)
        self.crossbar.define(i["block"], cells)

    def pattern(self, i: Instruction) -> None:
        cells = region(i)
        self.crossbar.machine.require_region(cells)
        checks.targets((i["plus"], i["minus"]), self.crossbar.machine.full_conductance)
        for row in range(cells.row, cells.row + cells.rows):
            for col in range(cells.col, cells.col + cells.cols):
                self.crossbar.write(cells.tile, row, col, {"plus": i["plus"], "minus": i["minus"]})

    def verify(self, i: Instruction) -> None:
        cells = self.crossbar.block(i["block"]).cells
        values = iter(self._targets(i["data"], cells.rows * cells.cols))
        out = self._out(i["out"], 1)
        wrong = 0
        for row in range(cells.row, cells.row + cells.rows):
            for col in range(cells.col, cells.col + cells.cols):
                value = next(values)
                for polarity, target in (("plus", max(value, 0)), ("minus", max(-value, 0))):
                    wrong += abs(self.crossbar.programmed((cells.tile, row, col, polarity)) - target) > i["tolerance"]
        self._write(out, [wrong])

    def readcell(self, i: Instruction) -> None:
        self.crossbar.machine.require_cell(i["tile"], i["row"], i["col"])
        out = self._out(i["out"], 1)
        self._write(out, [self.crossbar.programmed((i["tile"], i["row"], i["col"], i.choice("polarity")))])

    def time(self, i: Instruction) -> None:
        self.crossbar.seconds = i["seconds"]

    def calibrate(self, i: Instruction) -> None:
        source, blocks = self._in(i["in"]), self._blocks(i["block"], i["blocks"])
        cols, per_column = blocks[0].cells.cols, i.choice("per") == "column"
        references = self.memory.constant(i["reference"], "i64", len(blocks) * (cols if per_column else 1))
        reads = self._read(source, blocks, calibrating=True)
        for t, (block, read) in enumerate(zip(blocks, reads, strict=True)):
            columns = zip(*read.codes, strict=True) if read.codes else [()] * cols
            sums = [sum(map(abs, column)) for column in columns]
            if per_column:
                block.factors = [drift_factor(references[t * cols + j], sums[j]) for j in range(cols)]
            else:
                block.factors = [drift_factor(references[t], sum(sums))] * cols
        self._show(i["block"], reads, factors=[block.factors for block in blocks])

    def mvm(self, i: Instruction) -> None:
        source, out, blocks = self._in(i["in"]), self._out(i["out"]), self._blocks(i["block"], i["blocks"])
        cols = blocks[0].cells.cols
        scales, biases = self._multipliers(i["scale"], len(blocks) * cols), self._biases(i["bias"], cols)
        checks.count("the output", out.elements, source.vectors * cols)
        reads, accumulators = self._read(source, blocks), []
        for codes in zip(*(read.codes for read in reads), strict=True):
            for j in range(cols):
                total = biases[j]
                for t, block in enumerate(blocks):
                    total += codes[t][j] * half_even(scales[t * cols + j] * block.factors[j], FACTOR_ONE)
                accumulators.append(total)
        results = [_requantise(total, i) for total in accumulators]
        self._show(i["block"], reads, accumulators)
        self._write(out, results)

    def capture(self, i: Instruction) -> None:
        source, out, blocks = self._in(i["in"]), self._out(i["out"]), self._blocks(i["block"], 1)
        checks.count("the output", out.elements, source.vectors * blocks[0].cells.cols)
        reads = self._read(source, blocks)
        self._show(i["block"], reads)
        self._write(out, flat(reads[0].codes))

    def selftest(self, i: Instruction) -> None:
        self.crossbar.machine.require_cell(i["tile"], 0, i["col"])
        out = self._out(i["out"], 1)
        self._write(out, [self.crossbar.selftest(i["tile"], i["col"], i["value"])])

    def depthwise(self, i: Instruction) -> None:
        source, out = self._window(i["in"]), self._out(i["out"])
        channels, multiplier = source.shape[3], i["multiplier"]
        weights = self._taps(i, source.length * multiplier)
        scales, biases = (
            self._multipliers(i["scale"], channels * multiplier),
            self._biases(i["bias"], channels * multiplier),
        )
        checks.count("the output", out.elements, source.vectors * channels * multiplier)
        results = []
        for _, x in self._vectors(source):
            for o in range(channels * multiplier):
                c, n = divmod(o, multiplier)
                total = sum(x[k] * weights[k * multiplier + n] for k in range(c, len(x), channels))
                results.append(_requantise(total * scales[o] + biases[o], i))
        self._write(out, results)

    def poolmax(self, i: Instruction) -> None:
        source, out = self._window(i["in"]), self._out(i["out"])
        channels = source.shape[3]
        checks.count("the output", out.elements, source.vectors * channels)
        self._write(
            out,
            [
                clamp(max(x[c::channels]), i["low"], i["high"])
                for _, x in self._vectors(source)
                for c in range(channels)
            ],
        )

    def poolsum(self, i: Instruction) -> None:
        source, out = self._window(i["in"]), self._out(i["out"])
        channels, per_position = source.shape[3], i.choice("per") == "position"
        entries = source.vectors if per_position else 1
        scales, biases = self._multipliers(i["scale"], entries), self._biases(i["bias"], entries)
        checks.count("the output", out.elements, source.vectors * channels)
        results = []
        for position, x in self._vectors(source):
            p = position if per_position else 0
            results += [_requantise(sum(x[c::channels]) * scales[p] + biases[p], i) for c in range(channels)]
        self._write(out, results)

    def affine(self, i: Instruction) -> None:
        source, out, period = self._in(i["in"]), self._out(i["out"]), i["period"]
        scales, biases = self._multipliers(i["scale"], period), self._biases(i["bias"], period)
        checks.count("the output", out.elements, source.elements)
        elements = self._elements(source)
        self._write(out, [_requantise(x * scales[n % period] + biases[n % period], i) for n, x in elements])

    def add(self, i: Instruction) -> None:
        a, b, out = self._in(i["a"]), self._in(i["b"]), self._out(i["out"])
        pairs = self._pairs(a, b, out)
        self._write(out, [_requantise(x * i["ma"] + y * i["mb"] + i["bias"], i) for x, y in pairs])

    def mul(self, i: Instruction) -> None:
        a, b, out = self._in(i["a"]), self._in(i["b"]), self._out(i["out"])
        pairs = self._pairs(a, b, out)
        self._write(out, [_requantise((x - i["za"]) * (y - i["zb"]) * i["m"] + i["bias"], i) for x, y in pairs])

    def lut(self, i: Instruction) -> None:
        source, out = self._in(i["in"]), self._out(i["out"])
        table = self.memory.constant(i["table"], i.choice("type"), i["entries"])
        checks.count("the output", out.elements, source.elements)
        codes = [x for _, x in self._elements(source)]
        for x in codes:
            checks.entry(x, i["first"], len(table))
        self._write(out, [table[x - i["first"]] for x in codes])

    def softmax(self, i: Instruction) -> None:
        source, out = self._in(i["in"]), self._out(i["out"])
        table = self.memory.constant(i["table"], "i32", i["entries"])
        checks.exponentials(table)
        checks.count("the output", out.elements, source.elements)
        results = []
        for _, x in self._vectors(source):
            e = [table[min(max(x) - value, i["entries"] - 1)] for value in x]
            results += [
                clamp(half_even(value * i["numerator"], sum(e)) + i["zero"], i["low"], i["high"]) for value in e
            ]
        self._write(out, results)

    def move(self, i: Instruction) -> None:
        source, out = self._in(i["in"]), self._out(i["out"])
        checks.count("the output", out.elements, source.elements)
        self._write(out, [x for _, x in self._elements(source)])

    def fill(self, i: Instruction) -> None:
        out = self._out(i["out"])
        self._write(out, [i["value"]] * out.elements)

    def matmul(self, i: Instruction) -> None:
        a, b, out = self._in(i["a"]), self._in(i["b"]), self._out(i["out"])
        checks.products(a, b, out)
        left, right, results = self.memory.read(a), self.memory.read(b), []
        for row, x in enumerate(left):
            first = row // a.shape[2] * b.shape[2]
            for y in right[first : first + b.shape[2]]:
                total = sum((p - i["za"]) * (q - i["zb"]) for p, q in zip(x, y, strict=True))
                results.append(_requantise(total * i["m"] + i["bias"], i))
        self._write(out, results)

    def norm(self, i: Instruction) -> None:
        source, out = self._in(i["in"]), self._out(i["out"])
        n = source.length
        epsilon = self.memory.constant(i["epsilon"], "i64", 1)[0]
        checks.epsilon(epsilon)
        scales, biases = self._multipliers(i["scale"], n), self._biases(i["bias"], n)
        checks.count("the output", out.elements, source.elements)
        results = []
        for x in self.memory.read(source):
            u = [value - i["zero"] for value in x]
            s = sum(u) if i.choice("centre") == "mean" else 0
            w = max(((n * sum(value * value for value in u) - s * s) << 2 * i["fraction"]) + epsilon, 1)
            checks.variance(w)
            t = (ROOT_BITS - w.bit_length()) // 2
            root = isqrt(w << 2 * t)
            for k, value in enumerate(u):
                h = half_even((n * value - s) << (NORM_BITS + i["fraction"] + t), root)
                results.append(_requantise(h * scales[k] + biases[k], i))
        self._write(out, results)

    def embed(self, i: Instruction) -> None:
        source, out = self._in(i["in"]), self._out(i["out"])
        length = out.length
        table = self.memory.constant(i["table"], i.choice("type"), i["rows"] * length)
        checks.count("the output", out.vectors, source.elements)
        codes = flat(self.memory.read(source))
        for x in codes:
            checks.entry(x, i["first"], i["rows"])
        self._write(out, [value for x in codes for value in table[(x - i["first"]) * length :][:length]])

    def select(self, i: Instruction) -> None:
        c, a, b, out = self._in(i["c"]), self._in(i["a"]), self._in(i["b"]), self._out(i["out"])
        checks.count("the first choice", a.elements, c.elements)
        checks.count("the second choice", b.elements, c.elements)
        checks.count("the output", out.elements, c.elements)
        choices = zip(*(flat(self.memory.read(stream)) for stream in (c, a, b)), strict=True)
        self._write(out, [x if yes != i["zero"] else y for yes, x, y in choices])

    def pick(self, i: Instruction) -> None:
        source, out, group = self._in(i["in"]), self._out(i["out"]), i["group"]
        table = self.memory.constant(i["table"], "i32", i["entries"])
        checks.picks(table, group)
        checks.count("the last group", source.vectors % group, 0)
        checks.count("the output", out.elements, source.vectors // group * len(table) * source.length)
        vectors = self.memory.read(source)
        picked = [vectors[first + number] for first in range(0, len(vectors), group) for number in table]
        self._write(out, flat(picked))

    def argmax(self, i: Instruction) -> None:
        source, out = self._in(i["in"]), self._out(i["out"])
        checks.count("the output", out.elements, source.vectors)
        results = []
        for _, x in self._vectors(source):
            wanted = max(x) if i.choice("which") == "largest" else min(x)
            places = [place for place, value in enumerate(x) if value == wanted]
            results.append(places[0] if i.choice("tie") == "first" else places[-1])
        self._write(out, results)

    def div(self, i: Instruction) -> None:
        a, b, out = self._in(i["a"]), self._in(i["b"]), self._out(i["out"])
        self._write(out, [_quotient((x - i["za"]) * i["m"], y - i["zb"], i) for x, y in self._pairs(a, b, out)])

    # Operands, each with its checks.

    def _in(self, number: int) -> StreamState:
        state = checks.defined(self.streams, number)
        checks.readable(state, self.memory.sizes)
        return state

    def _window(self, number: int) -> StreamState:
        state = self._in(number)
        checks.windowed(state)
        return state

    def _out(self, number: int, elements: int | None = None) -> StreamState:
        state = checks.defined(self.streams, number)
        checks.writable(state, self.memory.sizes)
        if elements is not None:
            checks.count("the output", state.elements, elements)
        return state

    def _blocks(self, first: int, count: int) -> list[ProgrammedBlock]:
        blocks = [self.crossbar.block(number) for number in range(first, first + count)]
        for block in blocks:
            self.crossbar.gain(block.cells.tile)
            checks.count("a block's row of columns", block.cells.cols, blocks[0].cells.cols)
        return blocks

    def _targets(self, address: int, count: int) -> list[int]:
        return self.memory.targets(address, count, self.crossbar.machine.full_conductance)

    def _taps(self, i: Instruction, count: int) -> list[int]:
        """Return so many weights of a `depthwise`: of those of four bits the low half of a byte comes first."""
        if i.choice("taps") == "i8":
            return self.memory.constant(i["weights"], "i8", count)
        pairs = self.memory.constant(i["weights"], "u8", -(-count // 2))
        halves = [half for pair in pairs for half in (pair & 15, pair >> 4)]
        return [half - 16 if half >= 8 else half for half in halves[:count]]

    def _multipliers(self, address: int, count: int) -> list[int]:
        values = self.memory.constant(address, "i32", count)
        checks.multipliers(values)
        return values

    def _biases(self, address: int, count: int) -> list[int]:
        return self.memory.constant(address, "i64", count)

    def _read(self, source: StreamState, blocks: list[ProgrammedBlock], calibrating: bool = False) -> list[BlockRead]:
        checks.count("a vector", source.length, sum(block.cells.rows for block in blocks))
        vectors = self.memory.read(source) if calibrating else [vector for _, vector in self._vectors(source)]
        return self.crossbar.read(vectors, blocks, self.crossbar.machine.phases(source), calibrating)

    def _vectors(self, source: StreamState) -> list[tuple[int, list[int]]]:
        """Return the vectors that an instruction computes with, numbered: all of them."""
        return list(enumerate(self.memory.read(source)))

    def _elements(self, source: StreamState) -> list[tuple[int, int]]:
        """Return the elements that an instruction computes with, numbered: all of them."""
        return list(enumerate(flat(self.memory.read(source))))

    def _pairs(self, a: StreamState, b: StreamState, out: StreamState) -> Iterable[tuple[int, int]]:
        checks.count("the second operand", b.elements, a.elements)
        checks.count("the output", out.elements, a.elements)
        return ((x, y) for (_, x), (_, y) in zip(self._elements(a), self._elements(b), strict=True))

    def _write(self, out: StreamState, values: list[int]) -> None:
        self.memory.write(out, values)
        if self.observer and self.observer.wants_write(self.index):
            self.observer.wrote(self.index, elements(out, values))

    def _show(
        self,
        first: int,
        reads: Sequence[BlockRead],
        accumulators: Sequence[int] | None = None,
        factors: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Tell the observer, if it wants to know, what vectors gave in blocks numbered from `first` on."""
        if self.observer:
            show(self.observer, self.index, first, reads, accumulators, factors)


def _requantise(total: int, i: Instruction) -> int:
    """Return clamp(round(total / 2^shift), low, high), the digital unit's only rounding."""
    if abs(total) >= ACCUMULATOR_LIMIT:
        raise Trap("CIM0515", f"the accumulator holds {total}", "larger right shifts or smaller offsets would help")
    return clamp(half_even(total, 1 << i["shift"]), i["low"], i["high"])


def _quotient(dividend: int, divisor: int, i: Instruction) -> int:
    """Return clamp(round(dividend / (divisor * 2^shift)) + zero, low, high); an end of the range for a divisor of 0."""
    if abs(dividend) >= ACCUMULATOR_LIMIT:
        raise Trap("CIM0515", f"the dividend is {dividend}", "a smaller multiplier would help")
    if divisor == 0:
        return clamp(i["zero"], i["low"], i["high"]) if dividend == 0 else i["high"] if dividend > 0 else i["low"]
    sign = 1 if divisor > 0 else -1
    return clamp(half_even(sign * dividend, abs(divisor) << i["shift"]) + i["zero"], i["low"], i["high"])


def flat(values: Any) -> list[Any]:
    """Return the numbers of nested sequences, in order."""
    if not isinstance(values, Sequence):
        return [values]
    return [number for value in values for number in flat(value)]
