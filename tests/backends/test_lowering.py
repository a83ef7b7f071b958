"""What kernels are told: rectangles that hold what a stream reads, digits of variances, and which form a step takes."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.backends.interpreter import Interpreter, on_processor
from cimc.backends.kernels import certainty, lowering, tiles
from cimc.backends.kernels.layout import even_step, rectangle
from cimc.backends.kernels.library import ADD, COPY, PRODUCT, SUM, NativeStep
from cimc.backends.plan.exact import Epilogue, Rounding
from cimc.backends.plan.state import Write
from cimc.backends.reference.memory import Memory
from cimc.isa.author import Author
from cimc.isa.streams import Im2colWindow, Shape, StreamState

pytestmark = pytest.mark.skipif(not on_processor()[1:], reason="the kernels were not built")
COMPILED = on_processor()[1:]
BYTES = np.random.default_rng(0).integers(-128, 128, 4096).astype(np.int8).tobytes()


@st.composite
def windows(draw: st.DrawFn) -> StreamState:
    """A window over a tensor with gaps between its rows and elements."""
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    shape = (1, draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 3)))
    across = shape[3] + draw(st.integers(0, 2))
    pitch = (0, across * shape[2] + draw(st.integers(0, 3)), across, 1)
    pad = (draw(st.integers(-1, 2)), draw(st.integers(-1, 2)))
    window = Im2colWindow(draw(pairs), draw(pairs), draw(pairs), pad, draw(pairs), draw(st.integers(-9, 9)))
    return StreamState("const", draw(st.sampled_from(["i8", "u8", "i16"])), 64, shape, pitch, window)


@st.composite
def tensors(draw: st.DrawFn) -> StreamState:
    """A plain tensor of any distances, most of them joining with their neighbours."""
    shape = tuple(draw(st.integers(1, 4)) for _ in range(4))
    pitch, dense = list[int](), 1
    for count in reversed(shape):
        pitch.insert(0, draw(st.sampled_from([dense, dense, dense, 0, 1, 7, -3])))
        dense = pitch[0] * count
    return StreamState("const", "i8", 2000, shape, tuple(pitch))  # type: ignore[arg-type]


def read(state: StreamState) -> list[list[int]]:
    """Return the vectors of a stream, element by element, by the reference."""
    sketch = Author({})
    assert sketch.table(np.frombuffer(BYTES, np.int8), "i8") == 0
    return Memory(sketch.program()).read(state)


def held(state: StreamState) -> list[list[int]] | None:
    """Return the vectors that a kernel makes of a stream's rectangle, None where it has none."""
    found = rectangle(state)
    if found is None:
        return None
    source, dtype = found.source, np.dtype({"i8": "i1", "u8": "u1", "i16": "<i2"}[state.type])
    cells = np.full((*source.size, source.count[2]), source.fill, np.int64)
    for at in np.ndindex(*source.count):
        byte = source.base + sum(n * pitch for n, pitch in zip(at, source.pitch, strict=True))
        cells[at[0] + source.first[0], at[1] + source.first[1], at[2]] = np.frombuffer(BYTES, dtype, 1, byte)[0]
    assert cells.size == found.size
    return cells.ravel()[found.places[:, None] + found.elements].tolist()


@given(windows())
def test_a_rectangle_holds_what_a_window_reads(state: StreamState) -> None:
    assert held(state) == read(state)


@given(tensors())
def test_a_rectangle_holds_what_a_tensor_reads(state: StreamState) -> None:
    vectors = held(state)
    assert vectors is None or vectors == read(state)
    assert vectors is not None or sum(count > 1 for count in state.shape) > 2


