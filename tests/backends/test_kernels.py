"""The compiled kernels, at every level of this processor: the bits of numpy, on one thread and on several."""

import zlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.backends.cost.observed import DataCounting
from cimc.backends.interpreter import Interpreter, on_processor
from cimc.backends.kernels import lowering
from cimc.backends.kernels.checksums import crcs
from cimc.backends.machine.observer import Observer
from cimc.backends.machine.ports import DTYPES
from cimc.backends.machine.traps import Trap
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.reference import instructions as reference
from cimc.backends.torch_device.opening import devices

COMPILED = on_processor()[1:]
pytestmark = pytest.mark.skipif(not COMPILED, reason="the kernels were not built")

CHIP = frozenset({"programming", "drift", "read"})
CYCLE = Noise(load_profile("pcm"), seed=11, time_s=3600, sources=CHIP | {"cycle"})
OUTPUT = replace(CYCLE, sources=CHIP | {"output"})
CONVERTERS = Noise(
    load_profile("generic,adc.offset=0.8,adc.gain=0.03,adc.inl=1.5,output.sigma=0.7"),
    seed=3,
    sources=CHIP | {"cycle", "output", "adc"},
)
ARRAY = {"rows": 1024, "columns": 128}


def require_same(program, images, noise=None, native=True):
    """Fail unless every level and device gives numpy's codes; with `native`, unless kernels do all of the work."""
    wanted = Interpreter(program, chunk=3, executor="numpy", noise=noise).run({"x": images}, first=40)["y"]
    for kernels in COMPILED:
        interpreter = Interpreter(program, chunk=4, executor=kernels, noise=noise, threads=2)
        assert not native or all(run.native for run in interpreter._executor.runs)
        with pytest.MonkeyPatch.context() as patch:
            if native:  # numpy would repeat what a kernel takes for a fault
                patch.delattr("cimc.backends.kernels.executor.perform_one")
            assert interpreter.run({"x": images}, first=40)["y"].tolist() == wanted.tolist(), kernels
    for device in devices():
        interpreter = Interpreter(program, chunk=4, noise=noise, executor=device)
        assert all(interpreter._executor.forms)
        assert interpreter.run({"x": images}, first=40)["y"].tolist() == wanted.tolist(), device


def require_form(program, noise, form):
    """Fail unless floats estimate the results of a product, sum whole numbers apart, or doubles make them."""
    for kernels in COMPILED:
        (run,) = Interpreter(program, executor=kernels, noise=noise)._executor.runs
        step = run.lowered[0].step
        assert (form != "doubles") == (0.47 < step.certain < 0.5)
        assert step.split == (form == "split")


def codes(seed, shape, low=-127, high=127):
    return np.random.default_rng(seed).integers(low, high, shape, np.int8, endpoint=True)


@st.composite
def layers(draw):
    """An image's shape, a window over it, the columns and the rows of each block of a product."""
    channels, kernel = draw(st.integers(1, 19)), (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation, stride = draw(st.sampled_from([(1, 1), (2, 1)])), draw(st.sampled_from([(1, 1), (2, 2), (1, 3)]))
    out, pad = (draw(st.integers(1, 5)), draw(st.integers(1, 5))), (draw(st.integers(-1, 2)), draw(st.integers(0, 2)))
    shape = (1, draw(st.integers(1, 9)), draw(st.integers(1, 9)), channels)
    rows = kernel[0] * kernel[1] * channels
    cuts = sorted(draw(st.lists(st.integers(1, max(rows - 1, 1)), max_size=2, unique=True))) if rows > 1 else []
    window = {"kernel": kernel, "out": out, "dilation": dilation, "stride": stride, "pad": pad}
    return shape, window, draw(st.integers(1, 70)), [b - a for a, b in zip([0, *cuts], [*cuts, rows], strict=True)]


def product(
    new,
    layer,
    seed,
    gain=(40001, 24),
    shift=14,
    limits=(-127, 127),
    out_type="i8",
    scales=65535,
    biases=1 << 22,
    **sections,
):
    """A program of one `mvm` over a layer; `scales` and `biases` say how large those of its epilogue are."""
    shape, window, columns, blocks = layer
    rng = np.random.default_rng(seed)
    sketch = new(1 << 17, array=ARRAY, **sections).gain(*gain)
    row = 0
    for number, rows in enumerate(blocks):
        matrix = rng.integers(-508, 508, (rows, columns), endpoint=True)
        sketch.block(number, matrix.tolist(), (0, row, 5))
        row += rows
    tables = {
        "scale": sketch.table(rng.integers(-scales, scales, len(blocks) * columns).tolist(), "i32"),
        "bias": sketch.table(rng.integers(-biases, biases, columns).tolist(), "i64"),
    }
    vectors = window["out"][0] * window["out"][1]
    sketch.port("x", shape[1:], 0).port("y", (vectors, columns), 1 << 16, out_type, output=True)
    sketch.tensor(0, shape).window(0, fill=-127, **window)
    sketch.tensor(1, (vectors, columns), 1 << 16, type=out_type)
    sketch.put("mvm", in_=0, out=1, block=0, blocks=len(blocks), shift=shift, low=limits[0], high=limits[1], **tables)
    return sketch.program()


@settings(derandomize=True, deadline=None, max_examples=40)
@given(layers(), st.integers(0, 9), st.sampled_from([None, None, CYCLE, OUTPUT]))
def test_sums_for_an_observer_are_numpys(new, layer, seed, noise):
    program, images = product(new, layer, seed), codes(seed, (5, *layer[0][1:]))
    images[images % 3 == 0] = 0
    wanted = summed(program, images, "numpy", 2, noise)
    assert len(wanted) == 1
    for kernels in COMPILED:
        assert summed(program, images, kernels, 4, noise) == wanted


class Clips(Observer):
    """Keeps what each image clips, and what is written."""

    def __init__(self):
        self.counts, self.codes = [], []

    def wants_clips(self, index):
        return True

    def clipped(self, index, counts):
        self.counts += counts.tolist()

    def wrote(self, index, values):
        self.codes += values.tolist()


def clipped(program, images, executor, chunk, noise):
    seen = Clips()
    Interpreter(program, executor=executor, chunk=chunk, noise=noise).run({"x": images}, seen, first=40)
    return seen.counts, seen.codes


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    layers(),
    st.sampled_from([None, CYCLE, OUTPUT, CONVERTERS]),
    st.sampled_from([14, 40]),
    st.sampled_from(["nearest-even", "floor"]),
    st.sampled_from([1, 2]),
)
def test_clips_of_each_image_are_numpys(new, layer, noise, shift, rounding, phases):
    """Many codes clip: with an epilogue in float and in double, ADCs of both roundings, noise of every kind."""
    program = product(new, layer, 4, (40001, 22), shift, adc={"rounding": rounding}, read_phases=phases)
    images = codes(5, (5, *layer[0][1:]))
    images[1] //= 16
    wanted = clipped(program, images, "numpy", 2, noise)
    assert len(wanted[0]) == 5
    for kernels in COMPILED:
        assert clipped(program, images, kernels, 4, noise) == wanted, kernels


