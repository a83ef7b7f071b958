"""Read phases: products whose signs, and whose sides of the pairs, are converted apart, in every executor."""

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.observer import Observer
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.isa.phases import READ_PHASES, Phase, phases_read

UNITY = {"bits": 24, "codes": "symmetric"}
UNSIGNED = {"bits": 8, "codes": "unsigned"}
X = np.array([3, -5, 7, 0, -127, 100], np.int8)
MATRIX = np.array([[300, -2], [-508, 40], [7, 508], [1, 1], [-9, 0], [25, -25]])


def product(new, gain, kind="i8", matrix=MATRIX, **sections):
    """Return a program that captures the codes of one block's products with its input."""
    sketch = new(**sections).port("x", (6,), 0).port("y", (2,), 64, "i32", output=True)
    sketch.put("gain", scope="all", tile=0, multiplier=gain[0], divide=gain[1]).block(0, matrix)
    sketch.tensor(0, (6,), type=kind).tensor(1, (2,), 64, type="i32")
    return sketch.put("capture", in_=0, out=1, block=0)


def rule(x, matrix, phases, gain, low, high):
    """Return the codes that the number rules give, from the table of sums."""
    plus, minus = np.maximum(matrix, 0), np.maximum(-matrix, 0)
    positive, negative = np.maximum(x, 0).astype(int), np.maximum(-x.astype(int), 0)
    sums = {
        1: [(1, x.astype(int) @ (plus - minus))],
        2: [(1, positive @ (plus - minus)), (-1, negative @ (plus - minus))],
        4: [(1, positive @ plus), (-1, positive @ minus), (-1, negative @ plus), (1, negative @ minus)],
    }[phases]
    return sum(sign * np.clip(np.rint(s * gain[0] / 2.0 ** gain[1]), low, high) for sign, s in sums).tolist()


@pytest.mark.parametrize(
    ("phases", "codes", "ends"),
    [
        (1, "symmetric", (-127, 127)),
        (2, "full", (-128, 127)),
        (4, "symmetric", (-127, 127)),
        (4, "unsigned", (0, 255)),
    ],
)
@pytest.mark.parametrize("gain", [(40000, 23), (40000, 21)], ids=["fits", "clips"])
def test_each_phase_rounds_and_clips_alone(new, written, phases, codes, ends, gain):
    sketch = product(new, gain, read_phases=phases, adc={"codes": codes})
    assert written(sketch, x=X) == rule(X, MATRIX, phases, gain, *ends)


@pytest.mark.parametrize("phases", [2, 4])
@pytest.mark.parametrize("rest", [{"adc": UNITY}, {"adc": {"bits": 24}, "dac": {"bits": 6}}])
def test_phases_equal_one_at_a_step_of_one(new, written, phases, rest):
    x = np.clip(X, -31, 31)
    one = written(product(new, (1 << 15, 15), **rest), x=x)
    assert written(product(new, (1 << 15, 15), read_phases=phases, **rest), x=x) == one
    if phases == 4:
        unsigned = {**rest, "adc": {**rest["adc"], "codes": "unsigned"}}
        assert written(product(new, (1 << 15, 15), read_phases=4, **unsigned), x=x) == one


def test_swapped_sides_mirror_the_sums(new, written):
    codes = [written(product(new, (40000, 21), matrix=m, read_phases=4, adc=UNSIGNED), x=X) for m in (MATRIX, -MATRIX)]
    assert codes[0] == [-code for code in codes[1]]