@given(tensors(), st.integers(1, 6))
def test_evenly_spaced_results_lie_where_the_stream_says(state: StreamState, columns: int) -> None:
    step = even_step(state, columns)
    places = [state.address(*at) - state.base for at in np.ndindex(*state.shape)]
    if step is not None and state.elements % columns == 0 and (len(places) == columns or columns > 1):
        assert places == [n // columns * step + n % columns for n in range(len(places))]
    if step is not None and columns == 1:
        assert places == [n * step for n in range(len(places))]


@given(st.lists(st.lists(st.integers(0, 2**40), min_size=2, max_size=2), min_size=1, max_size=3), st.integers(1, 181))
def test_digits_of_variances_are_exact_and_few(variances: list[list[int]], largest: int) -> None:
    rows = np.array(variances)
    try:
        digits, bits = lowering._digits(rows, largest**2)
    except lowering.Unsuitable:
        return
    assert sum(digit << bits * n for n, digit in enumerate(digits)).tolist() == variances
    assert all(digit.min() >= 0 and digit.max() < 2**15 for digit in digits)
    assert all(int(digit.sum(axis=0).max()) * largest**2 < 2**32 for digit in digits)


@pytest.mark.parametrize(("variance", "count"), [(2**15 - 1, 1), (2**15, 2), (2**30 - 1, 2), (2**30, 3)])
def test_a_digit_has_15_bits(variance: int, count: int) -> None:
    assert len(lowering._digits(np.array([[variance]]), 1)[0]) == count


def test_sums_of_digits_stay_below_2_to_the_32() -> None:
    """Sixteen rows of 2^14 times 2^14 would be 2^32 just so."""
    for rows, count in ((15, 1), (16, 2)):
        assert len(lowering._digits(np.full((rows, 1), 2**14), 2**14)[0]) == count


def kinds(sketch: Author, executor: str) -> list[int]:
    runs = Interpreter(sketch.program(), executor=executor)._executor.runs  # type: ignore[attr-defined]
    return [step.step.kind for run in runs for step in run.lowered]


@pytest.mark.parametrize(
    ("source", "out", "pitch", "kind"),
    [
        ("i8", "i8", (4, 4, 4, 1), COPY),
        ("i16", "i16", (4, 4, 4, 1), COPY),
        ("i8", "i16", (4, 4, 4, 1), ADD),
        ("i8", "i8", (8, 8, 8, 2), COPY),
        ("i8", "i8", (5, 5, 5, 1), COPY),
    ],
)
@pytest.mark.parametrize("executor", COMPILED)
def test_runs_of_one_type_are_copied(new, ask, source, out, pitch, kind, executor):  # type: ignore[no-untyped-def]
    sketch = new().port("x", (60,), 0).tensor(0, (3, 4), type=source, pitch=pitch).tensor(1, (3, 4), 128, type=out)
    sketch.put("move", in_=0, out=1)
    assert kinds(sketch, executor) == [kind]
    ask(sketch, x=np.arange(-30, 30))


def test_offsets_that_float_does_not_hold_are_added_in_double(new, written):  # type: ignore[no-untyped-def]
    """2 x 127 x 65535 less than 2^24 + 1 is odd, and every sum and result on the way would fit float."""
    sketch = new().data(0, [-127] * 64, (64,)).tensor(2, (64,), type="i32")
    limits = {"shift": 0, "low": -(2**21), "high": 2**21}
    sketch.put("add", a=0, b=0, out=2, ma=65535, mb=65535, bias=2**24 + 1, **limits)
    assert written(sketch) == [2**24 + 1 - 2 * 127 * 65535] * 64


@pytest.mark.parametrize(
    ("converter", "sign", "low", "high"),
    [
        ({"bits": 24}, 1, 1 - 2**23, 2**23 - 1),
        ({"bits": 24}, -1, 1 - 2**23, 2**23 - 1),
        ({"bits": 23, "codes": "unsigned"}, 1, 0, 2**23 - 1),
    ],
)
def test_codes_of_more_than_22_bits_are_rounded_in_double(new, written, converter, sign, low, high):  # type: ignore[no-untyped-def]
    """Parts of an LSB above 2^22, where float has none: sums times 50001 / 2^9."""
    unsigned = converter.get("codes") == "unsigned"
    sketch = new(adc=converter, read_phases=4 if unsigned else 1).gain(50001, 9).block(0, [[508], [1]])
    vectors = [[sign * 127, b] for b in range(-127, 128)]
    sketch.data(0, [x for vector in vectors for x in vector], (len(vectors), 2))
    sketch.tensor(1, (len(vectors),), type="i32").activation_bytes = 8192

    def code(total: int) -> int:
        return max(min(round(Fraction(total * 50001, 2**9)), high), low)

    exact = [code(508 * a + b) if not unsigned else code(508 * a + max(b, 0)) - code(max(-b, 0)) for a, b in vectors]
    assert written(sketch.put("capture", in_=0, out=1, block=0)) == exact


def test_the_lowest_code_of_16_bits_has_no_magnitude_of_16_bits(new, written):  # type: ignore[no-untyped-def]
    sketch = new(dac={"bits": 16, "codes": "full"}, adc={"bits": 24}, read_phases=2).gain().block(0, [[3]])
    sketch.data(0, [-(2**15), 1 - 2**15, 2**15 - 1], (3, 1), "i16").tensor(1, (3,), type="i32")
    assert written(sketch.put("capture", in_=0, out=1, block=0)) == [-3 * 2**15, 3 - 3 * 2**15, 3 * 2**15 - 3]


def test_sums_of_2_to_the_31_are_no_32_bit_sums(new, written):  # type: ignore[no-untyped-def]
    rows, wide = 1024, {"rows": 1024, "levels": 16384, "fraction_bits": 0}
    sketch = new(4096, array=wide, dac={"bits": 8, "codes": "full"}, adc={"bits": 33}).gain()
    sketch.block(0, [[-16384]] * rows).data(0, [-128] * rows, (rows,)).tensor(1, (1,), type="i64")
    assert written(sketch.put("capture", in_=0, out=1, block=0)) == [2**31]


@pytest.mark.parametrize("value", [2**15 - 1, 2**15, 2**16 - 1])
def test_devices_of_16_bits_are_no_weights_of_the_kernels(new, written, value):  # type: ignore[no-untyped-def]
    """Raw values reach 2^16 - 1, weights 2^15 - 1."""
    sketch = new(adc={"bits": 24}, array={"levels": 2**16 - 1, "fraction_bits": 0}).gain()
    sketch.block(0, [[0]]).data(0, [127, -127], (2, 1)).tensor(1, (2,), type="i32")
    sketch.put("pattern", tile=0, row=0, col=0, rows=1, cols=1, plus=value, minus=0)
    assert written(sketch.put("capture", in_=0, out=1, block=0)) == [127 * value, -127 * value]


@pytest.mark.parametrize(
    ("bounds", "multipliers", "bias", "before", "fused", "rounded"),
    [
        ([900], [3], 0, 0, True, 128),  # the result
        ([900], [3], 5, 0, True, 128),
        ([900], [3], 0, 0, False, 128),  # the product
        ([900], [3], 5, 0, False, 133 + 128),  # the product as large as leaves a result, and the result
        ([900], [1 / 3], 5, 0, True, 133 + 128),  # the multiplier and the result
        ([900], [3], 1 / 3, 0, True, 128 + 1 / 3),
        ([900], [3], 0, 50, True, 50 + 128),
        ([100, 200], [3, 3], 0, 0, True, 100 + 128),  # the first product and the sum
        ([100, 200], [3, 3], 5, 0, True, 100 + 133 + 128),
        ([100, 200], [3, 3], 0, 0, False, 100 + 200 + 128),
        ([100, 200], [3, 1 / 3], 0, 0, True, 100 + 128 + 100 + 200),
        ([100, 200, 400], [3, 3, 3], 0, 0, True, 100 + 300 + 128),
        ([9e9], [3], 0, 0, True, 128),  # what is larger is clipped
    ],
)
def test_floats_err_by_what_they_round(
    bounds: list[float], multipliers: list[float], bias: float, before: float, fused: bool, rounded: float
) -> None:
    """Each rounding is off by up to 2^-24; limits of either sign."""
    for low, high in ((-127, 0), (0, 127)):
        e = Epilogue(
            np.dtype(np.float64), tuple(np.array([m]) for m in multipliers), np.array([bias]), Rounding(0, 0, 0)
        )
        step = NativeStep(low=low, high=high)
        found = certainty.certainty(step, e, bounds, True, before, fused)
        assert found == pytest.approx(0.5 - 1.01 * rounded / 2**24, abs=1e-12)


@pytest.mark.parametrize(
    ("held", "is_exact", "before", "limit", "certain"),
    [
        (1, True, 1e9, 127, True),
        (1, False, 1e9, 127, False),
        (1, False, 498e3, 127, True),
        (0, True, 499e3, 127, False),
        (0, True, 0, 2**15, True),
        (0, True, 0, 2**22 - 1, True),
        (0, True, 0, 2**22, False),
    ],
)
def test_floats_estimate_where_few_results_are_left_in_doubt(
    held: int, is_exact: bool, before: float, limit: int, certain: bool
) -> None:
    e = Epilogue(np.dtype(np.float64), (np.ones(1),), np.zeros(1), Rounding(0, 0, 0))
    step = NativeStep(certain=held, low=-limit, high=limit)
    found = certainty.certainty(step, e, [1.0], is_exact, before)
    assert (found == 1) == bool(held and is_exact)
    assert (found >= certainty.LEAST_CERTAIN) == certain
    assert found in (0, 1) or certain


@pytest.mark.parametrize(("pitch", "native"), [((0, 50, 9, 1), False), ((0, 27, 9, 1), True), ((0, 12, 4, 1), True)])
@pytest.mark.parametrize("executor", COMPILED)
def test_vectors_that_are_not_evenly_spaced_stay_with_numpy(new, written, pitch, native, executor):  # type: ignore[no-untyped-def]
    sketch = new().gain().block(0, [[1, 2, 3, 4]]).data(0, range(6), (2, 3, 1)).tensor(1, (2, 3, 4), 0, pitch=pitch)
    sketch.put("capture", in_=0, out=1, block=0)
    assert [bool(run.native) for run in Interpreter(sketch.program(), executor=executor)._executor.runs] == [native]  # type: ignore[attr-defined]
    assert written(sketch) == [x * weight for x in range(6) for weight in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("kind", "signs", "squares", "scratch"),
    [(PRODUCT, 0, 0, 2048), (PRODUCT, 1, 0, 4032), (PRODUCT, 0, 1, 4032), (SUM, 0, 0, 4032)],
)
def test_scratch_holds_elements_of_16_bits_twice_or_floats(kind: int, signs: int, squares: int, scratch: int) -> None:
    step = NativeStep(kind=kind, signs=signs, squares=squares, room=1000)
    assert lowering.Lowered(step).scratch == scratch


@pytest.mark.parametrize(
    ("packed", "columns", "vectors"),
    [(0, 64, 0), (64, 64, 512), (1024, 256, 32), (1024, 257, 512), (4608, 512, 96), (1 << 15, 512, 32)],
)
def test_more_vectors_are_packed_where_weights_fill_the_next_cache(packed: int, columns: int, vectors: int) -> None:
    """Two bytes a weight reach 2^19 with 256 columns of 1,024 rows."""
    assert tiles.scratch(packed, columns) == packed * vectors


@pytest.mark.parametrize(
    ("shift", "limit", "biases", "bounds", "narrow"),
    [
        (0, 127, [0], [2**24 - 1], True),
        (0, 127, [0], [2**24], False),
        (1, 127, [0], [2**23 - 1], True),
        (1, 127, [0], [2**23], False),
        (0, 127, [0], [2**23, 2**23 - 1, 2**23], True),
        (0, 127, [0], [2**23, 2**23, 1], False),
        (0, 127, [2**24 - 128], [2**23, 2**23], True),
        (0, 127, [127 - 2**24], [2**23, 2**23], False),
        (0, 127, [127 - 2**24], [2**23, 2**23 - 1], True),
        (1, 127, [2**25 - 255], [2**22, 2**22], False),
        (0, 127, [2**24 + 1], [1], False),
        (0, 127, [0, 2**24 + 1], [1], False),
        (0, 127, [2**24 + 2, 0], [1], True),
        (1, 127, [2**24 + 1], [1], False),
        (0, 2**22 - 1, [0], [1], True),
        (0, 2**22, [0], [1], False),
        (3, 2**21, [0], [1], True),
        (3, 2**21 + 1, [0], [1], False),
    ],
)
def test_an_epilogue_is_in_float_where_floats_hold_every_number(
    shift: int, limit: int, biases: list[int], bounds: list[float], narrow: bool
) -> None:
    """Terms, sums before the last, offsets and limits, in units of 2^-shift; limits of either sign."""
    out = StreamState("act", "i32", 0, (1, 1, 1, len(biases)), (0, 0, 0, 1))
    for low, high in ((-limit, 0), (0, limit)):
        step, rounding = NativeStep(), Rounding(shift, low, high)
        one = Epilogue(np.dtype(np.float64), (np.ones(1),), np.array(biases) / 2**shift, rounding)
        write = Write(out, lambda chunk: np.zeros(0), low, high)
        lowering._results(lowering.Lowered(step), write, one, len(biases), bounds)
        assert step.certain == narrow


@pytest.mark.parametrize(
    ("shape", "pitch", "period", "columns"),
    [
        ((1, 1, 1, 4096), (0, 0, 0, 1), 1, 1024),
        ((1, 1, 64, 64), (0, 0, 64, 1), 3, None),
        ((1, 1, 1, 4095), (0, 0, 0, 1), 3, 819),
        ((1, 1, 1, 63), (0, 0, 0, 1), 1, 63),
        ((1, 1, 1, 320), (0, 0, 0, 1), 32, 320),
        ((1, 1, 1, 96), (0, 0, 0, 1), 32, 96),
        ((1, 1, 1, 600), (0, 0, 0, 1), 300, 600),
        ((1, 1, 1, 2 * 1021), (0, 0, 0, 1), 1, 1021),
        ((1, 1, 1, 2 * 1031), (0, 0, 0, 1), 1, 2),
        ((1, 1, 1, 3000), (0, 0, 0, 1), 1500, 1500),
        ((1, 1, 1, 1), (0, 0, 0, 1), 1, 1),
        ((1, 1, 9, 12), (0, 0, 20, 1), 4, 12),
        ((1, 1, 9, 12), (0, 0, 20, 1), 5, None),
        ((1, 2, 9, 12), (0, 500, 20, 1), 4, 12),
    ],
)
def test_elements_are_taken_so_many_at_a_time_that_tables_repeat_with_them(
    shape: Shape, pitch: Shape, period: int, columns: int | None
) -> None:
    """Of a line the most up to 1,024, or one turn of the tables; the vectors where there are gaps."""
    out = StreamState("act", "i8", 0, shape, pitch)
    if columns is None:
        with pytest.raises(lowering.Unsuitable):
            lowering._columns(out, period)
    else:
        assert lowering._columns(out, period) == columns


@pytest.mark.parametrize(
    ("offsets", "starts"),
    [([0, 1, 2, 3], [0, 2]), ([0, 1, 2], [0, 2]), ([0, 2, 3, 4, 7], [0, 2, 4, 7]), ([5], [5]), ([3, 4, 9, 10], [3, 9])],
)
def test_neighbouring_elements_make_pairs(offsets: list[int], starts: list[int]) -> None:
    """Seventeen columns are two blocks, of which the second holds one."""
    matrix = np.arange(17 * len(offsets)).reshape(-1, 17) + 1
    found, weights = lowering._pairs(np.array(offsets), matrix)
    assert found.tolist() == starts and weights.shape == (2, len(starts), 16, 2)
    held = {at + n: weights[:, pair, :, n].ravel() for pair, at in enumerate(starts) for n in (0, 1)}
    assert [held[offset][:17].tolist() for offset in offsets] == matrix.tolist()
    assert weights.sum() == matrix.sum()


def test_sums_of_2_to_the_26_are_no_sums_in_float(new, written):  # type: ignore[no-untyped-def]
    """25 taps of 127 times up to 2^15: a 32nd of sums of which float has no last three bits."""
    values = [[2**15 - 1 - n * k - k for k in range(25)] for n in range(32)]
    sketch = new(4096).data(0, np.array(values).T, (25, 1, 32), "i16").window(0, (25, 1), (1, 1))
    tables = {"scale": sketch.table([1] * 32, "i32"), "bias": sketch.table([0] * 32, "i64")}
    weights = sketch.tensor(1, (1, 32), type="i32").table([127] * 25 * 32, "i8")
    sketch.put(
        "depthwise", in_=0, out=1, multiplier=1, taps="i8", weights=weights, shift=5, low=0, high=2**22 - 1, **tables
    )
    assert written(sketch) == [round(Fraction(127 * sum(taps), 32)) for taps in values]


@pytest.mark.parametrize("moving", [0, 1])
def test_what_is_read_or_written_may_move_alone(new, ask, moving):  # type: ignore[no-untyped-def]
    sketch = new().port("x", (12,), 0).port("y", (12,), 64, output=True).tensor(0, (3,), 0).tensor(1, (3,), 64)
    sketch.put("loop", count=4).put("affine", in_=0, out=1, period=1, scale=sketch.table([2], "i32"), shift=0,
               bias=sketch.table([1], "i64"), low=-128, high=127)  # fmt: skip
    sketch.put("advance", stream=moving, by=3).put("endloop")
    codes = np.arange(-6, 6)
    seen = (codes[-3:] if moving == 0 else np.tile(codes[:3], 4)) * 2 + 1
    assert ask(sketch, x=codes)[1] == {"y": [*seen.tolist(), *[0] * (12 - len(seen))]}


@pytest.mark.parametrize(("space", "base", "apart"), [("act", 8, True), ("act", 7, False), ("const", 0, True)])
def test_streams_that_touch_are_apart(space: str, base: int, apart: bool) -> None:
    a, b = (StreamState(where, "i8", at, (1, 1, 1, 8), (0, 0, 0, 1)) for where, at in ((space, base), ("act", 0)))
    assert lowering._apart(a, b) == lowering._apart(b, a) == apart


@pytest.mark.parametrize(("channels", "fits"), [(15, True), (16, False)])
def test_rectangles_of_2_to_the_28_elements_stay_with_numpy(channels: int, fits: bool) -> None:
    """Four taps that lie 4,095 apart down and across."""
    window = Im2colWindow((2, 2), (1, 1), (4095, 4095), (0, 0), (1, 1), 0)
    state = StreamState("const", "i8", 0, (1, 1, 1, channels), (0, 0, 0, 1), window)
    result, constants = lowering.Lowered(NativeStep()), np.zeros(channels, np.uint8)
    if fits:
        assert lowering._rectangles(result, [state], constants).size == channels << 24
        assert result.step.room == (channels << 24) + 16
    else:
        with pytest.raises(lowering.Unsuitable):
            lowering._rectangles(result, [state], constants)


@pytest.mark.parametrize(
    ("shape", "pitch", "vectors"),
    [
        ((2, 3, 4, 5), (60, 20, 5, 1), 24),
        ((2, 3, 4, 5), (90, 30, 5, 1), 24),
        ((2, 3, 4, 5), (99, 33, 9, 2), 24),
        ((2, 3, 4, 5), (100, 36, 9, 2), 24),
        ((1, 3, 4, 5), (0, 99, 9, 2), 12),
        ((2, 3, 4, 1), (99, 36, 9, 1), 24),
        ((2, 3, 4, 5), (99, 30, 5, 1), None),
        ((2, 3, 4, 1), (99, 30, 5, 1), None),
        ((2, 3, 4, 5), (999, 99, 9, 2), None),
    ],
)
def test_axes_outside_vectors_that_join_to_two_make_a_rectangle(
    shape: Shape, pitch: Shape, vectors: int | None
) -> None:
    found = rectangle(StreamState("const", "i8", 0, shape, pitch))
    assert (found and len(found.places)) == vectors


@pytest.mark.parametrize(
    ("window", "first", "size"),
    [
        (Im2colWindow((1, 1), (2, 3), (1, 1), (0, 0), (3, 2), 0), (0, 0), (3, 2)),
        (Im2colWindow((1, 1), (2, 3), (1, 1), (1, 0), (3, 2), 0), (1, 0), (5, 2)),
        (Im2colWindow((1, 1), (2, 3), (1, 1), (0, 1), (3, 2), 0), (0, 1), (3, 4)),
        (Im2colWindow((2, 1), (2, 3), (1, 1), (0, 0), (2, 2), 0), (0, 0), (4, 2)),
        (Im2colWindow((1, 1), (2, 3), (1, 1), (0, 0), (4, 2), 0), (0, 0), (7, 2)),
    ],
)
def test_a_kernel_of_one_place_leaves_out_what_it_strides_over(
    window: Im2colWindow, first: tuple[int, int], size: tuple[int, int]
) -> None:
    """Not where it reads padding, which strides as well."""
    state = StreamState("const", "i8", 64, (1, 5, 6, 2), (60, 12, 2, 1), window)
    found = rectangle(state)
    assert found and (found.source.first[0], found.source.first[1]) == first and tuple(found.source.size) == size
    assert held(state) == read(state)


@pytest.mark.parametrize(
    ("shape", "pitch", "columns", "step"),
    [
        ((1, 1, 1, 1), (9, 9, 9, 9), 1, 2),
        ((1, 1, 3, 4), (12, 12, 4, 1), 4, 8),
        ((1, 1, 3, 4), (12, 12, 4, 1), 2, 4),
        ((1, 1, 3, 4), (0, 0, 7, 1), 4, 14),
        ((1, 1, 3, 4), (0, 0, -4, 1), 4, -8),
        ((1, 1, 3, 4), (0, 0, 3, 1), 4, None),
        ((1, 1, 3, 4), (0, 0, 7, 1), 2, None),
        ((1, 1, 3, 4), (0, 0, 7, 2), 4, None),
        ((1, 1, 1, 4), (0, 0, 0, 3), 1, 6),
        ((1, 1, 1, 4), (0, 0, 0, 0), 1, None),
        ((1, 2, 3, 4), (0, 50, 7, 1), 4, None),
    ],
)
def test_results_with_gaps_between_vectors_are_evenly_spaced(
    shape: Shape, pitch: Shape, columns: int, step: int | None
) -> None:
    assert even_step(StreamState("act", "i16", 0, shape, pitch), columns) == step


@pytest.mark.parametrize(
    ("shape", "pitch", "cells"),
    [((1, 1, 128, 4), (512, 512, 4, 1), 16), ((1, 1, 7, 4), (28, 28, 4, 1), 7), ((1, 1, 128, 64), (0, 0, 64, 1), 1)],
)
def test_cells_that_are_each_one_vector_are_told_apart_no_further_than_the_kernels_need(
    shape: Shape, pitch: Shape, cells: int
) -> None:
    found = rectangle(StreamState("const", "i8", 0, shape, pitch))
    assert found and found.uses.tolist() == [[1.0] * cells]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (64, 16), (65, 17), (200, 33)])
