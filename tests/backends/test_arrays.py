"""Programming, reading and products of the arrays, on both interpreters."""

import pytest

from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise

MVM = {"shift": 0, "low": -(2**31), "high": 2**31 - 1}
MATRIX = [[1, -2], [3, 4], [0, 508]]


def loaded(new, values=(1, -1, 2), vectors=1, **sections):
    """Return a program with gain 1, MATRIX as block 0 and `vectors` rows of values in stream 0."""
    sketch = new(**sections).gain().block(0, MATRIX)
    return sketch.data(0, values, (vectors, len(values) // vectors))


def mvm(sketch, outputs, blocks=1, scale=(1, 1), bias=(0, 0), **facts):
    """Append a product into an i32 tensor."""
    tables = {"scale": sketch.table(scale, "i32"), "bias": sketch.table(bias, "i64")}
    sketch.tensor(1, outputs, 64, type="i32")
    return sketch.put("mvm", in_=0, out=1, block=0, blocks=blocks, **tables, **(MVM | facts))


def test_capture_gives_clipped_codes(new, written):
    sketch = loaded(new, (1, -1, 2, 1, 1, 0), 2).tensor(1, (2, 2))
    assert written(sketch.put("capture", in_=0, out=1, block=0)) == [-2, 127, 4, 2]


@pytest.mark.parametrize(("codes", "lowest"), [("symmetric", -127), ("full", -128)])
def test_range_of_the_adc(new, written, codes, lowest):
    sketch = loaded(new, (0, 0, -2), adc={"codes": codes}).tensor(1, (2,))
    assert written(sketch.put("capture", in_=0, out=1, block=0)) == [0, lowest]


@pytest.mark.parametrize(("rounding", "codes"), [("nearest-even", [-2, 2]), ("floor", [-2, 1])])
def test_rounding_of_the_adc(new, written, rounding, codes):
    sketch = new(adc={"rounding": rounding}).gain(1 << 15, 16).block(0, [[-3, 3]]).data(0, [1], (1,)).tensor(1, (2,))
    assert written(sketch.put("capture", in_=0, out=1, block=0)) == codes


def test_mvm_applies_multipliers_offsets_and_one_rounding(new, written):
    sketch = mvm(loaded(new), (2,), scale=(3, -1), bias=(1, 0), shift=1)
    assert written(sketch) == [-2, -64]


def test_mvm_clamps(new, written):
    assert written(mvm(loaded(new), (2,), low=-1, high=100)) == [-1, 100]


def test_mvm_joins_blocks_after_their_adcs(new, written):
    sketch = new().gain().block(0, [[100], [100]]).block(1, [[50]], (1, 3, 2)).data(0, [1, 1, 2], (3,))
    assert written(mvm(sketch, (1,), 2, (2, -1), (5,))) == [2 * 127 - 100 + 5]


def test_mvm_over_a_window(new, written):
    sketch = new().gain().block(0, [[1], [2], [3], [4]]).data(0, range(1, 7), (2, 3, 1))
    sketch.window(0, (2, 2), (2, 2), fill=-1)
    assert written(mvm(sketch, (2, 2, 1), scale=(1,), bias=(0,))) == [37, 47, 14 - 7, 17 - 7]


def test_gains_belong_to_tiles(new, ask):
    sketch = new().gain(1 << 15, 16).put("gain", tile=1, scope="tile", multiplier=1 << 15, divide=14)
    sketch.tensor(0, (1,))
    for tile in (0, 1):
        sketch.put("selftest", tile=tile, col=7, value=20, out=0)
    sketch.gain().put("selftest", tile=1, col=0, value=-200, out=0)
    assert [values for _, values in ask(sketch)[0]] == [[10], [40], [-127]]


def test_program_sets_both_devices_and_verify_counts_wrong_ones(new, ask):
    sketch = new().block(0, [[5, -6]], (1, 2, 3)).tensor(0, (1,), type="i16")
    for col, polarity in ((3, "plus"), (3, "minus"), (4, "plus"), (4, "minus")):
        sketch.put("readcell", tile=1, row=2, col=col, polarity=polarity, out=0)
    sketch.put("verify", block=0, data=sketch.matrix([[7, -6]]), tolerance=1, out=0)
    sketch.put("pattern", tile=1, row=2, col=3, rows=1, cols=1, plus=9, minus=1)
    sketch.put("verify", block=0, data=0, tolerance=0, out=0)
    assert [values[0] for _, values in ask(sketch)[0]] == [5, 0, 0, 6, 1, 2]


def test_a_skipped_device_keeps_what_it_was(new, ask):
    sketch = new(array={"unprogrammed": 4}).block(0, [[5], [6]]).block(1, [[0], [-7], [0]], zeros="skip")
    sketch.tensor(0, (1,), type="i16")
    for row, polarity in ((0, "plus"), (1, "plus"), (1, "minus"), (2, "plus")):
        sketch.put("readcell", tile=0, row=row, col=0, polarity=polarity, out=0)
    assert [values[0] for _, values in ask(sketch)[0]] == [5, 6, 7, 4]


def test_a_block_sees_what_is_programmed_over_it_later(new, written):
    sketch = new().gain().block(0, [[1, 2], [3, 4]]).block(1, [[50]], (0, 1, 1)).data(0, [1, 1], (2,)).tensor(1, (2,))
    assert written(sketch.put("capture", in_=0, out=1, block=0)) == [4, 52]


def test_never_programmed_devices_conduct_what_the_target_says(new, written):
    sketch = (
        new(array={"unprogrammed": 3}).gain().block(0, [[0, 9, -9]], zeros="skip").data(0, [1], (1,)).tensor(1, (3,))
    )
    assert written(sketch.put("capture", in_=0, out=1, block=0)) == [0, 6, -6]


@pytest.mark.parametrize("cell", [0, 9])
def test_a_time_that_a_profile_does_not_know_matters_where_there_is_a_device(new, ask, cell):
    sketch = new().gain().block(0, [[cell]], zeros="skip").data(0, [1], (1,)).tensor(1, (1,))
    sketch.put("capture", in_=0, out=1, block=0)
    end = ask(sketch, Noise(load_profile("reram-wan"), time_s=3600))[1]
    assert end == (("CIM0532", None, ()) if cell else {})


def test_time_changes_nothing_without_noise(new, written):
    assert written(mvm(loaded(new).put("time", seconds=10**9), (2,))) == [-2, 127]


@pytest.mark.parametrize(
    ("per", "references", "factors"), [("column", [3, 150], [1.5, 0.75]), ("block", [404], [2, 2])]
)
def test_calibration_scales_the_multipliers(new, written, per, references, factors):
    sketch = new().gain().block(0, [[2, 100], [0, 100]]).data(0, [1, 0, 0, 1], (2, 2))
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=sketch.table(references, "i64"), per=per)
    expected = [round(64 * factor) * code for code, factor in zip((2, 100), factors, strict=True)]
    assert written(mvm(sketch, (2, 2), scale=(64, 64)))[:2] == expected


def test_calibration_is_reset_by_programming(new, written):
    sketch = new().gain().block(0, [[2]]).data(0, [1], (1,))
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=sketch.table([8], "i64"), per="block")
    assert written(mvm(sketch.block(0, [[3]]), (1,), scale=(10,), bias=(0,))) == [30]


def test_calibration_factors_are_clamped_and_one_for_sums_of_zero(new, written):
    sketch = new().gain().block(0, [[1, 1, 0]]).data(0, [1], (1,))
    references = sketch.table([2**40, -5, 7], "i64")
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=references, per="column")
    assert written(mvm(sketch, (3,), scale=(1 << 14,) * 3, bias=(0,) * 3)) == [65535, 1, 0]


def test_calibration_on_the_samples_own_data_stays_with_the_sample(new, ask):
    import numpy as np

    sketch = new().gain().block(0, [[4, 1], [1, 2]]).port("x", (2,), 0).tensor(0, (2,))
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=sketch.table([9, 9], "i64"), per="column")
    mvm(sketch, (2,), scale=(1000, 1000))
    for x in ([1, 2], [3, -3], [0, 0]):
        ask(sketch, x=np.array(x, np.int8))


def test_capture_of_a_converter_that_neither_clips_nor_rounds(new, written):
    sketch = loaded(new, (127, -127, 127), adc={"bits": 32}).tensor(1, (2,), type="i32")
    assert written(sketch.put("capture", in_=0, out=1, block=0)) == [-254, 127 * (-2 - 4 + 508)]
