"""Devices of torch: what only they do. That they give the interpreter's bits, every comparison of it asks them too."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.facts import machine
from cimc.backends.machine.observer import Writes
from cimc.backends.machine.traps import Refusal, Trap
from cimc.backends.noise import gaussian
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import CYCLE, NAMES, OUTPUT
from cimc.backends.plan.digital import Add, Lut, Softmax
from cimc.backends.plan.moving import Occasion
from cimc.backends.plan.products import Mvm
from cimc.backends.plan.read_noise import Address
from cimc.backends.plan.windows import PoolMax
from cimc.backends.silicon.converter_use import ConverterUse
from cimc.backends.torch_device.opening import devices, opened

torch = pytest.importorskip("torch", reason="the extra `gpu` is not installed: nothing is computed on a device here")

from cimc.backends.torch_device import device_check, draws, lowering  # noqa: E402
from cimc.backends.torch_device.memory import Memory  # noqa: E402

EVERYTHING = Noise(load_profile("pcm"), 3, 3600, frozenset(NAMES) - {"polarity"}, 7)
"""All noise that has a form on a device: `polarity` is left to numpy."""
DEVICE = "torch:cpu"


def layered(new, **sections):
    """A program of a padded convolution, a pool, a sum with 16-bit codes, a softmax and a table."""
    rng = np.random.default_rng(5)
    sketch = new(4096, **sections).port("x", (6, 5, 3), 0).port("y", (6, 2), 2048, "i16", output=True).gain(40000, 19)
    sketch.block(0, rng.integers(-508, 509, (15, 4)), (0, 0, 2)).block(1, rng.integers(-508, 509, (12, 4)), (1, 3, 2))
    tables = {"scale": sketch.table([3000] * 8, "i32"), "bias": sketch.table([70000] * 4, "i64")}
    sketch.tensor(0, (6, 5, 3)).window(0, (3, 3), (6, 4), pad=(1, 1), fill=-9)
    sketch.tensor(1, (24, 4), 1024, type="i16")
    sketch.put("mvm", in_=0, out=1, block=0, blocks=2, shift=6, low=-32767, high=32767, **tables)
    sketch.tensor(2, (6, 4, 4), 1024, type="i16").window(2, (2, 2), (3, 2), stride=(2, 2))
    sketch.tensor(3, (6, 4), 1500, type="i16").put("poolmax", in_=2, out=3, low=-30000, high=32767)
    sketch.put("add", a=3, b=3, out=3, ma=5, mb=-3, bias=100, shift=1, low=-32768, high=32767)
    sketch.tensor(4, (6, 2, 2), 1500, type="i16")
    sketch.tensor(5, (12, 2), 2048, type="i16", pitch=(1, 1, 2, 1))
    exponentials = sketch.table([1 << 20, 1 << 18, 7], "i32")
    sketch.put("softmax", in_=4, out=5, table=exponentials, entries=3, numerator=255, zero=-128, low=-128, high=127)
    table = sketch.table([n * 97 for n in range(256)], "i16")
    return sketch.put("lut", in_=5, out=5, table=table, type="i16", first=-128, entries=256).program()


def images(count, low=-127):
    return np.random.default_rng(count).integers(low, 128, (count, 6, 5, 3)).astype(np.int8)


def test_polarity_is_done_by_the_processor_with_the_same_bits(new):
    program, x, noise = layered(new), images(7), replace(EVERYTHING, sources=frozenset(NAMES))
    found = Interpreter(program, noise=noise, executor=DEVICE).run({"x": x})["y"]
    assert np.array_equal(found, Interpreter(program, noise=noise).run({"x": x})["y"])


@pytest.mark.parametrize("noise", [None, EVERYTHING], ids=["exact", "noisy"])
@pytest.mark.parametrize("chunk", [1, 3, None])
def test_any_chunk_gives_the_same_bits_and_every_instruction_stays_on_the_device(new, noise, chunk):
    program, x = layered(new), images(7)
    interpreter = Interpreter(program, chunk=chunk, noise=noise, executor=DEVICE)
    assert all(interpreter._executor.forms)
    wanted = Interpreter(program, noise=noise).run({"x": x}, first=5)["y"]
    assert np.array_equal(interpreter.run({"x": x}, first=5)["y"], wanted)
    assert np.array_equal(interpreter.run({"x": x[3:]}, first=8)["y"], wanted[3:])
    assert writes(interpreter, x) == writes(Interpreter(program, chunk=chunk, noise=noise), x)


def writes(interpreter, x):
    seen = {}
    keep = Writes(lambda index, values: seen.setdefault(index, []).extend(values.tolist()))
    interpreter.run({"x": x}, keep, first=5)
    return seen


@pytest.mark.parametrize("kind", [Mvm, PoolMax, Add, Softmax, Lut])
def test_an_instruction_without_a_form_is_done_by_the_processor(new, monkeypatch, kind):
    program, x = layered(new), images(4)
    wanted = Interpreter(program, noise=EVERYTHING).run({"x": x})["y"]
    monkeypatch.setattr(lowering, "FORMS", {k: form for k, form in lowering.FORMS.items() if k is not kind})
    interpreter = Interpreter(program, chunk=3, noise=EVERYTHING, executor=DEVICE)
    steps = zip(interpreter._plan.steps, interpreter._executor.forms, strict=True)
    assert all((form is None) == (type(step.action.compute) is kind) for step, form in steps)
    assert np.array_equal(interpreter.run({"x": x})["y"], wanted)


def test_with_no_form_at_all_the_processor_does_everything(new, monkeypatch):
    program, x = layered(new), images(4)
    monkeypatch.setattr(lowering, "FORMS", {})
    found = Interpreter(program, executor=DEVICE).run({"x": x})["y"]
    assert np.array_equal(found, Interpreter(program).run({"x": x})["y"])


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("bad", [0, 4])
def test_a_fault_of_one_image_is_told_as_on_the_processor(new, watched, bad):
    program, x = layered(new), images(5)
    x[bad, 5, 4, 2] = -128
    told = []
    for executor in ("best", DEVICE):
        seen = []
        watch = Writes(lambda index, values, seen=seen: seen.append((index, values.tolist()))) if watched else None
        with pytest.raises(Trap) as caught:
            Interpreter(program, chunk=2, executor=executor).run({"x": x}, watch)
        told.append((str(caught.value), seen))
    assert "CIM0513" in told[0][0]
    assert told[0] == told[1]


def test_an_interpreter_runs_again_after_a_fault(new):
    program, x = layered(new), images(3)
    interpreter = Interpreter(program, executor=DEVICE)
    with pytest.raises(Trap):
        interpreter.run({"x": np.full_like(x, -128)})
    assert np.array_equal(interpreter.run({"x": x})["y"], Interpreter(program).run({"x": x})["y"])


def test_the_threads_of_others_are_left_as_they_are(new):
    before = torch.get_num_threads()
    Interpreter(layered(new), threads=before + 1, executor=DEVICE).run({"x": images(1)})
    assert torch.get_num_threads() == before


def test_products_that_an_observer_probes_are_shown(new):
    program = layered(new)
    counts = []
    for executor in ("numpy", DEVICE):
        use = ConverterUse(machine(program.meta), range(len(program.instructions)))
        Interpreter(program, executor=executor).run({"x": images(2)}, use)
        counts.append({index: (found.clips.tolist(), found.conversions) for index, found in use.counts.items()})
    assert counts[0] and counts[0] == counts[1]


@pytest.mark.parametrize(
    ("seed", "stream", "occurrence", "first_sample", "columns"),
    [
        (0, 0, 0, 0, range(8)),
        (2**64 - 1, 2**32 - 1, 2**31 - 1, 2**62 - 3, range(65520, 65536)),
        (2**63, 2**31, 1, 2**32 - 1, range(13, 14)),
        (12345, 7 << 16 | 9, 3, 5, range(3, 45)),
    ],
)
@pytest.mark.parametrize(("purpose", "phase"), [(CYCLE, 0), (OUTPUT, 0), (CYCLE, 3)])
def test_normal_variables_at_any_address(monkeypatch, seed, stream, occurrence, first_sample, columns, purpose, phase):
    monkeypatch.setattr(draws, "BLOCKS", {"cpu": 20})
    address, memory = Address(seed, stream, occurrence, columns, phase), Memory(8, 3, first_sample, torch.device("cpu"))
    occasion = Occasion(np.arange(first_sample, first_sample + 3).astype(np.uint64))
    wanted = address.normals(purpose, occasion, 5).reshape(3, 5, len(columns))
    found = draws.normals(address, purpose, memory, 5)
    assert np.array_equal(found.numpy().transpose(2, 1, 0), wanted)


def test_the_normal_variable_of_every_kind_of_word():
    edges = [
        value + d & 0x7FFFFFFF
        for bit in range(32)
        for value in (1 << bit, 33 << bit, (1 << bit) - 1)
        for d in (-1, 0, 1)
    ]
    words = np.array([word | sign for word in edges for sign in (0, 1 << 31)], np.uint32)
    assert np.array_equal(
        draws.normal_variables(torch.tensor(words.astype(np.int64))).numpy(), gaussian.of_words(words)
    )


def shortened(bits):
    """Return a rounding of float32 to fewer bits of the fraction, as fast matrix units read their operands."""

    def rounding(values):
        if values.dtype != torch.float32:
            return values
        half = 1 << (22 - bits)
        return (values.view(torch.int32) + half & -(half << 1)).view(torch.float32)

    return rounding


@pytest.mark.parametrize("bits", [7, 10])
def test_a_device_that_shortens_factors_is_refused(monkeypatch, bits):
    short = shortened(bits)
    monkeypatch.setattr(device_check, "product", lambda a, b: short(a) @ short(b))
    with pytest.raises(Refusal, match="CIM0542"):
        device_check.require_exact(torch.device("cpu"))


def test_a_device_whose_precision_someone_lowers_is_refused_the_next_time(new, monkeypatch):
    Interpreter(layered(new), executor=DEVICE)
    short = shortened(10)
    monkeypatch.setattr(device_check, "product", lambda a, b: short(a) @ short(b))
    with pytest.raises(Refusal, match="CIM0542"):
        Interpreter(layered(new), executor=DEVICE)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_device_that_rounds_sums_is_refused(monkeypatch, kind):
    monkeypatch.setattr(device_check, "product", lambda a, b: a @ b if a.dtype != kind else a @ b * (1 - 2.0**-23))
    with pytest.raises(Refusal, match="CIM0542"):
        device_check.require_exact(torch.device("cpu"))


def test_a_device_that_rounds_roots_badly_is_refused(monkeypatch):
    monkeypatch.setattr(device_check, "square_root", lambda values: torch.nextafter(values.sqrt(), values))
    with pytest.raises(Refusal, match="CIM0542"):
        device_check.require_exact(torch.device("cpu"))


@pytest.mark.parametrize(
    "name", ["gpu", "torch", "torch:cuda", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "CPU", "", "cuda:99"]
)
def test_a_device_that_does_not_exist(name):
    with pytest.raises(Refusal) as caught:
        opened(name)
    assert (caught.value.code, caught.value.status) == ("CIM0540", 2)


def test_the_devices_here_can_be_opened():
    assert devices()[0] == "torch:cpu"
    for name in devices():
        opened(name)


def test_without_torch(new, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Refusal, match="CIM0541"):
        Interpreter(layered(new), executor="cuda")


def test_the_processor_needs_no_torch():
    script = "import sys, cimc.backends.interpreter, cimc.command_line.running; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"