def test_digits_for_tile_registers_make_up_the_weights(rows: int, columns: int) -> None:
    matrix = np.random.default_rng(rows).integers(-tiles.LARGEST, tiles.LARGEST, (rows, columns), endpoint=True)
    matrix[0, 0], matrix[-1, -1] = -tiles.LARGEST, tiles.LARGEST
    high, low = np.moveaxis(tiles.digits(matrix).astype(int), 2, 0)
    found = (256 * high + low).transpose(1, 2, 4, 0, 3).reshape(tiles.depth(rows) * 64, -1)
    assert np.array_equal(found[:rows, :columns], matrix)
    assert not found[rows:].any() and not found[:, columns:].any()


@pytest.mark.parametrize(
    ("elements", "found"),
    [([5], [[5, 1]]), ([0, 1, 2, 9, 10], [[0, 3], [9, 2]]), ([3, 2, 1], [[3, 1], [2, 1], [1, 1]])],
)
def test_neighbours_among_elements_are_packed_together(elements: list[int], found: list[list[int]]) -> None:
    assert tiles.runs(np.array(elements)).tolist() == found


@pytest.mark.parametrize(
    ("blocks", "largest", "columns", "suits"),
    [
        ([64], 508, 16, True),
        ([63], 508, 16, False),  # too little to multiply
        ([64], tiles.LARGEST, 16, True),
        ([64], tiles.LARGEST + 1, 16, False),
        ([64] * 16, 508, 64, True),
        ([64] * 17, 508, 64, False),
        ([1 << 16], 508, 64, True),
        ([1 << 16], 508, 65, False),  # tables too large
    ],
)
def test_what_suits_tile_registers(blocks: list[int], largest: int, columns: int, suits: bool) -> None:
    assert tiles.suit([np.full((rows, columns), -largest) for rows in blocks]) is suits
