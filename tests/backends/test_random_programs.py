"""Random small programs do the same on every executor, noise off and on: every write, every output, every trap.

Some programs hold an operand that no machine can obey.
"""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.backends.interpreter import Interpreter, executors
from cimc.backends.machine.observer import Writes
from cimc.backends.machine.ports import DTYPES
from cimc.backends.machine.traps import Refusal, Trap
from cimc.backends.noise.profiles import built_in_names, load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import NAMES
from cimc.backends.reference import instructions as reference
from cimc.backends.reference import sampled as reference_sample
from cimc.isa.program import Instruction

PROGRAMS = int(os.environ.get("PROGRAMS", "600"))
"""How many programs are drawn: `make nightly` and `make deep` ask for more."""
MEMORY = 512
LIMITS = ((-127, 127), (-128, 127), (0, 255), (-5, 60), (-(2**15), 2**15 - 1), (-(2**32), 2**32 - 1))

small = st.integers(1, 4)
types = st.sampled_from(["i8", "i8", "i8", "u8", "i16", "i32", "i64"])


class Dice:
    """Draws instructions that mostly fit one another and appends them to a sketch."""

    def __init__(self, draw, sketch):
        self.draw = draw
        self.sketch = sketch
        self.blocks = []

    def integers(self, low, high, count):
        return self.draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    def rounding(self):
        low, high = self.draw(st.sampled_from(LIMITS))
        return {"shift": self.draw(st.integers(0, 24)), "low": low, "high": high}

    def tables(self, count):
        magnitude = self.draw(st.sampled_from([3, 2**15, 2**16 - 1]))
        offset = self.draw(st.sampled_from([0, 1000, 2**30, 2**51]))
        scale, bias = self.integers(-magnitude, magnitude, count), self.integers(-offset, offset, count)
        return {"scale": self.sketch.table(scale, "i32"), "bias": self.sketch.table(bias, "i64")}

    def base(self, size, count):
        """Return an address at which `count` elements mostly fit."""
        last = max(MEMORY - size * count, 0)
        return self.draw(st.one_of(st.integers(0, min(last, 64)), st.integers(0, last), st.integers(0, MEMORY)))

    def tensor(self, stream, shape, type_name=None):
        kind = type_name or self.draw(types)
        count = int(np.prod(shape))
        dense = (
            [count, shape[2] * shape[3], shape[3], 1]
            if shape[0] == 1
            else [count // shape[0], shape[2] * shape[3], shape[3], 1]
        )
        pitch = self.draw(
            st.one_of(st.just(dense), st.permutations(dense), st.lists(st.integers(-3, 9), min_size=4, max_size=4))
        )
        self.sketch.tensor(stream, shape, self.base(DTYPES[kind].itemsize, count), type=kind, pitch=tuple(pitch))

    def source(self, stream, channels=None):
        """Define a stream that is read; return its vectors and their length."""
        shape = (1, self.draw(small), self.draw(small), channels or self.draw(st.integers(1, 3)))
        if self.draw(st.booleans()):
            values = self.integers(-127, 127, int(np.prod(shape)))
            self.sketch.data(stream, values, shape, self.draw(st.sampled_from(["i8", "i16", "i64"])))
        else:
            self.tensor(stream, shape)
        return shape

    def window(self, stream, channels=None):
        shape = self.source(stream, channels)
        kernel, out = (self.draw(small), self.draw(small)), (self.draw(small), self.draw(small))
        pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
        stride, dilation = self.draw(pair), self.draw(pair)
        pad = self.draw(st.tuples(st.integers(-1, 2), st.integers(-1, 2)))
        fill = self.draw(st.sampled_from([0, 0, -3, 127, -128, 300]))
        self.sketch.window(stream, kernel, out, stride=stride, dilation=dilation, pad=pad, fill=fill)
        return out[0] * out[1], kernel[0] * kernel[1], shape[3]

    def out(self, stream, vectors, length):
        self.tensor(
            stream,
            self.draw(st.sampled_from([(1, 1, vectors, length), (1, 1, 1, vectors * length), (vectors, 1, 1, length)])),
        )

    def any_source(self, stream):
        """Define a plain stream or a window; return vectors and length."""
        if self.draw(st.booleans()):
            vectors, taps, channels = self.window(stream)
            return vectors, taps * channels
        shape = self.source(stream)
        return shape[0] * shape[1] * shape[2], shape[3]

    # One method an instruction (or a family).

    def block(self):
        rows, cols = self.draw(st.integers(1, 9)), self.draw(st.integers(1, 3))
        level = self.draw(st.sampled_from([1, 20, 508]))
        matrix = [self.integers(-level, level, cols) for _ in range(rows)]
        at = (self.draw(st.integers(0, 1)), self.draw(st.integers(0, 7)), self.draw(st.integers(0, 5)))
        number = self.draw(st.integers(0, 2))
        self.sketch.block(number, matrix, at, zeros=self.draw(st.sampled_from(["program", "skip"])))
        self.blocks = [known for known in self.blocks if known[0] != number] + [(number, rows, cols)]

    def gain(self):
        scope, tile = self.draw(st.sampled_from([("all", 0), ("tile", 0), ("tile", 1)]))
        multiplier = self.draw(st.integers(2**15, 2**16 - 1))
        self.sketch.put("gain", scope=scope, tile=tile, multiplier=multiplier, divide=self.draw(st.integers(12, 24)))

    def pattern(self):
        place = {
            "tile": self.draw(st.integers(0, 1)),
            "row": self.draw(st.integers(0, 9)),
            "col": self.draw(st.integers(0, 5)),
        }
        plus, minus = self.integers(0, 508, 2)
        self.sketch.put("pattern", rows=self.draw(small), cols=self.draw(small), plus=plus, minus=minus, **place)

    def group(self):
        """Return consecutive blocks of as many columns, as (number, rows, cols)."""
        if not self.blocks:
            self.block()
        group = [self.draw(st.sampled_from(self.blocks))]
        for known in sorted(self.blocks):
            if known[0] == group[-1][0] + 1 and known[2] == group[0][2]:
                group.append(known)
        return group

    def stream_for(self, group):
        rows = sum(block[1] for block in group)
        if self.draw(st.booleans()):
            low, kind = self.draw(st.sampled_from([(-7, "i8"), (0, "u8")]))
            self.sketch.data(0, self.integers(low, 7, 2 * rows), (2, rows), kind)
            return 2
        for taps in ((3, 3), (2, 2), (1, 3), (1, 2)):
            if rows % (taps[0] * taps[1]) == 0:
                self.source(0, rows // (taps[0] * taps[1]))
                self.sketch.window(0, taps, (2, 2), pad=self.draw(st.tuples(st.integers(-1, 1), st.integers(-1, 1))))
                return 4
        return int(np.prod(self.source(0, rows)[:3]))

    def mvm(self):
        group = self.group()
        vectors, cols = self.stream_for(group), group[0][2]
        self.out(1, vectors, cols)
        tables = self.tables(len(group) * cols)
        self.sketch.put("mvm", in_=0, out=1, block=group[0][0], blocks=len(group), **tables, **self.rounding())

    def calibrate(self):
        group = self.group()
        self.stream_for(group)
        per = self.draw(st.sampled_from(["block", "column"]))
        references = self.integers(0, 3000, len(group) * (group[0][2] if per == "column" else 1))
        reference = self.sketch.table(references, "i64")
        self.sketch.put("calibrate", in_=0, block=group[0][0], blocks=len(group), reference=reference, per=per)

    def capture(self):
        block = self.group()[:1]
        self.out(1, self.stream_for(block), block[0][2])
        self.sketch.put("capture", in_=0, out=1, block=block[0][0])

    def depthwise(self):
        vectors, taps, channels = self.window(0)
        multiplier = self.draw(st.integers(1, 2))
        self.out(1, vectors, channels * multiplier)
        weights = self.sketch.table(self.integers(-128, 127, taps * channels * multiplier), "i8")
        tables = self.tables(channels * multiplier)
        self.sketch.put("depthwise", in_=0, out=1, weights=weights, multiplier=multiplier, **tables, **self.rounding())

    def poolmax(self):
        vectors, _, channels = self.window(0)
        self.out(1, vectors, channels)
        low, high = self.draw(st.sampled_from(LIMITS))
        self.sketch.put("poolmax", in_=0, out=1, low=low, high=high)

    def poolsum(self):
        vectors, _, channels = self.window(0)
        self.out(1, vectors, channels)
        per = self.draw(st.sampled_from(["all", "position"]))
        tables = self.tables(vectors if per == "position" else 1)
        self.sketch.put("poolsum", in_=0, out=1, per=per, **tables, **self.rounding())

    def affine(self):
        self.out(1, *self.any_source(0))
        period = self.draw(st.integers(1, 7))
        self.sketch.put("affine", in_=0, out=1, period=period, **self.tables(period), **self.rounding())

    def pair(self):
        shape = self.source(0)
        for stream in (1, 2):
            self.tensor(stream, shape)
        return {
            "a": 0,
            "b": self.draw(st.integers(0, 1)),
            "out": 2,
            "bias": self.draw(st.integers(-(2**53), 2**53)),
            **self.rounding(),
        }

    def add(self):
        ma, mb = self.integers(1 - 2**16, 2**16 - 1, 2)
        self.sketch.put("add", ma=ma, mb=mb, **self.pair())

    def mul(self):
        za, zb = self.integers(-128, 127, 2)
        self.sketch.put("mul", za=za, zb=zb, m=self.draw(st.integers(1 - 2**16, 2**16 - 1)), **self.pair())

    def lut(self):
        self.out(1, *self.any_source(0))
        kind = self.draw(types)
        table = self.sketch.table([(n * 37) % 100 for n in range(256)], kind)
        self.sketch.put("lut", in_=0, out=1, table=table, type=kind, first=-128, entries=256)

    def softmax(self):
        self.out(1, *self.any_source(0))
        table = self.sketch.table([1 << (30 - n) for n in range(31)], "i32")
        low, high = self.draw(st.sampled_from(LIMITS))
        numerator, zero = self.draw(st.sampled_from([(255, -128), (2**32 - 1, 5), (127, 0)]))
        self.sketch.put(
            "softmax", in_=0, out=1, table=table, entries=31, numerator=numerator, zero=zero, low=low, high=high
        )

    def div(self):
        za, zb = self.integers(-128, 127, 2)
        facts = {"zero": self.draw(st.integers(-200, 200)), "m": self.draw(st.integers(-(2**33), 2**33 - 1))}
        pair = {name: value for name, value in self.pair().items() if name != "bias"}
        self.sketch.put("div", za=za, zb=zb, **facts, **pair)

    def pick(self):
        vectors, length = self.any_source(0)
        group = self.draw(st.sampled_from([n for n in range(1, vectors + 1) if vectors % n == 0]))
        table = self.draw(st.lists(st.integers(0, group - 1), min_size=1, max_size=5))
        self.out(1, vectors // group * len(table), length)
        address = self.sketch.table([*table, self.draw(st.integers(-1, group))], "i32")
        entries = len(table) + (self.draw(st.integers(0, 9)) == 0)
        self.sketch.put("pick", in_=0, out=1, group=group, table=address, entries=entries)

    def argmax(self):
        self.out(1, self.any_source(0)[0], 1)
        pick, tie = self.draw(st.sampled_from(["largest", "smallest"])), self.draw(st.sampled_from(["first", "last"]))
        self.sketch.put("argmax", in_=0, out=1, which=pick, tie=tie)

    def move(self):
        self.out(1, *self.any_source(0))
        self.sketch.put("move", in_=0, out=1)

    def fill(self):
        self.out(1, self.draw(small), self.draw(small))
        self.sketch.put("fill", out=1, value=self.draw(st.integers(-128, 127)))

    def matmul(self):
        rows, columns, depth = self.draw(small), self.draw(small), self.draw(st.integers(1, 5))
        stack = self.draw(st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 2)]))
        for stream, shape in ((0, (*stack, rows, depth)), (1, (*stack, columns, depth)), (2, (*stack, rows, columns))):
            self.tensor(stream, shape, "i8" if self.draw(st.booleans()) else None)
        za, zb = self.integers(-128, 127, 2)
        m, bias = self.draw(st.integers(1 - 2**16, 2**16 - 1)), self.draw(st.integers(-(2**53), 2**53))
        self.sketch.put("matmul", a=0, b=1, out=2, za=za, zb=zb, m=m, bias=bias, **self.rounding())

    def norm(self):
        vectors, length = self.any_source(0)
        self.out(1, vectors, length)
        epsilon = self.sketch.table([self.draw(st.sampled_from([0, 1, 1000, 2**61, -1]))], "i64")
        centre, zero = self.draw(st.sampled_from(["zero", "mean"])), self.draw(st.integers(-128, 127))
        tables, numbers = self.tables(length), {"zero": zero, "fraction": self.draw(st.sampled_from([0, 1, 15]))}
        self.sketch.put("norm", in_=0, out=1, centre=centre, **numbers, epsilon=epsilon, **tables, **self.rounding())

    def embed(self):
        shape, length = self.source(0), self.draw(st.integers(1, 5))
        self.tensor(1, (1, shape[0] * shape[1], shape[2] * shape[3], length))
        kind = self.draw(types)
        table = self.sketch.table([(n * 37) % 100 for n in range(256 * length)], kind)
        self.sketch.put("embed", in_=0, out=1, table=table, type=kind, first=-128, rows=256)

    def select(self):
        vectors, length = self.any_source(0)
        for stream in (1, 2, 3):
            self.tensor(stream, (1, 1, vectors, length))
        self.sketch.put("select", c=0, a=1, b=2, out=3, zero=self.draw(st.integers(-1, 1)))

    def cells(self):
        self.tensor(1, (1, 1, 1, 1), "i16")
        place = {
            "tile": self.draw(st.integers(0, 1)),
            "row": self.draw(st.integers(0, 15)),
            "col": self.draw(st.integers(0, 7)),
        }
        self.sketch.put("readcell", polarity=self.draw(st.sampled_from(["plus", "minus"])), out=1, **place)
        self.sketch.put(
            "selftest", tile=place["tile"], col=place["col"], value=self.draw(st.integers(-(2**33), 2**33)), out=1
        )

    def verify(self):
        number, rows, cols = self.group()[0]
        self.tensor(1, (1, 1, 1, 1), "i16")
        data = self.sketch.matrix([self.integers(-3, 3, cols) for _ in range(rows)])
        self.sketch.put("verify", block=number, data=data, tolerance=self.draw(st.integers(0, 9)), out=1)

    def time(self):
        self.sketch.put("time", seconds=self.draw(st.sampled_from([0, 1, 3600, 86400, 2**40 - 1])))

    def loop(self):
        """A loop whose output moves on, by less than, as much as, or more than what it writes."""
        self.out(1, *self.any_source(0))
        self.sketch.put("loop", count=self.draw(small)).put("move", in_=0, out=1)
        self.sketch.put("advance", stream=self.draw(st.integers(0, 1)), by=self.draw(st.integers(-2, 9))).put("endloop")


