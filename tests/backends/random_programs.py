"""Small programs drawn by a number: instructions that mostly fit one another, loops, wrong operands, noise."""

import math
import random
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from cimc.backends.machine.ports import DTYPES
from cimc.backends.noise.profiles import built_in_names, load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import NAMES
from cimc.isa.author import Author
from cimc.isa.disassemble import render_instruction
from cimc.isa.program import Instruction

profile_of = cache(load_profile)
MEMORY = 512
LIMITS = ((-127, 127), (-128, 127), (0, 255), (-5, 60), (-(2**15), 2**15 - 1), (-(2**32), 2**32 - 1))

TYPES = ("i8", "i8", "i8", "u8", "i16", "i32", "i64")


class Draw(random.Random):
    """What is drawn by one seed."""

    def chance(self):
        return self.random() < 0.5

    def number(self, low, high):
        """Draw a number: one of 16 is an end, and in a wide range many have few bits."""
        kind = self.random()
        if kind < 1 / 16:
            return self.choice((low, high))
        if high - low >> 24 and kind < 1 / 2:
            magnitude = self.getrandbits(self.randint(1, (high - low).bit_length()))
            return min(max(magnitude * self.choice((1, -1)), low), high)
        return self.randint(low, high)

    def numbers(self, low, high, count):
        return [self.number(low, high) for _ in range(count)]

    def some(self, values, most):
        """Draw from 1 up to so many of the values, each anew."""
        return self.choices(values, k=self.randint(1, most))


