"""Tolerance bands: good chips pass about as often as stated, a chip of twice the spread does not."""

from dataclasses import replace

import numpy as np
import pytest

from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.bands import BATCH, bands, differences, judged, layer_codes
from cimc.backends.silicon.student import student

NOISE = Noise(load_profile("pcm"), 0, 3600)


SIZE = 40


def chain(new, layers=3, places=None):
    """Layers of 40 x 40, one after the other, in as many places of memory; each has its own by default."""
    at = [SIZE * (number % (places or layers + 1)) for number in range(layers + 1)]
    rng = np.random.default_rng(4)
    sketch = new(2048, array={"rows": 2 * SIZE, "columns": SIZE}).port("x", (SIZE,), 0).gain(40000, 22)
    sketch.port("y", (SIZE,), at[layers], output=True)
    tables = {"scale": sketch.table([9000] * SIZE, "i32"), "bias": sketch.table([0] * SIZE, "i64")}
    for number in range(layers):
        sketch.block(number, rng.integers(-508, 509, (SIZE, SIZE)), (number % 2, SIZE * (number // 2), 0))
        sketch.tensor(0, (1, SIZE), at[number]).tensor(1, (1, SIZE), at[number + 1])
        sketch.put("mvm", in_=0, out=1, block=number, blocks=1, **tables, shift=11, low=-127, high=127)
    return sketch.program()


def images(count):
    return {"x": np.random.default_rng(3).integers(-127, 128, (count, SIZE)).astype(np.int8)}


def drawn(program, x, profile, seeds):
    for seed in seeds:
        yield layer_codes(program, x, replace(NOISE, profile=load_profile(profile), seed=seed))


@pytest.mark.parametrize("confidence", [0.6, 0.95])
def test_chips_of_the_profile_pass_about_as_often_as_stated(new, confidence):
    program, x = chain(new), images(30)
    exact = layer_codes(program, x)
    chips = [{n: differences(exact[n], chip[n]) for n in exact} for chip in drawn(program, x, "pcm", range(60))]
    known = bands(exact, chips, confidence)
    passed = np.mean(
        [
            all(one.inside for band in known for one in judged(band, chip[band.name]))
            for chip in drawn(program, x, "pcm", range(1000, 1200))
        ]
    )
    assert confidence - 0.05 <= passed <= (1 if confidence > 0.9 else 0.95)


def test_chips_of_twice_the_spread_fail(new):
    program, x = chain(new), images(30)
    exact = layer_codes(program, x)
    chips = [{n: differences(exact[n], chip[n]) for n in exact} for chip in drawn(program, x, "pcm", range(60))]
    known = bands(exact, chips, 0.99)
    doubled = "pcm,programming.scale=2,drift.scale=2,read.scale=2"
    outside = [
        any(not one.inside for band in known for one in judged(band, chip[band.name]))
        for chip in drawn(program, x, doubled, range(20))
    ]
    assert np.mean(outside) >= 0.9


def test_the_level_is_that_of_a_normal_statistic():
    """Prediction intervals hold one more normal draw as often as stated, whatever the number of chips."""
    rng = np.random.default_rng(2)
    for count, confidence in ((5, 0.9), (30, 0.99)):
        draws = rng.standard_normal((40000, count + 1))
        reach = student(confidence, count - 1) * np.sqrt(1 + 1 / count) * draws[:, :count].std(axis=1, ddof=1)
        inside = np.abs(draws[:, count] - draws[:, :count].mean(axis=1)) <= reach
        assert abs(inside.mean() - confidence) < 4 * np.sqrt(confidence * (1 - confidence) / len(draws))


@pytest.mark.parametrize(
    ("level", "freedom", "t"), [(0.95, 1, 12.706), (0.95, 2, 4.303), (0.99, 10, 3.169), (0.999, 49, 3.500)]
)
def test_students_t(level, freedom, t):
    assert student(level, freedom) == pytest.approx(t, abs=6e-4)


def test_layers_do_not_depend_on_the_batch(new):
    program, x = chain(new), images(2 * BATCH + 3)
    whole = layer_codes(program, x, NOISE)
    part = layer_codes(program, {"x": x["x"][:BATCH]}, NOISE)
    for name, codes in whole.items():
        assert codes.shape == (2 * BATCH + 3, 1, SIZE)
        assert np.array_equal(codes[:BATCH], part[name])


def test_layers_are_as_they_were_written_whatever_is_written_over_them(new):
    (own, x), shared = (chain(new), images(BATCH + 3)), chain(new, places=2)
    for noise in (None, NOISE):
        wanted, found = layer_codes(own, x, noise), layer_codes(shared, x, noise)
        assert wanted.keys() == found.keys()
        assert [name for name in wanted if not np.array_equal(wanted[name], found[name])] == []


def test_a_layer_that_nothing_disturbs_must_be_exact(new):
    program, x = chain(new, 1), images(4)
    exact = layer_codes(program, x)
    chips = [{n: differences(exact[n], exact[n]) for n in exact}] * 3
    (band,) = bands(exact, chips, 0.99)
    assert all(one.inside for one in judged(band, band.exact))
    assert not all(one.inside for one in judged(band, band.exact + 1))
