"""The executor that was written from docs/ alone traces as ours do: networks, random programs, traps; faults show."""

from dataclasses import replace

import numpy as np
import pytest
from backends.random_programs import Case, for_each, numbers_of, sketch_of, spoil  # noqa: TID251 tests/backends
from command_line.files import SAMPLES
from outsider.executor import Executor
from outsider.noise import Chip
from outsider.noise import load as load_noise
from outsider.program import instruction_set, load

import cimc
from cimc.backends.machine import ports
from cimc.backends.noise.profiles import built_in_names, load_profile
from cimc.backends.noise.sources import Noise
from cimc.bringup.record import SAMPLE
from cimc.bringup.tracing import Tracing
from cimc.isa.binary import to_parts
from cimc.isa.errors import IsaError
from cimc.isa.table import TABLE


def ours(program, codes, noise=None):
    """Our trace of one sample, without the line of the sample."""
    lines = Tracing(program, noise).lines({name: array[None] for name, array in codes.items()})
    return [line for line in lines if not line.startswith(SAMPLE)]


def outsiders(program, codes, faults=frozenset(), chip=None, seconds=0):
    executor = Executor(load(b"".join(to_parts(program))), faults, chip, seconds)
    return executor.run({name: array.ravel().tolist() for name, array in codes.items()})


def require_equal_chips(program, codes, profile, seed, seconds):
    """A chip of this profile, seed and time does the same in the outsider's executor and in ours; return the trace."""
    array = program.meta["target"]["array"]
    chip = Chip(load_noise(profile, array["levels"] << array["fraction_bits"]), seed)
    noise = Noise(load_profile(profile), seed, seconds, frozenset({"programming", "drift", "read"}))
    found = outsiders(program, codes, chip=chip, seconds=seconds)
    assert found == ours(program, codes, noise)
    return found


def test_the_page_gives_every_instruction():
    found = {
        opcode: (name, [operand.name for operand in operands]) for opcode, (name, operands) in instruction_set().items()
    }
    assert found == {spec.opcode: (spec.name, [field.name for field in spec.fields]) for spec in TABLE}


def any_case(draw, new):
    """Draw a program, in one of four with a wrong operand."""
    sketch = sketch_of(draw, new)
    if draw.randrange(4) == 0:
        spoil(draw, sketch)
    return Case.of(sketch)


def require_agreement(case):
    program, codes = case.sketch.program(), {"x": case.x[0]}
    try:
        found = outsiders(program, codes)
    except IsaError:  # no word holds it
        return
    assert found == ours(program, codes)


def test_random_programs(new):
    for_each(numbers_of("outsider", 30), lambda draw: any_case(draw, new), require_agreement)


@pytest.mark.nightly
def test_many_random_programs(new):
    for_each(numbers_of("outsider", 2000), lambda draw: any_case(draw, new), require_agreement)


@pytest.fixture(scope="module")
def digits():
    with np.load(SAMPLES / "digits_calib.npz") as calibration, np.load(SAMPLES / "digits_test.npz") as test:
        program = cimc.compile_model(SAMPLES / "digits.onnx", calibration=calibration["x"] * 0.0625)
        port = program.inputs[0]
        real = np.asarray(test["x"][:2] * 0.0625, np.float32).reshape(2, *port.model_shape)
    return program, {port.name: ports.quantise(port, real)[0]}


def test_the_sample_network(digits):
    assert outsiders(*digits) == ours(*digits)


@pytest.fixture
def directed(new):
    """A program whose numbers show every mistake: ties, ends, negative codes, fill, drift factors, a moving stream."""
    sketch = new(1024, array={"columns": 16}).port("x", (3, 3, 2), 0).port("y", (1,), 200, output=True).gain(35328, 26)
    sketch.tensor(9, (1,), 300, type="i16")
    for value in (65536, -65536, 3 * 65536, 4000000, -4000000):
        sketch.put("selftest", tile=0, col=1, value=value, out=9)
    sketch.block(0, [[508, -300, 7], [-508, 12, 500], [400, -3, 9], [0, 5, -508]] * 2, (0, 2, 3))
    sketch.block(1, [[508, 508, -508]] * 4, (1, 1, 0)).tensor(0, (3, 3, 2)).window(
        0, (2, 3), (2, 2), pad=(1, 1), fill=-9
    )
    sketch.tensor(1, (4, 3), 64)
    sketch.data(2, [100, -127, 0, 127, 0, 9, -3, 1, 127, 127, 127, 127], (1, 12)).put("time", seconds=9)
    sketch.put(
        "calibrate", in_=2, block=0, blocks=2, per="column", reference=sketch.table([9, 40, 3, 200, 1, 7], "i64")
    )
    tables = {
        "scale": sketch.table([33000, -5000, 20000, 65535, 40000, -7], "i32"),
        "bias": sketch.table([1 << 14, 7, -(1 << 20)], "i64"),
    }
    sketch.put("mvm", in_=0, out=1, block=0, blocks=2, shift=15, low=-90, high=90, **tables)
    sketch.tensor(3, (4, 8), 400).put("fill", out=3, value=127).tensor(4, (4, 3), 500)
    sketch.put("capture", in_=3, out=4, block=0)
    sketch.tensor(5, (2,), 64).tensor(6, (2,), 600, type="i16").put("loop", count=3).put("move", in_=5, out=6)
    sketch.put("advance", stream=6, by=2).put("endloop").tensor(7, (1, 12), 64).tensor(8, (1, 12), 700)
    table = sketch.table([1 << 20 - n for n in range(20)], "i32")
    sketch.put("softmax", in_=7, out=8, table=table, entries=20, numerator=255, zero=-128, low=-128, high=127)
    ties = {"scale": sketch.table([1], "i32"), "bias": sketch.table([0], "i64")}
    sketch.data(10, [1, 3, -1, -3, 5], (5,)).tensor(11, (5,), 800)
    return sketch.put("affine", in_=10, out=11, period=1, shift=1, low=-128, high=127, **ties).program()


CODES = {
    "x": np.array([[[-5, 127], [0, 3], [90, -127]], [[1, 0], [0, 0], [7, -7]], [[64, 2], [-1, 1], [0, 127]]], np.int8)
}


def test_the_directed_program(directed):
    assert outsiders(directed, CODES) == ours(directed, CODES)


@pytest.mark.parametrize("profile", built_in_names())
def test_noisy_chips(directed, profile):
    seconds = 86400 if profile == "reram-wan" else 3600
    timed = replace(directed, instructions=tuple(one for one in directed.instructions if one.name != "time"))
    timed = replace(timed, locations=timed.locations[: len(timed.instructions)])
    require_equal_chips(timed, CODES, profile, 7, seconds)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("seconds", [0, 3600, 86400, 31536000])
@pytest.mark.parametrize("profile", ["pcm", "hermes", "reram-cmo", "generic"])
def test_noisy_chips_of_the_sample_network(digits, profile, seed, seconds):
    require_equal_chips(*digits, profile, seed, seconds)