class Dice:
    """Draws instructions that mostly fit one another and appends them to a sketch."""

    def __init__(self, draw, sketch):
        self.draw = draw
        self.sketch = sketch
        self.blocks = []

    def rounding(self):
        low, high = self.draw.choice(LIMITS)
        return {"shift": self.draw.number(0, 24), "low": low, "high": high}

    def tables(self, count):
        magnitude = self.draw.choice([3, 2**15, 2**16 - 1])
        offset = self.draw.choice([0, 1000, 2**30, 2**51])
        scale, bias = self.draw.numbers(-magnitude, magnitude, count), self.draw.numbers(-offset, offset, count)
        return {"scale": self.sketch.table(scale, "i32"), "bias": self.sketch.table(bias, "i64")}

    def base(self, size, count):
        """Return an address at which `count` elements mostly fit."""
        last = max(MEMORY - size * count, 0)
        return self.draw.number(0, self.draw.choice((min(last, 64), last, MEMORY)))

    def tensor(self, stream, shape, type_name=None):
        kind = type_name or self.draw.choice(TYPES)
        count = math.prod(shape)
        dense = (
            [count, shape[2] * shape[3], shape[3], 1]
            if shape[0] == 1
            else [count // shape[0], shape[2] * shape[3], shape[3], 1]
        )
        pitch = self.draw.choice((dense, self.draw.sample(dense, 4), self.draw.numbers(-3, 9, 4)))
        self.sketch.tensor(stream, shape, self.base(DTYPES[kind].itemsize, count), type=kind, pitch=tuple(pitch))

    def source(self, stream, channels=None):
        """Define a stream that is read; return its vectors and their length."""
        shape = (1, self.draw.number(1, 4), self.draw.number(1, 4), channels or self.draw.number(1, 3))
        if self.draw.chance():
            values = self.draw.numbers(-127, 127, math.prod(shape))
            self.sketch.data(stream, values, shape, self.draw.choice(["i8", "i16", "i64"]))
        else:
            self.tensor(stream, shape)
        return shape

    def window(self, stream, channels=None):
        shape = self.source(stream, channels)
        kernel, out = self.draw.numbers(1, 4, 2), self.draw.numbers(1, 4, 2)
        stride, dilation = tuple(self.draw.numbers(1, 2, 2)), tuple(self.draw.numbers(1, 2, 2))
        pad = tuple(self.draw.numbers(-1, 2, 2))
        fill = self.draw.choice([0, 0, -3, 127, -128, 300])
        self.sketch.window(stream, kernel, out, stride=stride, dilation=dilation, pad=pad, fill=fill)
        return out[0] * out[1], kernel[0] * kernel[1], shape[3]

    def out(self, stream, vectors, length):
        self.tensor(
            stream,
            self.draw.choice([(1, 1, vectors, length), (1, 1, 1, vectors * length), (vectors, 1, 1, length)]),
        )

    def any_source(self, stream):
        """Define a plain stream or a window; return vectors and length."""
        if self.draw.chance():
            vectors, taps, channels = self.window(stream)
            return vectors, taps * channels
        shape = self.source(stream)
        return shape[0] * shape[1] * shape[2], shape[3]

    # One method an instruction (or a family).

    def block(self):
        rows, cols = self.draw.number(1, 9), self.draw.number(1, 3)
        level = self.draw.choice([1, 20, 508])
        matrix = [self.draw.numbers(-level, level, cols) for _ in range(rows)]
        at = (self.draw.number(0, 1), self.draw.number(0, 7), self.draw.number(0, 5))
        number = self.draw.number(0, 2)
        self.sketch.block(number, matrix, at, zeros=self.draw.choice(["program", "skip"]))
        self.blocks = [known for known in self.blocks if known[0] != number] + [(number, rows, cols)]

    def gain(self):
        scope, tile = self.draw.choice([("all", 0), ("tile", 0), ("tile", 1)])
        multiplier = self.draw.number(2**15, 2**16 - 1)
        self.sketch.put("gain", scope=scope, tile=tile, multiplier=multiplier, divide=self.draw.number(12, 24))

    def pattern(self):
        place = {
            "tile": self.draw.number(0, 1),
            "row": self.draw.number(0, 9),
            "col": self.draw.number(0, 5),
        }
        plus, minus = self.draw.numbers(0, 508, 2)
        self.sketch.put(
            "pattern", rows=self.draw.number(1, 4), cols=self.draw.number(1, 4), plus=plus, minus=minus, **place
        )

    def group(self):
        """Return consecutive blocks of as many columns, as (number, rows, cols)."""
        if not self.blocks:
            self.block()
        group = [self.draw.choice(self.blocks)]
        for known in sorted(self.blocks):
            if known[0] == group[-1][0] + 1 and known[2] == group[0][2]:
                group.append(known)
        return group

    def stream_for(self, group):
        rows = sum(block[1] for block in group)
        if self.draw.chance():
            low, kind = self.draw.choice([(-7, "i8"), (0, "u8")])
            self.sketch.data(0, self.draw.numbers(low, 7, 2 * rows), (2, rows), kind)
            return 2
        for taps in ((3, 3), (2, 2), (1, 3), (1, 2)):
            if rows % (taps[0] * taps[1]) == 0:
                self.source(0, rows // (taps[0] * taps[1]))
                self.sketch.window(0, taps, (2, 2), pad=tuple(self.draw.numbers(-1, 1, 2)))
                return 4
        return math.prod(self.source(0, rows)[:3])

    def mvm(self):
        group = self.group()
        vectors, cols = self.stream_for(group), group[0][2]
        self.out(1, vectors, cols)
        tables = self.tables(len(group) * cols)
        self.sketch.put("mvm", in_=0, out=1, block=group[0][0], blocks=len(group), **tables, **self.rounding())

    def calibrate(self):
        group = self.group()
        self.stream_for(group)
        per = self.draw.choice(["block", "column"])
        references = self.draw.numbers(0, 3000, len(group) * (group[0][2] if per == "column" else 1))
        reference = self.sketch.table(references, "i64")
        self.sketch.put("calibrate", in_=0, block=group[0][0], blocks=len(group), reference=reference, per=per)

    def capture(self):
        block = self.group()[:1]
        self.out(1, self.stream_for(block), block[0][2])
        self.sketch.put("capture", in_=0, out=1, block=block[0][0])

    def depthwise(self):
        vectors, taps, channels = self.window(0)
        multiplier = self.draw.number(1, 2)
        self.out(1, vectors, channels * multiplier)
        weights = self.sketch.table(self.draw.numbers(-128, 127, taps * channels * multiplier), "i8")
        tables = self.tables(channels * multiplier)
        facts = {"multiplier": multiplier, "taps": self.draw.choice(["i8", "i4"])}
        self.sketch.put("depthwise", in_=0, out=1, weights=weights, **facts, **tables, **self.rounding())

    def poolmax(self):
        vectors, _, channels = self.window(0)
        self.out(1, vectors, channels)
        low, high = self.draw.choice(LIMITS)
        self.sketch.put("poolmax", in_=0, out=1, low=low, high=high)

    def poolsum(self):
        vectors, _, channels = self.window(0)
        self.out(1, vectors, channels)
        per = self.draw.choice(["all", "position"])
        tables = self.tables(vectors if per == "position" else 1)
        self.sketch.put("poolsum", in_=0, out=1, per=per, **tables, **self.rounding())

    def affine(self):
        self.out(1, *self.any_source(0))
        period = self.draw.number(1, 7)
        self.sketch.put("affine", in_=0, out=1, period=period, **self.tables(period), **self.rounding())

    def pair(self):
        shape = self.source(0)
        for stream in (1, 2):
            self.tensor(stream, shape)
        return {
            "a": 0,
            "b": self.draw.number(0, 1),
            "out": 2,
            "bias": self.draw.number(-(2**53), 2**53),
            **self.rounding(),
        }

    def add(self):
        ma, mb = self.draw.numbers(1 - 2**16, 2**16 - 1, 2)
        self.sketch.put("add", ma=ma, mb=mb, **self.pair())

    def mul(self):
        za, zb = self.draw.numbers(-128, 127, 2)
        self.sketch.put("mul", za=za, zb=zb, m=self.draw.number(1 - 2**16, 2**16 - 1), **self.pair())

    def lut(self):
        self.out(1, *self.any_source(0))
        kind = self.draw.choice(TYPES)
        table = self.sketch.table([(n * 37) % 100 for n in range(256)], kind)
        self.sketch.put("lut", in_=0, out=1, table=table, type=kind, first=-128, entries=256)

    def softmax(self):
        self.out(1, *self.any_source(0))
        table = self.sketch.table([1 << (30 - n) for n in range(31)], "i32")
        low, high = self.draw.choice(LIMITS)
        numerator, zero = self.draw.choice([(255, -128), (2**32 - 1, 5), (127, 0)])
        self.sketch.put(
            "softmax", in_=0, out=1, table=table, entries=31, numerator=numerator, zero=zero, low=low, high=high
        )

    def div(self):
        za, zb = self.draw.numbers(-128, 127, 2)
        facts = {"zero": self.draw.number(-200, 200), "m": self.draw.number(-(2**33), 2**33 - 1)}
        pair = {name: value for name, value in self.pair().items() if name != "bias"}
        self.sketch.put("div", za=za, zb=zb, **facts, **pair)

    def pick(self):
        vectors, length = self.any_source(0)
        group = self.draw.choice([n for n in range(1, vectors + 1) if vectors % n == 0])
        table = self.draw.some(range(group), 5)
        self.out(1, vectors // group * len(table), length)
        address = self.sketch.table([*table, self.draw.number(-1, group)], "i32")
        entries = len(table) + (self.draw.number(0, 9) == 0)
        self.sketch.put("pick", in_=0, out=1, group=group, table=address, entries=entries)

    def argmax(self):
        self.out(1, self.any_source(0)[0], 1)
        pick, tie = self.draw.choice(["largest", "smallest"]), self.draw.choice(["first", "last"])
        self.sketch.put("argmax", in_=0, out=1, which=pick, tie=tie)

    def move(self):
        self.out(1, *self.any_source(0))
        self.sketch.put("move", in_=0, out=1)

    def fill(self):
        self.out(1, self.draw.number(1, 4), self.draw.number(1, 4))
        self.sketch.put("fill", out=1, value=self.draw.number(-128, 127))

    def matmul(self):
        rows, columns, depth = self.draw.number(1, 4), self.draw.number(1, 4), self.draw.number(1, 5)
        stack = self.draw.choice([(1, 1), (2, 1), (1, 2), (2, 2)])
        for stream, shape in ((0, (*stack, rows, depth)), (1, (*stack, columns, depth)), (2, (*stack, rows, columns))):
            self.tensor(stream, shape, "i8" if self.draw.chance() else None)
        za, zb = self.draw.numbers(-128, 127, 2)
        m, bias = self.draw.number(1 - 2**16, 2**16 - 1), self.draw.number(-(2**53), 2**53)
        self.sketch.put("matmul", a=0, b=1, out=2, za=za, zb=zb, m=m, bias=bias, **self.rounding())

    def norm(self):
        vectors, length = self.any_source(0)
        self.out(1, vectors, length)
        epsilon = self.sketch.table([self.draw.choice([0, 1, 1000, 2**61, -1])], "i64")
        centre, zero = self.draw.choice(["zero", "mean"]), self.draw.number(-128, 127)
        tables, numbers = self.tables(length), {"zero": zero, "fraction": self.draw.choice([0, 1, 15])}
        self.sketch.put("norm", in_=0, out=1, centre=centre, **numbers, epsilon=epsilon, **tables, **self.rounding())

    def embed(self):
        shape, length = self.source(0), self.draw.number(1, 5)
        self.tensor(1, (1, shape[0] * shape[1], shape[2] * shape[3], length))
        kind = self.draw.choice(TYPES)
        table = self.sketch.table([(n * 37) % 100 for n in range(256 * length)], kind)
        self.sketch.put("embed", in_=0, out=1, table=table, type=kind, first=-128, rows=256)

    def select(self):
        vectors, length = self.any_source(0)
        for stream in (1, 2, 3):
            self.tensor(stream, (1, 1, vectors, length))
        self.sketch.put("select", c=0, a=1, b=2, out=3, zero=self.draw.number(-1, 1))

    def cells(self):
        self.tensor(1, (1, 1, 1, 1), "i16")
        place = {
            "tile": self.draw.number(0, 1),
            "row": self.draw.number(0, 15),
            "col": self.draw.number(0, 7),
        }
        self.sketch.put("readcell", polarity=self.draw.choice(["plus", "minus"]), out=1, **place)
        self.sketch.put(
            "selftest", tile=place["tile"], col=place["col"], value=self.draw.number(-(2**33), 2**33), out=1
        )

    def verify(self):
        number, rows, cols = self.group()[0]
        self.tensor(1, (1, 1, 1, 1), "i16")
        data = self.sketch.matrix([self.draw.numbers(-3, 3, cols) for _ in range(rows)])
        self.sketch.put("verify", block=number, data=data, tolerance=self.draw.number(0, 9), out=1)

    def time(self):
        self.sketch.put("time", seconds=self.draw.choice([0, 1, 3600, 86400, 2**40 - 1]))

    def loop(self):
        """A loop whose output moves on, by less than, as much as, or more than what it writes."""
        self.out(1, *self.any_source(0))
        self.sketch.put("loop", count=self.draw.number(1, 4)).put("move", in_=0, out=1)
        self.sketch.put("advance", stream=self.draw.number(0, 1), by=self.draw.number(-2, 9)).put("endloop")


ACTIONS = [name for name in vars(Dice) if not name.startswith("_")]
ACTIONS = ACTIONS[ACTIONS.index("block") :]
ACTIONS = [name for name in ACTIONS if name not in ("group", "stream_for", "pair")]


def sketch_of(draw, new, first=()):
    """Draw a program with one input of 24 codes at the start of memory and one output; what is said comes first."""
    phases = draw.choice([1, 1, 2, 4])
    target = {
        "array": {"unprogrammed": draw.choice([0, 0, 5])},
        "dac": {"bits": draw.choice([4, 8, 8, 16])},
        "adc": {
            "bits": draw.choice([4, 8, 8, 12, 33]),
            "codes": draw.choice(["symmetric", "full"] if phases < 4 else ["unsigned", "symmetric"]),
            "rounding": draw.choice(["nearest-even", "floor"]),
        },
        "read_phases": phases,
    }
    sketch = new(MEMORY, **target).port("x", (24,), 0).port("y", (40,), 16, output=True)
    dice = Dice(draw, sketch)
    dice.gain()
    for name in (*first, *draw.some(ACTIONS, 6)):
        getattr(dice, name)()
    return sketch


def spoil(draw, sketch):
    """Give one operand of one instruction another value of its field, a small or an extreme one, often illegal."""
    index = draw.randrange(len(sketch.instructions))
    old = sketch.instructions[index]
    if not old.operands:
        return
    number, field = draw.choice(list(enumerate(old.spec.fields)))
    values = {-1, 0, 1, field.lowest} | ({field.highest} if field.name in ("low", "high", "fill", "tile") else set())
    value = draw.choice(sorted(v for v in values if field.lowest <= v <= field.highest))
    operands = list(old.operands)
    if field.count > 1:
        place = draw.randrange(field.count)
        operands[number] = tuple(value if n == place else v for n, v in enumerate(operands[number]))
    else:
        operands[number] = value
    sketch.instructions[index] = Instruction(old.name, tuple(operands))


def noise_of(draw):
    """Draw no noise, or some of the sources of some profile at some time."""
    if draw.chance():
        return None
    profile = profile_of(draw.choice(built_in_names()))
    sources = frozenset(NAMES if draw.chance() else filter(lambda _: draw.chance(), NAMES))
    time = draw.choice([0, 3600, 86400])
    return Noise(profile, draw.getrandbits(64), time, sources, draw.randint(0, 5))


INSIDE = [name for name in ACTIONS if name != "loop"]
MOVING = (4, 5, 6)
"""Streams that the instructions of `Dice` leave alone: two of three elements, one of two."""


class Nest(Dice):
    """Draws loops around streams that move on and products of them, and now and then anything else."""

    def begin(self):
        self.sketch.block(7, [self.draw.numbers(-508, 508, 2) for _ in range(3)], (0, 0, 0))
        self.sketch.block(8, [self.draw.numbers(-508, 508, 2) for _ in range(3)], (0, 0, 1))
        self.product_tables = self.tables(2)
        for stream in MOVING:
            self.define(stream)

    def define(self, stream):
        self.sketch.tensor(stream, (1, 1, 1, 2 if stream == 6 else 3), self.draw.number(24, 300))

    def level(self, left):
        """Draw one loop and what is in it, `left` more loops deep at most."""
        self.sketch.put("loop", count=self.draw.choice([1, 2, 3, 4, 5] if left > 1 else [3, 3, 4]))
        parts = ["advance", "advance", "product", "copy", "window", "level", "level", "define", "other"]
        for part in self.draw.some(parts, 4):
            self.part(part, left)
        self.sketch.put("endloop")

    def part(self, name, left):
        match name:
            case "advance":
                self.sketch.put("advance", stream=self.draw.choice(MOVING), by=self.draw.number(-9, 9))
            case "product":
                facts = {"low": -128, "high": 127, "shift": 12, **self.product_tables}
                block = self.draw.number(7, 8)
                self.sketch.put("mvm", in_=self.draw.number(4, 5), out=6, block=block, blocks=1, **facts)
            case "copy":
                self.sketch.put("move", in_=4, out=5)
            case "window":
                self.sketch.window(4, (1, 1), (1, 1))
            case "level" if left:
                self.level(left - 1)
            case "define":
                self.define(self.draw.choice(MOVING))
            case "other":
                getattr(self, self.draw.choice(INSIDE))()


def nest_of(draw, new):
    """Draw a program of loops in loops, with ports as those of `sketch_of`."""
    sketch = new(MEMORY).port("x", (24,), 0).port("y", (40,), 16, output=True).gain()
    nest = Nest(draw, sketch)
    nest.begin()
    nest.level(3)
    return sketch


SUBJECTS = ("executors", "loops", "samples", "counters", "data counters", "outsider")
"""Who asks random programs."""
RANGE = 1_000_000
"""How many numbers each of them has for itself, so that no two see the same programs."""
PATIENCE = 400
"""How many smaller programs are tried behind a failure."""


def numbers_of(subject, stop, start=0):
    """Return the numbers from `start` up to `stop` among those of a subject."""
    assert 0 <= start <= stop <= RANGE
    first = SUBJECTS.index(subject) * RANGE
    return range(first + start, first + stop)


@dataclass
class Case:
    """What an executor is asked: a program under construction, samples, and the noise if there is any."""

    sketch: Author
    x: np.ndarray
    noise: Noise | None = None

    @classmethod
    def of(cls, sketch, samples=1, noise=None):
        """Return a sketch with as many samples, which its length draws."""
        x = np.random.default_rng(len(sketch.instructions)).integers(-7, 8, (samples, 24)).astype(np.int8)
        return cls(sketch, x, noise)

    def __str__(self):
        noise = f"noise {self.noise}" if self.noise else "no noise"
        return "\n".join([*map(render_instruction, self.sketch.instructions), f"x = {self.x.tolist()}", noise])


@dataclass(frozen=True)
class Kept:
    """Which instructions and samples of a drawn case are left, by their places, and whether its noise is."""

    instructions: tuple[int, ...]
    samples: tuple[int, ...]
    noise: bool

    @classmethod
    def all_of(cls, case):
        return cls(tuple(range(len(case.sketch.instructions))), tuple(range(len(case.x))), case.noise is not None)

    def of(self, case):
        """Reduce a case that was just drawn to what is left of it."""
        sketch = case.sketch
        sketch.instructions = [sketch.instructions[place] for place in self.instructions]
        sketch.locations = [sketch.locations[place] for place in self.instructions]
        return Case(sketch, case.x[list(self.samples)], case.noise if self.noise else None)

    def smaller(self, case):
        """Yield what has less: no noise, fewer samples, without runs of instructions, without a loop around others."""
        if self.noise:
            yield replace(self, noise=False)
        yield from (replace(self, samples=(sample,)) for sample in self.samples if len(self.samples) > 1)
        for places in (*runs(self.instructions), *loops(self.instructions, case.sketch.instructions)):
            yield replace(self, instructions=tuple(n for n in self.instructions if n not in places))


def runs(places):
    """Yield runs of places, half of all and ever shorter ones, the last ones first."""
    length = len(places) // 2
    while length:
        for stop in range(len(places), 0, -length):
            yield places[max(stop - length, 0) : stop]
        length //= 2


def loops(places, instructions):
    """Yield the places of each loop and its end that are left."""
    begun = []
    for place in places:
        if instructions[place].name == "loop":
            begun.append(place)
        elif instructions[place].name == "endloop" and begun:
            yield begun.pop(), place


def for_each(numbers, make, check):
    """Check the case that `make` makes of what is drawn by each of these numbers.

    A failure is that of a small program: as long as a smaller one fails in the same way, it is taken instead.
    """
    for number in numbers:
        try:
            check(make(Draw(number)))
        except Exception as error:
            raise_smallest(number, make, check, error)


def raise_smallest(number, make, check, error):
    """Raise the failure of the smallest program found, and note its number and what is left of it."""
    drawn = make(Draw(number))
    kept, tries = Kept.all_of(drawn), iter(range(PATIENCE))
    while found := next(failing(kept.smaller(drawn), number, make, check, type(error), tries), None):
        kept, error = found
    error.add_note(f"of what is drawn by the number {number}, this is left:\n{kept.of(drawn)}")
    raise error


def failing(candidates, number, make, check, kind, tries):
    """Yield those that fail in this way, each with its failure, until the tries are used up."""
    for kept, _ in zip(candidates, tries, strict=False):
        try:
            check(kept.of(make(Draw(number))))
        except kind as error:
            if type(error) is kind:
                yield kept, error
        except Exception:  # another failure is not the one looked for
            continue