@settings(derandomize=True, deadline=None, max_examples=15)
@given(layers(), st.sampled_from([2, 4]), st.sampled_from([CYCLE, OUTPUT, CONVERTERS]), st.integers(0, 9))
def test_phases_of_both_signs_equal_numpy(new, layer, phases, noise, seed):
    unsigned = {"adc": {"codes": "unsigned"}} if phases == 4 else {}
    program = product(new, layer, seed, read_phases=phases, **unsigned)
    images = codes(seed, (5, *layer[0][1:]))
    require_same(program, images)
    require_same(program, images, noise, native=False)
    for kernels in COMPILED:
        assert summed(program, images, kernels, 4) == summed(program, images, "numpy", 2)


def test_sums_of_large_codes_are_made_by_the_kernels(new):
    """Pulses of the largest codes, and sums that only doubles hold."""
    layer = (1, 6, 6, 19), {"kernel": (3, 3), "out": (6, 6), "dilation": (1, 1), "stride": (1, 1), "pad": (1, 1)}, 33
    program = product(new, (*layer, [100, 71]), 5, gain=(65535, 3), shift=40)
    images = np.full((9, 6, 6, 19), -127, np.int8)
    for kernels in COMPILED:
        run = Interpreter(program, executor=kernels)._executor.runs[-1]
        assert run.lowered[-1].tallied
        assert summed(program, images, kernels, 3) == summed(program, images, "numpy", 9)


def summed(program, images, executor, chunk, noise=None):
    """Return what one image takes of each product, as data are counted."""
    counting = DataCounting(program)
    Interpreter(program, executor=executor, chunk=chunk, noise=noise).run({"x": images}, counting)
    found = ((index, counting.means(index)) for index in range(len(program.instructions)))
    return {index: tiles for index, tiles in found if tiles}


@settings(max_examples=60, deadline=None)
@given(layer=layers(), seed=st.integers(0, 99), noise=st.sampled_from([None, CYCLE, OUTPUT, CONVERTERS]))
def test_products(new, layer, seed, noise):
    images = codes(seed, (5, *layer[0][1:]))
    require_same(product(new, layer, seed), images, noise)


@settings(max_examples=40, deadline=None)
@given(
    layer=layers(),
    seed=st.integers(0, 99),
    gain=st.sampled_from([(32768, 15), (65535, 20), (40001, 33), (65535, 63), (32768, 26)]),
    shift=st.sampled_from([0, 1, 9, 17, 18, 24, 40]),
    out=st.sampled_from(
        [("i8", (-128, 127)), ("i16", (-32768, 32767)), ("u8", (3, 200)), ("i32", (-(2**31), 2**31 - 1))]
    ),
)
def test_roundings_and_clips(new, layer, seed, gain, shift, out):
    program = product(new, layer, seed, gain, shift, out[1], out[0])
    require_same(program, codes(seed, (5, *layer[0][1:])))