ACTIONS = [name for name in vars(Dice) if not name.startswith("_")]
ACTIONS = ACTIONS[ACTIONS.index("block") :]
ACTIONS = [name for name in ACTIONS if name not in ("group", "stream_for", "pair")]


@st.composite
def sketches(draw, new):
    """Draw a program with one input of 24 codes at the start of memory and one output."""
    phases = draw(st.sampled_from([1, 1, 2, 4]))
    target = {
        "array": {"unprogrammed": draw(st.sampled_from([0, 0, 5]))},
        "dac": {"bits": draw(st.sampled_from([4, 8, 8, 16]))},
        "adc": {
            "bits": draw(st.sampled_from([4, 8, 8, 12, 33])),
            "codes": draw(st.sampled_from(["symmetric", "full"] if phases < 4 else ["unsigned", "symmetric"])),
            "rounding": draw(st.sampled_from(["nearest-even", "floor"])),
        },
        "read_phases": phases,
    }
    sketch = new(MEMORY, **target).port("x", (24,), 0).port("y", (40,), 16, output=True)
    dice = Dice(draw, sketch)
    dice.gain()
    for name in draw(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=6)):
        getattr(dice, name)()
    return sketch


def spoil(draw, sketch):
    """Give one operand of one instruction another value of its field, a small or an extreme one, often illegal."""
    index = draw(st.integers(0, len(sketch.instructions) - 1))
    old = sketch.instructions[index]
    if not old.operands:
        return
    number, field = draw(st.sampled_from(list(enumerate(old.spec.fields))))
    values = {-1, 0, 1, field.lowest} | ({field.highest} if field.name in ("low", "high", "fill", "tile") else set())
    value = draw(st.sampled_from(sorted(v for v in values if field.lowest <= v <= field.highest)))
    operands = list(old.operands)
    if field.count > 1:
        place = draw(st.integers(0, field.count - 1))
        operands[number] = tuple(value if n == place else v for n, v in enumerate(operands[number]))
    else:
        operands[number] = value
    sketch.instructions[index] = Instruction(old.name, tuple(operands))


