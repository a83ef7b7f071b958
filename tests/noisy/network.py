"""A program that uses every array instruction, and the question to all executors: do they show the same?"""

from dataclasses import replace

import numpy as np

from cimc.backends.interpreter import Interpreter, executors
from cimc.backends.machine.observer import Observer
from cimc.backends.noise.table import NAMES
from cimc.backends.reference import instructions as reference

EVERYTHING = frozenset(NAMES)
WIDE = {"shift": 4, "low": -(2**31), "high": 2**31 - 1}
TIMES = {"reram-wan": 86400}


def network(new, zeros="program", once=False, **sections):
    """Return a program that uses every array instruction: two stacked blocks, a loop, a re-programmed block.

    With `once` each device is programmed once, and nothing sets the time.
    """
    rng = np.random.default_rng(5)
    sketch = new(2048, **sections).port("x", (6, 24), 0).port("y", (64,), 512, "i32", output=True)
    sketch.gain(40000, 21)
    for number, at in [(0, (0, 0, 0)), (1, (1, 2, 3)), (2, (0, 4, 3))][: 2 if once else 3]:
        sketch.block(number, rng.integers(-508, 509, (12, 5)) * (rng.random((12, 5)) < 0.8), at, zeros=zeros)
    if not once:
        sketch.block(2, rng.integers(-508, 509, (12, 5)), (0, 4, 3))
    tables = {"scale": sketch.table([900] * 10, "i32"), "bias": sketch.table([7] * 5, "i64")}
    reference_sums = sketch.table([400, 300], "i64")
    sketch.tensor(0, (6, 24)).tensor(1, (6, 5), 512, type="i32").tensor(2, (6, 12), 0, pitch=(1, 1, 24, 1))
    sketch.put("loop", count=2).put("mvm", in_=0, out=1, block=0, blocks=2, **tables, **WIDE)
    sketch.put("advance", stream=1, by=30).put("endloop")
    sketch.tensor(1, (6, 5), 768, type="i32").put("capture", in_=2, out=1, block=1 if once else 2)
    sketch.put("calibrate", in_=0, block=0, blocks=2, reference=reference_sums, per="block")
    if not once:
        sketch.put("time", seconds=172800 if sketch.activation_bytes == 2047 else 86400)
    sketch.tensor(1, (6, 5), 1024, type="i32").put("mvm", in_=0, out=1, block=0, blocks=2, **tables, **WIDE)
    for k, polarity in enumerate(("plus", "minus")):
        sketch.tensor(1, (1,), 1400 + 4 * k, type="i32")
        sketch.put("readcell", tile=0, row=1, col=2, polarity=polarity, out=1)
    sketch.tensor(1, (1,), 1420, type="i32").put("selftest", tile=1, col=6, value=123456, out=1)
    sketch.tensor(1, (1,), 1424, type="i32")
    return sketch.put("verify", block=1, data=0, tolerance=9, out=1).program()


def images(count=3):
    return np.random.default_rng(3).integers(-127, 128, (count, 6, 24)).astype(np.int8)


class BySample(Observer):
    """Keeps what is written, and the products, sample by sample."""

    def __init__(self):
        self.events = {}
        self.samples = range(0)

    def begin(self, samples):
        self.samples = samples

    def keep(self, index, *arrays):
        for n, sample in enumerate(self.samples):
            shown = tuple(array[n if len(array) > 1 else 0].tolist() for array in arrays)
            self.events.setdefault(sample, []).append((index, shown))

    def wrote(self, index, values):
        self.keep(index, values)

    def vectors(self, index, count):
        return range(count)

    def multiplied(self, index, products):
        for block in products.blocks:
            self.keep(index, block.inputs, block.codes)
            for each in block.conversions:
                self.keep(index, each.sums, each.codes, each.clipped)
        if products.accumulators is not None:
            self.keep(index, products.accumulators)


def seen_by_reference(program, x, noise):
    observer = BySample()
    for n, image in enumerate(x):
        shifted = noise and replace(noise, sample_offset=noise.sample_offset + n)
        reference.run(program, {"x": image.tolist()}, observer, shifted)
    return observer.events


def require_same(program, x, noise):
    """Fail unless every executor shows what the reference does."""
    literal = seen_by_reference(program, x, noise)
    for executor in executors():
        assert seen_by_interpreter(program, x, noise, executor=executor) == literal, executor


def seen_by_interpreter(program, x, noise, chunk=None, executor="best"):
    observer = BySample()
    Interpreter(program, chunk=chunk, noise=noise, executor=executor).run({"x": x}, observer)
    return observer.events