@pytest.mark.parametrize(
    ("kernel", "channels", "blocks"),
    [
        ((7, 9), 1, [63]),  # runs that end short of a tile register
        ((4, 3), 16, [192]),  # and right at its end
        ((3, 3), 64, [100, 200, 200, 76]),
        ((3, 3), 64, [36] * 16),
        ((3, 3), 64, [34] * 16 + [32]),  # more parts than tile registers take
    ],
)
@pytest.mark.parametrize("columns", [1, 33, 100])
@pytest.mark.parametrize("shift", [3, 14])
def test_vectors_packed_one_behind_the_other(new, kernel, channels, blocks, columns, shift):
    window = {"kernel": kernel, "out": (9, 15), "dilation": (1, 1), "stride": (1, 1), "pad": (1, 1)}
    layer = ((1, 9, 15, channels), window, columns, blocks)
    require_same(product(new, layer, 5, shift=shift), codes(5, (5, *layer[0][1:])))


@pytest.mark.parametrize(
    ("channels", "blocks", "out_type", "shift", "form"),
    [
        (7, [63], "i16", 18, "split"),
        (7, [30, 33], "i8", 24, "estimated"),
        (7, [30, 33], "i16", 18, "split"),
        (16, [144], "i16", 18, "split"),
        (16, [70, 74], "i8", 26, "estimated"),
    ],
)
@pytest.mark.parametrize("columns", [1, 16, 33, 70])
def test_products_that_floats_leave_in_doubt(new, channels, blocks, out_type, shift, form, columns):
    """Results lie as near the middle between two as floats err; the wider layers are for tile registers."""
    window = {"kernel": (3, 3), "out": (9, 15), "dilation": (1, 1), "stride": (1, 1), "pad": (1, 1)}
    layer, ends = ((1, 9, 15, channels), window, columns, blocks), {"i8": (-127, 127), "i16": (-32767, 32767)}
    whole = {"gain": (32768, 15), "adc": {"bits": 28}}
    program = product(new, layer, columns, shift=shift, out_type=out_type, limits=ends[out_type], **whole)
    images = codes(3, (5, *layer[0][1:]), -40, 40)
    require_form(program, None, form)
    require_same(program, images)


@pytest.mark.parametrize("rounding", ["nearest-even", "floor"])
@pytest.mark.parametrize("gain", [(32768, 15), (40001, 30), (65535, 38), (32768, 39)])
@pytest.mark.parametrize("bits", [4, 8, 14])
def test_imperfect_converters(new, rounding, gain, bits):
    """Errors from far below an LSB to many of them; beyond k = 38 numpy does the work."""
    sketch = new(1 << 14, array=ARRAY, adc={"bits": bits, "rounding": rounding}).gain(*gain)
    sketch.block(0, np.random.default_rng(bits).integers(-508, 508, (70, 33)).tolist(), (0, 0, 3))
    sketch.port("x", (9, 70), 0).port("y", (9, 33), 4096, "i16", output=True).tensor(0, (9, 70))
    sketch.tensor(1, (9, 33), 4096, type="i16").put("capture", in_=0, out=1, block=0)
    for scale in ("0.001", "1", "60"):
        profile = load_profile(f"generic,adc.offset={scale},adc.gain=0.03,adc.inl={scale},output.sigma={scale}")
        noise = replace(CYCLE, profile=profile, sources=frozenset({"output", "adc"}))
        require_same(sketch.program(), codes(bits, (4, 9, 70)), noise, native=gain[1] <= 38)
        runs = Interpreter(sketch.program(), executor=COMPILED[-1], noise=noise)._executor.runs
        assert all(run.native for run in runs) == (gain[1] <= 38)


@pytest.mark.parametrize("rounding", ["nearest-even", "floor"])
@pytest.mark.parametrize("bits", [4, 8, 24, 32])
@pytest.mark.parametrize("gain", [(32768, 16), (49152, 17), (65535, 24), (33333, 18)])
def test_every_sum_around_ties(new, ask, rounding, bits, gain):
    """Weights of 1 and 508 reach every sum from -64,643 to 64,643; halves of an LSB are ties."""
    sketch = new(array=ARRAY, adc={"bits": bits, "rounding": rounding}).gain(*gain)
    sketch.block(0, [[508], [1]])
    vectors = [[a, b] for a in (-127, -64, -1, 0, 1, 2, 127) for b in range(-127, 128, 5)]
    sketch.data(0, [x for vector in vectors for x in vector], (len(vectors), 2))
    sketch.tensor(1, (len(vectors),), type="i64" if bits > 24 else "i32").activation_bytes = 8192
    sketch.put("capture", in_=0, out=1, block=0)
    ask(sketch)


@pytest.mark.parametrize("rows", [260, 1000])
@pytest.mark.parametrize("offset", [0, 2**24 - 1, 2**24 + 1, -(2**51)])
def test_extremes(new, rows, offset):
    """Sums, offsets and results at the ends of float and beyond."""
    sketch = new(1 << 14, array=ARRAY, adc={"bits": 24}).gain(65535, 16)
    sketch.block(0, [[508, -508, i % 2] for i in range(rows)])
    tables = {"scale": sketch.table([65535, -65535, 1], "i32"), "bias": sketch.table([offset] * 3, "i64")}
    sketch.port("x", (rows,), 0).port("y", (3,), 4096, "i32", output=True).tensor(0, (rows,)).tensor(
        1, (3,), 4096, type="i32"
    )
    sketch.put("mvm", in_=0, out=1, block=0, blocks=1, shift=20, low=-(2**31), high=2**31 - 1, **tables)
    images = np.stack([np.full(rows, value, np.int8) for value in (-127, -1, 0, 1, 126, 127)])
    require_same(sketch.program(), images)


