"""What codes of a ramp and of a sine say of an ADC: closed forms, and that they are the codes of `selftest`."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.facts import machine
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.read_noise import NoisyConverter
from cimc.targets import load_target

SCRIPT = Path(__file__).resolve().parents[2] / "samples" / "bench" / "adc_linearity.py"
FACTS = machine({"target": load_target("aon-cim").sections()})
CODES = 255


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("adc_linearity", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "adc_linearity", module)
    spec.loader.exec_module(module)
    return module


def drawn(script, changes, sources):
    """Return the first ADC of a profile."""
    noise = Noise(load_profile(f"generic,{changes}"), sources=frozenset(sources.split(",")))
    ((adc, _),) = script.converters(FACTS, noise, 1)
    assert isinstance(adc, NoisyConverter)
    return adc


def displaced(by):
    """Return an ADC with thresholds of numbers 0 to 253 moved by so many LSB."""
    thresholds = np.array([(n - 126.5 + by.get(n, 0)) * 2.0**31 for n in range(CODES - 1)])
    zero = np.zeros(1)
    return NoisyConverter(np.array([2.0**15]), zero, zero, 0, 31, -127, 127, False, (thresholds,))


def line(script, adc):
    return script.linearity(script.codes(adc, script.ramp_of(adc)), adc.low, adc.high)


def test_a_right_adc_is_straight_and_has_all_bits(script):
    adc = displaced({})
    found = line(script, adc)
    assert (np.abs(found.dnl).max(), np.abs(found.inl).max(), found.missing) == (0, 0, 0)
    assert script.effective_bits(script.codes(adc, script.sine_of(adc))) == pytest.approx(np.log2(CODES), abs=0.02)


def test_one_displaced_threshold_widens_a_code_and_narrows_the_next(script):
    found = line(script, displaced({100: 0.5}))
    assert found.dnl[[99, 100]] == pytest.approx([0.5, -0.5])
    assert np.count_nonzero(found.dnl) == 2
    assert found.inl[100] == pytest.approx(0.5)
    assert np.abs(np.delete(found.inl, 100)).max() < 1e-9


def test_a_code_whose_thresholds_have_changed_places_is_missing(script):
    found = line(script, displaced({100: 1.0}))
    assert found.missing == 1
    assert found.dnl[100] == -1


def test_offset_and_gain_error_are_no_nonlinearity(script):
    """Of an endpoint fit: what is left is the step of the ramp."""
    found = line(script, drawn(script, "adc.offset=5,adc.gain=0.1,adc.inl=0", "adc"))
    assert np.abs(found.inl).max() < 2 / script.STEPS


def test_the_ramp_finds_the_thresholds_that_were_drawn(script):
    adc = drawn(script, "levels.sigma=0.2,levels.skew=1", "levels")
    assert adc.thresholds is not None
    steps = adc.thresholds[0] / 2**31
    expected = np.diff(steps) / ((steps[-1] - steps[0]) / (CODES - 2)) - 1
    assert np.abs(line(script, adc).dnl - expected).max() < 1.1 / script.STEPS


def test_noise_of_conversions_costs_the_bits_that_its_power_says(script):
    noise = Noise(load_profile("generic,output.sigma=0.25"), sources=frozenset({"output"}))
    ((adc, z),) = script.converters(FACTS, noise, 1)
    found = script.effective_bits(script.codes(adc, script.sine_of(adc), z))
    assert found == pytest.approx(np.log2(CODES) - np.log2(1 + 12 * 0.25**2) / 2, abs=0.03)


def test_codes_are_those_of_selftest(script, new):
    noise = Noise(load_profile("generic,levels.sigma=0.4,levels.skew=1"), sources=frozenset({"levels", "adc"}))
    ((adc, _),) = script.converters(FACTS, noise, 1)
    values = np.random.default_rng(4).integers(-140 * script.UNITS, 140 * script.UNITS, 40)
    sketch = new(adc={"codes": "symmetric"}).gain(script.GAIN.multiplier, script.GAIN.divide)
    sketch.port("y", (len(values),), 0, "i32", output=True)
    for n, value in enumerate(values.tolist()):
        sketch.tensor(0, (1,), 4 * n, type="i32").put("selftest", tile=0, col=0, value=value, out=0)
    found = Interpreter(sketch.program(), noise=noise).run({})["y"][0]
    assert found.tolist() == script.codes(adc, values).tolist()