@pytest.mark.parametrize("phases", [2, 4])
def test_a_type_without_negative_codes_leaves_phases_out(new, written, phases):
    adc = UNSIGNED if phases == 4 else {}
    x = np.abs(X)
    apart = [product(new, (40000, 21), kind, read_phases=phases, adc=adc) for kind in ("i8", "u8")]
    assert written(apart[0], x=x) == written(apart[1], x=x)
    assert [conversions(sketch.program(), x) for sketch in apart] == [phases, phases // 2]


@pytest.mark.parametrize(("low", "high", "numbers"), [(-1, 1, [0, 1, 2, 3]), (0, 1, [0, 1]), (-1, 0, [2, 3])])
def test_phases_that_a_type_leaves(low, high, numbers):
    assert [phase.number for phase in phases_read(4, low, high)] == numbers
    assert phases_read(1, low, high) == (Phase(0),)


def test_the_codes_of_four_phases_alternate_as_the_rule_says():
    assert [phase.sign for phase in READ_PHASES[4]] == [1, -1, -1, 1]


class Counter(Observer):
    """Counts the read phases of each product, and the clips of each."""

    def __init__(self):
        self.phases, self.clips = 0, []

    def vectors(self, index, count):
        return range(count)

    def multiplied(self, index, products):
        self.phases = len(products.blocks[0].conversions)
        self.clips = [int((each.clipped != 0).sum()) for each in products.blocks[0].conversions]


def conversions(program, x):
    seen = Counter()
    Interpreter(program).run({"x": x[None]}, seen)
    return seen.phases


def test_clips_are_counted_by_conversion(new):
    """Input 100 at +508 clips where the sides are apart, and 100 at -508 beside it takes the difference back to 0."""
    x, matrix = np.array([100, 100, 0, 0, 0, 0], np.int8), np.zeros((6, 2), int)
    matrix[0], matrix[1] = 508, -508
    found = []
    for phases in (1, 4):
        seen = Counter()
        program = product(new, (40000, 21), matrix=matrix, read_phases=phases).program()
        Interpreter(program).run({"x": x[None]}, seen)
        found.append(seen.clips)
    assert found == [[0], [2, 2, 0, 0]]


@pytest.mark.parametrize("phases", [2, 4])
def test_offsets_alone_cancel(new, phases):
    """Codes lie a quarter from their ties, offsets below that: none changes, each conversion meets the same offset."""
    matrix = 64 * np.array([[1, 0], [-2, 1], [0, 3], [4, -4], [5, 1], [-1, 2]])
    x = np.array([1, -1, 2, 1, -2, 3], np.int8)
    profile = load_profile("pcm,adc.offset=0.05,adc.gain=0,adc.inl=0")
    program = product(new, (1 << 15, 21), matrix=matrix, read_phases=phases).program()
    exact = Interpreter(program).run({"x": x[None]})["y"]
    for seed in range(5):
        noise = Noise(profile, seed, 0, frozenset({"adc"}))
        assert np.array_equal(Interpreter(program, noise=noise).run({"x": x[None]})["y"], exact)


def test_each_phase_draws_anew_and_the_first_as_a_machine_of_one(new):
    """Output noise alone, and zero inputs: what is left is that of the phases that are read, by their signs."""
    noise = Noise(load_profile("pcm,output.sigma=9"), 4, 0, frozenset({"output"}))
    x, sums = np.zeros((1, 6), np.int8), []
    for phases, kind in ((1, "i8"), (2, "u8"), (2, "i8"), (4, "u8"), (4, "i8")):
        program = product(new, (40000, 21), kind, read_phases=phases).program()
        sums.append(Interpreter(program, noise=noise).run({"x": x})["y"].ravel().tolist())
    assert sums[0] == sums[1] and sums[2] == sums[3]
    assert len({tuple(each) for each in sums}) == 3


@pytest.mark.parametrize(("phases", "codes"), [(1, "symmetric"), (2, "symmetric"), (4, "unsigned")])
@pytest.mark.parametrize("sign", [1, -1])
def test_polarity_disturbs_what_is_read_against_it(new, ask, phases, codes, sign):
    """Inputs above 0 read plus devices as they are, and inputs below 0 minus devices: only the others deviate."""
    x, noise = sign * np.abs(X), Noise(load_profile("pcm,polarity.sigma=0.2"), 4, 0, frozenset({"polarity"}))
    for side in (1, -1):
        sketch = product(new, (40000, 23), matrix=side * np.abs(MATRIX), read_phases=phases, adc={"codes": codes})
        exact = Interpreter(sketch.program()).run({"x": x[None]})["y"]
        _, end = ask(sketch, noise, x=x)
        assert (end["y"] == exact.ravel().tolist()) == (phases == 4 or side == sign)