LINES = [  # channels, and a window that has results of so many rows and columns
    (64, (6, 5), {"kernel": (3, 3), "pad": (1, 1)}),
    (16, (5, 7), {"kernel": (3, 3), "pad": (1, 1)}),
    (8, (9, 6), {"kernel": (2, 5), "dilation": (1, 2), "pad": (0, 3)}),
    (2, (4, 30), {"kernel": (1, 3), "pad": (0, 1)}),
    (192, (5, 2), {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 0)}),
    (128, (4, 3), {"kernel": (5, 6), "stride": (1, 1), "pad": (2, 2)}),
    (57, (5, 3), {"kernel": (4, 1), "stride": (1, 2), "pad": (-1, 0)}),
]


@pytest.mark.parametrize("bias", [0, 2**24 + 1])
@pytest.mark.parametrize(("read", "written"), [("i8", "i8"), ("u8", "i8"), ("i8", "u8"), ("u8", "u8")])
@pytest.mark.parametrize(("channels", "out", "window"), LINES)
def test_weighted_sums_of_bytes(new, channels, out, window, read, written, bias):
    """Lines of one vector and of all of a row, in whole pieces and not; many results are ties or nearly so."""
    shape, vectors, rng = (11, 9, channels), out[0] * out[1], np.random.default_rng(channels)
    low, high = (5, 250) if written == "u8" else (-100, 120)
    sketch = new(1 << 16).port("x", shape, 0, read).port("y", (vectors, channels), 1 << 15, written, output=True)
    sketch.tensor(0, (1, *shape), type=read).window(0, out=out, fill=7, **window)
    sketch.tensor(1, (vectors, channels), 1 << 15, type=written)
    taps = window["kernel"][0] * window["kernel"][1]
    tables = {
        "weights": sketch.table(rng.integers(-128, 128, taps * channels).tolist(), "i8"),
        "scale": sketch.table(rng.choice([0, 2**12, -(2**15), 12345], channels).tolist(), "i32"),
        "bias": sketch.table(rng.choice([bias, -bias, 2**15], channels).tolist(), "i64"),
    }
    sketch.put("depthwise", in_=0, out=1, multiplier=1, taps="i8", shift=16, low=low, high=high, **tables)
    program = sketch.program()
    (run,) = Interpreter(program, executor=COMPILED[0])._executor.runs
    assert run.lowered[0].step.quads
    require_same(program, rng.integers(*((0, 256) if read == "u8" else (-128, 128)), (5, *shape)).astype(DTYPES[read]))


def digital(new, name, channels, **operands):
    """A program of one instruction of the digital unit over a 6 x 7 image."""
    sketch = new(1 << 14).port("x", (6, 7, channels), 0).tensor(0, (1, 6, 7, channels))
    vectors, window = 42, name in ("depthwise", "poolmax", "poolsum")
    if window:
        vectors = 12
        sketch.window(0, (3, 2), (3, 4), stride=(2, 2), pad=(1, 1), fill=-127)
    sketch.tensor(1, (vectors, channels), 8192, type=operands.pop("type", "i8"))
    sketch.port("y", (vectors, channels), 8192, operands.pop("port", "i8"), output=True)
    rng = np.random.default_rng(channels)
    for key, (low, high, count, type_name) in operands.pop("tables", {}).items():
        operands[key] = sketch.table(rng.integers(low, high, count).tolist(), type_name)
    if "table_type" in operands:
        operands["type"] = operands.pop("table_type")
    return sketch.put(name, out=1, **operands).program()


@pytest.mark.parametrize("channels", [1, 6, 16, 33, 64])
@pytest.mark.parametrize("shift", [3, 13, 21])
def test_digital_unit(new, channels, shift):
    images = codes(shift, (6, 6, 7, channels))
    ends = {"shift": shift, "low": -127, "high": 127}
    tables = {"scale": (-65535, 65535, channels, "i32"), "bias": (-(2**30), 2**30, channels, "i64")}
    weights = {"weights": (-128, 128, 6 * channels, "i8")}
    one = {"scale": (1, 65535, 1, "i32"), "bias": (-(2**20), 2**20, 1, "i64")}
    require_same(
        digital(new, "depthwise", channels, in_=0, multiplier=1, taps="i8", tables=weights | tables, **ends), images
    )
    require_same(digital(new, "poolmax", channels, in_=0, low=-100, high=90), images)
    require_same(digital(new, "poolsum", channels, in_=0, per="all", tables=one, **ends), images)
    require_same(digital(new, "affine", channels, in_=0, period=channels, tables=tables, **ends), images)
    for ma, mb, bias in ((10068, 36588, -802132), (65535, -65535, 2**29), (1, 1, 1)):
        require_same(digital(new, "add", channels, a=0, b=0, ma=ma, mb=mb, bias=bias, **ends), images)
    for za, zb, m, bias in ((0, 0, 3, 0), (-128, 127, 65535, 2**40), (65535, -65536, -65535, -(2**30))):
        product = {"a": 0, "b": 0, "za": za, "zb": zb, "m": m, "bias": bias}
        require_same(digital(new, "mul", channels, **product, **ends), images)
        wide = {**ends, "low": -32768, "high": 32767, "type": "i16", "port": "i16"}
        require_same(digital(new, "mul", channels, **product, **wide), images)
    require_same(digital(new, "move", channels, in_=0), images)
    table = {"table": (-128, 128, 256, "i8")}
    require_same(digital(new, "lut", channels, in_=0, entries=256, first=-128, table_type="i8", tables=table), images)