@st.composite
def noises(draw):
    """Draw no noise, or some of the sources of some profile at some time."""
    if draw(st.booleans()):
        return None
    profile = load_profile(draw(st.sampled_from(built_in_names())))
    sources = draw(st.one_of(st.just(frozenset(NAMES)), st.frozensets(st.sampled_from(NAMES))))
    time = draw(st.sampled_from([0, 3600, 86400]))
    return Noise(profile, draw(st.integers(0, 2**64 - 1)), time, sources, draw(st.integers(0, 5)))


@settings(derandomize=True, deadline=None, max_examples=PROGRAMS)
@given(st.data())
def test_all_executors_agree(new, ask, data):
    sketch, noise = data.draw(sketches(new)), data.draw(noises())
    if data.draw(st.integers(0, 3)) == 0:
        spoil(data.draw, sketch)
    samples = np.random.default_rng(len(sketch.instructions)).integers(-7, 8, (3, 24)).astype(np.int8)
    ends = [ask(sketch, shifted(noise, n), x=x)[1] for n, x in enumerate(samples)]
    together = [outcome(sketch.program(), samples, executor, noise) for executor in executors()]
    if all(isinstance(end, dict) for end in ends):
        assert together[0] == [end["y"] for end in ends]
    assert together == [together[0]] * len(together)


