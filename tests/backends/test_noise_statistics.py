"""What devices do on average: against quadrature of the published formulas, and against a sample of every device."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.facts import Machine
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.devices import Devices, DeviceState
from cimc.isa.region import Region

HIGHEST = 400
G_US = (0, 0.25, 1.25, 2.5, 5, 10, 12.5, 20, 25)
SECONDS = (0, 1, 25, 3600, 86400, 2592000, 31536000)
ROWS = [100, pytest.param(1000, marks=pytest.mark.nightly)]
COLUMNS = 500
Z = np.linspace(-9, 9, 36001)
DENSITY = np.exp(-Z * Z / 2) / np.exp(-Z * Z / 2).sum()


def programmed(profile, code, rows):
    """Devices of 2 * rows * 500 cells programmed to one code, as (laws, state, cells)."""
    machine = Machine(None, rows, COLUMNS, 100, 2, 0, 8, "symmetric", 8, "symmetric", "nearest-even", 4)
    devices = Devices(machine, Noise(load_profile(profile), 77))
    cells = Region(code, 0, 0, rows, COLUMNS)
    state = DeviceState.fresh(rows, COLUMNS)
    devices.program(state, cells, np.full((2, rows, COLUMNS), code), np.ones((2, rows, COLUMNS), bool))
    return devices, state, cells


def require_moments(values, mean, spread, what):
    """Mean and standard deviation of a sample are those expected, within 4 standard errors."""
    values = np.asarray(values, float).ravel()
    count, centred = values.size, values - values.mean()
    variance = (centred**2).mean()
    spread_error = math.sqrt(max((centred**4).mean() - variance**2, 0) / count) / (2 * math.sqrt(variance))
    assert abs(values.mean() - mean) < 4 * math.sqrt(variance / count), what
    assert abs(math.sqrt(variance) - spread) < 4 * spread_error, what


def pcm_moments(g_us, seconds):
    """Mean and standard deviation (uS) of the PCM-like model by quadrature, clamps included.

    The drift exponent is independent of the programmed value, so the integrals over the two separate; the one over the
    read noise is known in closed form: the moments of max(1 + s z, 0).
    """
    r = g_us / 25
    programming = 0.26348 + 1.9650 * r - 1.1731 * r * r
    mean = min(max(-0.0155 * math.log(max(r, 1e-7)) + 0.0244, 0.049), 0.1)
    sigma = min(max(-0.0125 * math.log(max(r, 1e-7)) - 0.0059, 0.008), 0.045)
    value = np.maximum(g_us + programming * Z, 0)
    t = seconds + 20
    s = np.minimum(0.0088 / np.maximum((value / 25) ** 0.65, 1e-3), 0.2)
    s *= math.sqrt(math.log((t + 250e-9) / (2 * 250e-9)))
    above = np.array([0.5 * math.erfc(-1 / (x * math.sqrt(2))) for x in s])
    at = s * np.exp(-1 / (2 * s * s)) / math.sqrt(2 * math.pi)
    decay = (t / 20) ** -np.abs(mean + sigma * Z)
    first = (DENSITY * value * (above + at)).sum() * (DENSITY * decay).sum()
    second = (DENSITY * value**2 * ((1 + s * s) * above + at)).sum() * (DENSITY * decay**2).sum()
    return first, math.sqrt(second - first**2)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("g_us", G_US)
def test_pcm_devices(g_us, rows):
    devices, state, cells = programmed("pcm", round(g_us / 25 * HIGHEST), rows)
    unit = 25 / (HIGHEST << 12)
    for seconds in SECONDS:
        values = devices.fine(state, cells, seconds) * unit
        require_moments(values, *pcm_moments(g_us, seconds), f"{g_us} uS after {seconds} s")


@pytest.mark.parametrize("g_us", [20, 40, 70])
def test_reram_cmo_devices(g_us):
    span = 88.199997 - 9
    code = round((g_us - 9) / span * HIGHEST)
    devices, state, cells = programmed("reram-cmo", code, 100)
    g = 9 + code / HIGHEST * span
    for seconds in (1, 3600, 86400):
        values = 9 + devices.fine(state, cells, seconds) * span / (HIGHEST << 12)
        mean = g - 0.08900206 * math.log(seconds)
        relaxation = 0.04201137 * math.log(seconds) + 0.41183342
        read = 0.0277316483 * math.log10(mean) * math.sqrt(math.log((seconds + 1e-6) / 2e-6))
        spread = math.hypot(0.00081107 + 0.00106879 * g, relaxation, read)
        require_moments(values, mean, spread, f"{g_us} uS after {seconds} s")


def test_reram_wan_devices():
    code = HIGHEST // 2
    devices, state, cells = programmed("reram-wan", code, 100)
    for seconds, c in (
        (1, (0.348, 16.030, -43.853, 45.393, -16.815)),
        (86400, (0.701, 22.086, -50.773, 47.095, -16.458)),
    ):
        spread = sum(value * 0.5**n for n, value in enumerate(c))
        values = devices.fine(state, cells, seconds) * 40 / (HIGHEST << 12)
        require_moments(values, 20, spread, seconds)


def test_draws_of_devices_are_uncorrelated():
    """Programming, drift and read, neighbours in a row, in a column and in a pair, and two times."""
    devices, state, cells = programmed("pcm", 200, 100)
    value, drift = state.value.astype(float), state.drift.astype(float)
    first, second = (devices.fine(state, cells, seconds).astype(float) / value for seconds in (0, 1))
    pairs = [(value, drift), (value[0], value[1]), (value[:, 1:], value[:, :-1]), (value[..., 1:], value[..., :-1])]
    pairs += [(first, second), (drift, first), (drift[0], drift[1])]
    for a, b in pairs:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / math.sqrt(a.size)


def shared_by_times(first, second):
    """The correlation of two times of noise with a spectrum of 1/f, from the age of each to 2 * 250 ns, by quadrature.

    cos(2 pi f lag) is averaged over each of the small steps of ln f.
    """
    low, high, lag = 1 / (first + 20), 1 / 500e-9, second - first
    angle = 2 * np.pi * lag * np.exp(np.linspace(math.log(low), math.log(high), 400001))
    cosines = np.diff(np.sin(angle)) / np.diff(angle)
    covariance = (cosines * np.diff(np.log(angle))).sum()
    return covariance / math.sqrt(math.log(high * (first + 20)) * math.log(high * (second + 20)))


@pytest.mark.parametrize(
    ("first", "second"),
    [(3600, 3601), (3600, 3660), (86400, 86460), (86400, 90000), (86400, 172800), (31536000, 31622400)],
)
def test_two_times_of_noise_that_remembers_share_what_a_spectrum_of_1_f_says(first, second):
    """Read noise alone, which these devices show as a share of what they were programmed to."""
    devices, state, cells = programmed("pcm,read.time=correlated", 200, 100)
    devices = Devices(devices.machine, replace(devices.noise, sources=frozenset({"read"})))
    found = [devices.fine(state, cells, seconds).ravel() / state.value.ravel() for seconds in (first, second)]
    assert abs(np.corrcoef(*found)[0, 1] - shared_by_times(first, second)) < 0.01 + 4 / math.sqrt(state.value.size)


@pytest.mark.parametrize("seconds", [0, 86400])
def test_noise_that_remembers_is_at_each_time_what_it_was(seconds):
    devices, state, cells = programmed("pcm,read.time=correlated", 200, 100)
    unit = 25 / (HIGHEST << 12)
    require_moments(devices.fine(state, cells, seconds) * unit, *pcm_moments(12.5, seconds), seconds)


@pytest.mark.parametrize("seconds", [0, 86400])
def test_the_mean_of_two_pairs_spreads_less_by_the_root_of_two(seconds):
    """Pair 0 draws as it did alone, pair 1 independently: the mean keeps the mean."""
    devices, state, cells = programmed("pcm", 200, 100)
    devices = Devices(replace(devices.machine, pairs=2), devices.noise)
    second = DeviceState.fresh(100, COLUMNS, pair=1)
    devices.program(second, cells, np.full(state.value.shape, 200), np.ones(state.value.shape, bool))
    alone, other = (devices.fine(each, cells, seconds).ravel().astype(float) for each in (state, second))
    assert abs(np.corrcoef(alone, other)[0, 1]) < 4 / math.sqrt(alone.size)
    both = devices.conductances([state, second], cells, seconds).ravel() * 4096.0
    assert np.abs(both - (alone + other) / 2).max() <= 2048
    require_moments(both, alone.mean(), alone.std() / math.sqrt(2), seconds)


def left_over(sources, target, **machine):
    """Return the root mean square error of weights (codes) of cells with two pairs after programming, at time 0."""
    devices, _, cells = programmed("pcm", 0, 100)
    noise = replace(devices.noise, profile=load_profile("pcm,stuck.low=0.05"), sources=frozenset(sources))
    devices = Devices(replace(devices.machine, pairs=2, **machine), noise)
    pairs = [DeviceState.fresh(100, COLUMNS, pair) for pair in (0, 1)]
    targets = np.stack([np.full((100, COLUMNS), target), np.zeros((100, COLUMNS), int)])
    devices.write(pairs, cells, targets, np.ones(targets.shape, bool))
    plus, minus = devices.conductances(pairs, cells, 0)
    return math.sqrt(np.square(plus - minus - target).mean())


@pytest.mark.parametrize("target", [0, 40, 100, 200, 300])
@pytest.mark.parametrize("significance", [1, 2, 4])
def test_a_second_pair_that_holds_the_rest_corrects_the_first(target, significance):
    """It leaves the errors of its own small devices, by their share; in the mean of copies all errors remain."""
    copies = left_over(["programming"], target)
    rest = left_over(["programming"], target, significance=significance, second_pair="rest")
    assert rest < 0.9 * copies, (rest, copies)


def test_a_second_pair_makes_up_for_stuck_devices():
    copies, rest = (left_over(["stuck"], 100, second_pair=kind) for kind in ("copy", "rest"))
    assert rest < 0.9 * copies, (rest, copies)


def test_stuck_devices_are_as_many_as_said():
    devices, state, cells = programmed("pcm,stuck.low=0.1,stuck.high=0.05", 200, 100)
    devices = Devices(
        devices.machine, Noise(load_profile("pcm,stuck.low=0.1,stuck.high=0.05"), 3, 0, frozenset({"stuck"}))
    )
    codes = devices.programmed([state], cells)
    for code, share in ((0, 0.1), (HIGHEST, 0.05)):
        assert abs((codes == code).mean() - share) < 4 * math.sqrt(share / codes.size)


def test_cycle_noise_is_that_of_every_device(new):
    """One draw per column against one per device: the same mean, variance and (no) correlation."""
    rng = np.random.default_rng(8)
    matrix, vectors = rng.integers(-508, 509, (16, 3)), rng.integers(-127, 128, (2, 16))
    sketch = new(adc={"bits": 32}).gain().block(0, matrix).port("y", (2, 3), 64, "i32", output=True)
    sketch.port("x", (1,), 0).data(0, vectors.ravel().tolist(), (2, 16))
    sketch.tensor(1, (2, 3), 64, type="i32").put("capture", in_=0, out=1, block=0)
    noise = Noise(load_profile("pcm"), 4, 0, frozenset({"cycle"}))
    count = 20000
    ours = Interpreter(sketch.program(), noise=noise).run({"x": np.zeros((count, 1), np.int8)})["y"]
    ours = ours.astype(float).reshape(count, 6) - (vectors @ matrix).ravel()

    g = np.abs(matrix) / 508
    sigma = np.where(matrix == 0, 0, np.minimum(0.0088 / np.maximum(g**0.65, 1e-3), 0.2)) * np.abs(matrix)
    each = np.empty((count, 6))
    for n in range(count):  # fresh conductances for every product
        each[n] = np.concatenate([x @ (sigma * rng.standard_normal(sigma.shape)) for x in vectors])

    spread = np.sqrt((vectors**2) @ sigma**2).ravel()
    for column in range(6):
        require_moments(each[:, column], 0, spread[column], f"{column} of the sample of devices")
        require_moments(ours[:, column], 0, spread[column], f"{column} of ours")
    for correlations in (np.corrcoef(ours.T), np.corrcoef(each.T)):
        assert np.abs(correlations - np.eye(6)).max() < 4 / math.sqrt(count)