@pytest.mark.parametrize("bias", [0, 2**24 + 1, -(2**24) - 1, 2**24 + 3])
def test_results_that_floats_leave_in_doubt(new, bias):
    """Half of the results are ties, or miss one by less than a float of their size can say."""
    images = codes(5, (5, 6, 7, 16))
    tables = {"scale": (2**15, 2**15 + 1, 16, "i32"), "bias": (bias, bias + 1, 16, "i64")}
    ends = {"shift": 16, "low": -32767, "high": 32767, "type": "i16", "port": "i16"}
    weights = {"weights": (-2, 3, 6 * 16, "i8")}
    require_same(digital(new, "affine", 16, in_=0, period=16, tables=tables, **ends), images)
    require_same(digital(new, "depthwise", 16, in_=0, multiplier=1, taps="i8", tables=weights | tables, **ends), images)
    require_same(digital(new, "add", 16, a=0, b=0, ma=2**14, mb=2**16 - 1, bias=bias, **ends), images)


@pytest.mark.parametrize(("channels", "direct"), [(15, 0), (16, 1), (33, 1)])
@pytest.mark.parametrize(("name", "operands"), [("poolmax", {}), ("poolsum", {"per": "all", "shift": 3})])
def test_pools_read_a_block_of_channels_or_more_where_they_lie(new, name, operands, channels, direct):
    sketch = new(1 << 14).port("x", (6, 8, channels), 0).tensor(0, (1, 6, 8, channels))
    sketch.window(0, (2, 2), (3, 4), stride=(2, 2), pad=(0, 0), fill=-127).tensor(1, (12, channels), 8192)
    sketch.port("y", (12, channels), 8192, output=True)
    if name == "poolsum":
        operands |= {"scale": sketch.table([3], "i32"), "bias": sketch.table([5], "i64")}
    program = sketch.put(name, in_=0, out=1, low=-100, high=90, **operands).program()
    for kernels in COMPILED:
        (run,) = Interpreter(program, executor=kernels)._executor.runs
        assert run.lowered[0].step.direct == direct
    require_same(program, codes(channels, (5, 6, 8, channels)))


@pytest.mark.parametrize("channels", [1, 2, 10])
def test_softmax(new, channels):
    table = {"table": (1, 2**31 - 1, 40, "i32")}
    program = digital(
        new, "softmax", channels, in_=0, entries=40, numerator=65534, zero=-32767, low=-32767, high=32767,
        type="i16", port="i16", tables=table,
    )  # fmt: skip
    require_same(program, codes(channels, (5, 6, 7, channels)))


def test_occurrences_and_unaligned_columns_draw_as_numpy_does(new):
    """The same block read twice, at columns that begin within a block of random words."""
    sketch = new(4096, array=ARRAY).gain(40001, 20)
    sketch.block(0, np.random.default_rng(0).integers(-508, 508, (9, 21)).tolist(), (0, 3, 13))
    tables = {"scale": sketch.table([1000] * 21, "i32"), "bias": sketch.table([0] * 21, "i64")}
    sketch.port("x", (4, 9), 0).port("y", (2, 4, 21), 1024, output=True).tensor(0, (4, 9))
    for base in (1024, 1024 + 84):
        sketch.tensor(1, (4, 21), base)
        sketch.put("mvm", in_=0, out=1, block=0, blocks=1, shift=10, low=-127, high=127, **tables)
    require_same(sketch.program(), codes(2, (9, 4, 9)), CYCLE)


@pytest.mark.parametrize("kernels", on_processor())
def test_a_fault_of_the_third_chunk_is_told_from_the_first_of_threads(new, kernels):
    sketch = new(array=ARRAY).gain().block(0, [[1]]).port("x", (1,), 0).tensor(0, (1,)).tensor(1, (1,), 8)
    sketch.put("capture", in_=0, out=1, block=0)
    images = np.zeros((8, 1), np.int8)
    images[5] = -128
    with pytest.raises(Trap) as caught:
        Interpreter(sketch.program(), chunk=2, threads=2, executor=kernels).run({"x": images})
    assert caught.value.code == "CIM0513"


def test_without_the_library_numpy_does_the_work(new, monkeypatch):
    program = product(new, ((1, 4, 4, 3), {"kernel": (3, 3), "out": (2, 2)}, 5, [27]), 0)
    images = codes(0, (3, 4, 4, 3))
    wanted = Interpreter(program).run({"x": images})["y"]
    monkeypatch.setattr("cimc.backends.interpreter.library", lambda: None)
    assert on_processor() == ("numpy",)
    assert Interpreter(program).run({"x": images})["y"].tolist() == wanted.tolist()