def shifted(noise, samples):
    """Return the noise that a sample so many places further on in its file meets."""
    return noise and replace(noise, sample_offset=noise.sample_offset + samples)


def outcome(program, samples, executor, noise):
    """Return the outputs of all samples, two at a time and with nobody watching, or the trap."""
    try:
        return Interpreter(program, chunk=2, executor=executor, noise=noise).run({"x": samples})["y"].tolist()
    except (Trap, Refusal) as fault:
        return str(fault)


INSIDE = [name for name in ACTIONS if name != "loop"]
MOVING = (4, 5, 6)
"""Streams that the instructions of `Dice` leave alone: two of three elements, one of two."""


class Nest(Dice):
    """Draws loops around streams that move on and products of them, and now and then anything else."""

    def begin(self):
        self.sketch.block(7, [self.integers(-508, 508, 2) for _ in range(3)], (0, 0, 0))
        self.sketch.block(8, [self.integers(-508, 508, 2) for _ in range(3)], (0, 0, 1))
        self.product_tables = self.tables(2)
        for stream in MOVING:
            self.define(stream)

    def define(self, stream):
        self.sketch.tensor(stream, (1, 1, 1, 2 if stream == 6 else 3), self.draw(st.integers(24, 300)))

    def level(self, left):
        """Draw one loop and what is in it, `left` more loops deep at most."""
        self.sketch.put("loop", count=self.draw(st.sampled_from([1, 2, 3, 4, 5] if left > 1 else [3, 3, 4])))
        parts = ["advance", "advance", "product", "copy", "window", "level", "level", "define", "other"]
        for part in self.draw(st.lists(st.sampled_from(parts), min_size=1, max_size=4)):
            self.part(part, left)
        self.sketch.put("endloop")

    def part(self, name, left):
        match name:
            case "advance":
                self.sketch.put("advance", stream=self.draw(st.sampled_from(MOVING)), by=self.draw(st.integers(-9, 9)))
            case "product":
                facts = {"low": -128, "high": 127, "shift": 12, **self.product_tables}
                block = self.draw(st.integers(7, 8))
                self.sketch.put("mvm", in_=self.draw(st.integers(4, 5)), out=6, block=block, blocks=1, **facts)
            case "copy":
                self.sketch.put("move", in_=4, out=5)
            case "window":
                self.sketch.window(4, (1, 1), (1, 1))
            case "level" if left:
                self.level(left - 1)
            case "define":
                self.define(self.draw(st.sampled_from(MOVING)))
            case "other":
                getattr(self, self.draw(st.sampled_from(INSIDE)))()