def test_a_calibration_on_constants_is_done_once_with_the_noise_of_sample_0(new):
    sketch = new(array=ARRAY).gain(40001, 20).block(0, np.random.default_rng(1).integers(-508, 508, (9, 5)).tolist())
    sketch.data(0, np.random.default_rng(2).integers(-127, 127, 36).tolist(), (4, 9))
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=sketch.table([150] * 5, "i64"), per="column")
    tables = {"scale": sketch.table([30000] * 5, "i32"), "bias": sketch.table([0] * 5, "i64")}
    sketch.port("x", (2, 9), 0).port("y", (2, 5), 64, output=True).tensor(0, (2, 9)).tensor(1, (2, 5), 64)
    sketch.put("mvm", in_=0, out=1, block=0, blocks=1, shift=14, low=-127, high=127, **tables)
    program, images = sketch.program(), codes(3, (5, 2, 9))
    require_same(program, images, CYCLE)
    for n, image in enumerate(images):
        literal = reference.run(program, {"x": image.tolist()}, noise=replace(CYCLE, sample_offset=40 + n))["y"]
        assert Interpreter(program, noise=CYCLE).run({"x": image[None]}, first=40 + n)["y"].ravel().tolist() == literal


def test_programming_resets_a_calibration_that_depends_on_the_images(new, ask):
    sketch = new().gain().block(0, [[2]]).block(1, [[3]], (0, 1, 0)).port("x", (1,), 0).tensor(0, (1,))
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=sketch.table([90], "i64"), per="block")
    sketch.put("calibrate", in_=0, block=1, blocks=1, reference=sketch.table([90], "i64"), per="block")
    sketch.block(0, [[2]]).tensor(1, (1,), 8)
    tables = {"scale": sketch.table([1, 1], "i32"), "bias": sketch.table([0], "i64")}
    sketch.tensor(0, (1, 2), pitch=(0, 0, 0, 0))
    sketch.put("mvm", in_=0, out=1, block=0, blocks=2, shift=0, low=-127, high=127, **tables)
    ask(sketch, x=np.array([5]))


@pytest.mark.parametrize(
    ("gain", "bits", "narrow"),
    [
        ((60000, 20), 8, True),
        ((40001, 24), 8, True),
        ((65535, 20), 8, False),
        ((40001, 21), 18, True),
        ((40001, 21), 19, False),
    ],
)
@pytest.mark.parametrize("largest", [3, 127])
def test_codes_with_noise_that_floats_leave_in_doubt(new, gain, bits, narrow, largest):
    """Floats estimate codes where a unit of the sum is below 0.06 of an LSB, less for long codes; else doubles do."""
    layer = (1, 9, 9, 8), {"kernel": (3, 3), "out": (7, 7), "dilation": (1, 1), "stride": (1, 1), "pad": (0, 0)}, 30
    adc = {"bits": bits}
    program = product(new, (*layer, [72]), 1, gain=gain, shift=10, biases=1 << 12, scales=15, adc=adc)
    for kernels in COMPILED:
        (run,) = Interpreter(program, executor=kernels, noise=CYCLE)._executor.runs
        assert (run.lowered[0].step.certain == 1) == narrow
    require_same(program, codes(2, (6, 9, 9, 8), -largest, largest), CYCLE)


@pytest.mark.parametrize(("gains", "narrow"), [((17, 17), True), ((17, 22), False), ((22, 17), False)])
def test_codes_are_estimated_where_those_of_all_blocks_are(new, gains, narrow):
    """One block to a tile, of a smaller gain or a larger one."""
    sketch = new(1 << 14, array=ARRAY)
    for tile, bits in enumerate(gains):
        sketch.put("gain", tile=tile, scope="tile", multiplier=40001, divide=41 - bits)
        sketch.block(tile, np.random.default_rng(tile).integers(-508, 508, (30, 21)).tolist(), (tile, 0, 0))
    tables = {"scale": sketch.table([15] * 42, "i32"), "bias": sketch.table([7] * 21, "i64")}
    sketch.port("x", (9, 60), 0).port("y", (9, 21), 4096, output=True).tensor(0, (9, 60)).tensor(1, (9, 21), 4096)
    sketch.put("mvm", in_=0, out=1, block=0, blocks=2, shift=5, low=-127, high=127, **tables)
    for kernels in COMPILED:
        (run,) = Interpreter(sketch.program(), executor=kernels, noise=CYCLE)._executor.runs
        assert (run.lowered[0].step.certain == 1) == narrow
    require_same(sketch.program(), codes(1, (4, 9, 60)), CYCLE)


@pytest.mark.parametrize(("bits", "native"), [(8, True), (9, False)])
def test_squares_of_inputs_have_16_bits_or_numpy_makes_the_noise(new, bits, native):
    sketch = new(1 << 14, array=ARRAY, dac={"bits": bits}).gain(40001, 20)
    sketch.block(0, np.random.default_rng(0).integers(-508, 508, (9, 21)).tolist())
    sketch.port("x", (40, 9), 0, "i16").port("y", (40, 21), 4096, output=True).tensor(0, (40, 9), type="i16")
    sketch.tensor(1, (40, 21), 4096).put("capture", in_=0, out=1, block=0)
    images = np.random.default_rng(1).choice([-1, 0, 1], (3, 40, 9)).astype(np.int16) * (2 ** (bits - 1) - 1)
    require_same(sketch.program(), images, CYCLE, native)


def test_codes_with_noise_that_whole_numbers_do_not_tell(new):
    """Of codes in doubt some are another one for each whole number that their noise may be: then all is made again."""
    layer = (1, 9, 9, 8), {"kernel": (3, 3), "out": (7, 7), "dilation": (1, 1), "stride": (1, 1), "pad": (0, 0)}, 30
    program = product(new, (*layer, [72]), 1, shift=7, biases=1 << 12, scales=255)
    require_same(program, codes(2, (200, 9, 9, 8), -30, 30), CYCLE)


@pytest.mark.parametrize(
    ("blocks", "shift", "gain", "form"),
    [
        ([72], 21, (32768, 15), "estimated"),
        ([72], 28, (32768, 15), "estimated"),
        ([72], 16, (32768, 15), "split"),
        ([40, 32], 21, (32768, 15), "split"),
        ([40, 32], 9, (32768, 15), "doubles"),
        ([72], 21, (40001, 15), "doubles"),
    ],
)
@pytest.mark.parametrize("columns", [1, 16, 33, 70])
def test_results_with_noise_that_floats_leave_in_doubt(new, blocks, shift, gain, form, columns):
    """Where sums are codes, of one block, floats estimate results: where a unit of the sum is below 0.06 of one."""
    window = {"kernel": (3, 3), "out": (7, 7), "dilation": (1, 1), "stride": (1, 1), "pad": (0, 0)}
    layer = (1, 9, 9, 8), window, columns, blocks
    program = product(new, layer, columns, gain=gain, shift=shift, adc={"bits": 28})
    require_form(program, CYCLE, form)
    require_same(program, codes(2, (40, 9, 9, 8), -60, 60), CYCLE)


@pytest.mark.parametrize("blocks", [[72], [40, 32]])
@pytest.mark.parametrize("columns", [16, 70])
@pytest.mark.parametrize("noise", [None, CYCLE])
def test_results_in_the_middle_between_two_whole_numbers(new, blocks, columns, noise):
    """Units of results are 2^-6: one of 64 lies so, and is rounded to the even one."""
    window = {"kernel": (3, 3), "out": (7, 7), "dilation": (1, 1), "stride": (1, 1), "pad": (0, 0)}
    layer, sizes = ((1, 9, 9, 8), window, columns, blocks), {"shift": 6, "scales": 63, "biases": 1 << 10}
    whole = {"gain": (32768, 15), "adc": {"bits": 28}, "limits": (-32767, 32767), "out_type": "i16"}
    program = product(new, layer, columns, **sizes, **whole)
    require_form(program, noise, "split")
    require_same(program, codes(2, (5, 9, 9, 8), -5, 5), noise)


@pytest.mark.parametrize(
    ("blocks", "biases", "narrow"), [(2, 1 << 24, 1), (3, 1 << 22, 1), (3, 1 << 24, 0), (4, 1 << 22, 0)]
)
@pytest.mark.parametrize("noise", [None, CYCLE])
def test_totals_beyond_the_floats_are_clipped(new, blocks, biases, narrow, noise):
    """Terms reach 2^23 units: floats hold two of them, and a third at most rounds what is clipped anyway."""
    layer = (1, 9, 9, 8), {"kernel": (3, 3), "out": (7, 7), "dilation": (1, 1), "stride": (1, 1), "pad": (0, 0)}, 30
    program = product(new, (*layer, [72 // blocks] * blocks), 1, gain=(40001, 21), shift=14, biases=biases)
    for kernels in COMPILED:
        (run,) = Interpreter(program, executor=kernels, noise=noise)._executor.runs
        assert (run.lowered[0].step.certain == 1) == narrow
    require_same(program, codes(2, (6, 9, 9, 8)), noise)


@pytest.mark.parametrize("pad", [(250, 0), (0, 250), (250, 250), (3, 2), (0, 0)])
def test_windows_wholly_in_the_padding(new, pad):
    """Beyond the tensor there is nothing to spread, however far the padding reaches."""
    window = {"kernel": (2, 2), "out": (2, 100), "dilation": (1, 1), "stride": (1, 1), "pad": pad}
    program = product(new, ((1, 3, 101, 8), window, 5, [32]), 0)
    require_same(program, codes(0, (3, 3, 101, 8)))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 20), (64, 33), (256, 16)])