@settings(derandomize=True, deadline=None, max_examples=PROGRAMS // 20)
@given(st.data())
def test_random_loops_do_the_same_on_every_executor(new, ask, data):
    sketch, noise = new(MEMORY).port("x", (24,), 0).port("y", (40,), 16, output=True).gain(), data.draw(noises())
    nest = Nest(data.draw, sketch)
    nest.begin()
    nest.level(3)
    samples = np.random.default_rng(len(sketch.instructions)).integers(-7, 8, (2, 24)).astype(np.int8)
    ends = [ask(sketch, shifted(noise, n), x=x)[1] for n, x in enumerate(samples)]
    together = [outcome(sketch.program(), samples, executor, noise) for executor in executors()]
    if all(isinstance(end, dict) for end in ends):
        assert together[0] == [end["y"] for end in ends]
    assert together == [together[0]] * len(together)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.data())
def test_a_sample_of_the_reference_has_its_values(new, data):
    program = data.draw(sketches(new)).program()
    x = np.random.default_rng(len(program.instructions)).integers(-7, 8, 24).tolist()
    whole = []
    try:
        keep = Writes(lambda index, values: whole.append((index, values.ravel().astype(np.int64))))
        reference.run(program, {"x": x}, keep)
    except Trap:
        return
    known, seen = iter(whole), []

    def truth(index):
        seen.append(next(known))
        assert seen[-1][0] == index
        return seen[-1][1]

    def watch(index, numbers, values):
        assert seen[-1][0] == index and len(numbers) > 0
        assert seen[-1][1][numbers].tolist() == values.tolist()

    with pytest.MonkeyPatch.context() as patch:
        for name, count in (("RANDOM_VECTORS", 1), ("RANDOM_ELEMENTS", 1), ("COLUMNS", 1000)):
            patch.setattr(reference_sample, name, count)
        reference_sample.run(program, {"x": x}, truth, watch)
    assert len(seen) == len(whole)