@pytest.mark.parametrize("largest", [3, 100, 1 << 21])
def test_variances_in_15_bits_are_as_near_as_they_say(rows, columns, largest):
    """Those of devices that hardly fluctuate as well, read alone."""
    rng = np.random.default_rng(rows)
    variances = (largest * rng.random((rows, columns)) ** 9).astype(np.int64) * (rng.random((rows, 1)) < 0.9)
    rounded, units, shares = lowering.rounded_variances(variances, 127**2)
    assert rounded.max() < 1 << 15 and rounded.sum(axis=0).max() * 127**2 < 1 << 31
    inputs = np.concatenate([np.eye(rows) * 127, rng.integers(-127, 127, (50, rows)) * (rng.random((50, rows)) < 0.3)])
    estimates = np.square(inputs) @ rounded
    for column in range(columns):
        block = estimates[:, column // 16 * 16 : column // 16 * 16 + 16].sum(axis=1)
        errors = np.abs(np.square(inputs) @ variances[:, column] / units[column] - estimates[:, column])
        assert np.all(errors <= shares[column] * block)


def test_variances_of_15_bits_are_estimated_as_they_are():
    variances = np.random.default_rng(0).integers(1, 2**15 - 1, (4, 33))
    rounded, units, shares = lowering.rounded_variances(variances, 1)
    assert rounded.tolist() == variances.tolist() and set(units.tolist()) == {1.0} and 0 < shares[:33].max() < 1e-9


@pytest.mark.parametrize("largest", [40000, 10**6, 2**31 + 1])
def test_what_rounding_a_quotient_hides_is_in_its_share(largest):
    """Quotients that are whole in doubles and not in truth, by rationals."""
    variances = np.arange(largest, largest - 400, -1).reshape(1, -1)
    rounded, units, shares = lowering.rounded_variances(variances, 1)
    for value, w, unit, share in zip(variances[0], rounded[0], units, shares, strict=True):
        assert abs(int(value) / Fraction(unit) - int(w)) <= Fraction(share) * int(w)


def test_variances_of_the_longest_column_and_the_largest_squares_stay_below_2_to_the_31():
    few = np.ones((2**16 - 1, 1), np.int64)
    few[:20] = 10**6
    rounded, *_ = lowering.rounded_variances(few, 181**2)
    assert rounded.min() == 1 and rounded.sum() * 181**2 < 2**31


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 63, 64, 65, 128, 200, 1000])
def test_checksums_are_those_of_zlib(length):
    memory = codes(length, (5, 1100))
    for dense in (memory[:, 3 : 3 + length], memory[::2, :length]):
        assert crcs(dense) == [zlib.crc32(image.tobytes()) for image in dense]


def test_checksums_of_what_lies_apart():
    values = codes(1, (3, 7, 9)).astype(np.int16)[:, :, ::-2]
    assert crcs(values) == [zlib.crc32(image.tobytes()) for image in values]


@pytest.mark.parametrize("length", [1, 7, 16, 33, 1025])
@pytest.mark.parametrize("kind", ["i8", "u8", "i16", "u16"])
@pytest.mark.parametrize("base", [0, 2, 62, 4096])
def test_results_may_lie_upon_the_elements_read(new, length, kind, base):
    """All elements are read before any result is written, be it in their place, a little behind it or elsewhere."""
    given = np.random.default_rng(length).integers(0, 100, (5, length)).astype(DTYPES[kind])
    for name, operands in {
        "add": {"a": 0, "b": 2, "ma": 40000, "mb": -10068, "bias": 2**15, "shift": 15, "low": 0, "high": 100},
        "mul": {"a": 0, "b": 2, "za": 3, "zb": -4, "m": 900, "bias": 5, "shift": 14, "low": 0, "high": 100},
    }.items():
        sketch = new(1 << 14).port("x", (length,), 0, kind).port("y", (length,), base, kind, output=True)
        sketch.tensor(0, (length,), type=kind).tensor(1, (length,), base, type=kind)
        sketch.data(2, [n % 120 for n in range(length)], (length,))
        require_same(sketch.put(name, out=1, **operands).program(), given)


@pytest.mark.parametrize("length", [1, 19, 64])
def test_tables_without_an_entry_for_0(new, length):
    images = codes(3, (5, length), low=5, high=104)
    sketch = new(1 << 14).port("x", (length,), 0).port("y", (length,), 4096, "i16", output=True)
    sketch.tensor(0, (length,)).tensor(1, (length,), 4096, type="i16")
    table = sketch.table([n * n - 300 for n in range(100)], "i16")
    require_same(sketch.put("lut", in_=0, out=1, table=table, type="i16", first=5, entries=100).program(), images)


@pytest.mark.parametrize("channels", [6, 16, 48])
@pytest.mark.parametrize("kind", ["i8", "u8", "i16", "u16"])
@pytest.mark.parametrize("base", [0, 4096])
def test_pools_whose_elements_are_read_once(new, channels, kind, base):
    """They are read where they lie, unless results would overwrite some of them."""
    given = np.random.default_rng(channels).integers(0, 100, (5, 6, 4, channels)).astype(DTYPES[kind])
    ends = {"low": 3, "high": 90}
    for name, operands in {
        "poolmax": {},
        "poolsum": {"per": "all", "scale": 40000, "bias": 2**16, "shift": 18},
    }.items():
        sketch = new(1 << 14).port("x", (6, 4, channels), 0, kind).port("y", (6, channels), base, kind, output=True)
        sketch.tensor(0, (1, 6, 4, channels), type=kind).window(0, (2, 2), (3, 2), stride=(2, 2))
        sketch.tensor(1, (6, channels), base, type=kind)
        for key, element_type in (("scale", "i32"), ("bias", "i64")):
            if key in operands:
                operands[key] = sketch.table([operands[key]], element_type)
        require_same(sketch.put(name, in_=0, out=1, **operands, **ends).program(), given)
