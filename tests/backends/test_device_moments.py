"""Moments of devices by simulation, and the law of error that the compiler allows for."""

from dataclasses import replace

import numpy as np
import pytest

from cimc.backends.machine.facts import Machine, machine
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.device_moments import Moments, error_law, moments
from cimc.targets import load_target

SILENT = "generic,programming.sigma=0,drift.mean=0,drift.sigma=0,read.sigma=0"
DAY = 86400


def chip(name: str = "aon-cim") -> Machine:
    return machine({"target": load_target(name).sections()})


def found(profile: str, time_s: int = 0, target: str = "aon-cim") -> Moments:
    return moments(chip(target), Noise(load_profile(profile), time_s=time_s))


def test_silent_devices_conduct_their_targets() -> None:
    silent = found(SILENT)
    assert np.array_equal(silent.mean, np.arange(509))
    assert not silent.deviation.any()
    assert silent.factor == 1.0


def test_a_spread_without_slope_is_that_of_two_devices() -> None:
    flat = found("generic,programming.sigma=0.02,drift.mean=0,drift.sigma=0,read.sigma=0")
    assert np.median(flat.deviation[100:]) == pytest.approx(508 * 0.02 * np.sqrt(1 + 0.5 - 0.5 / np.pi), rel=0.02)


def test_the_mean_drift_is_divided_out() -> None:
    drifted = found("generic,programming.sigma=0,drift.mean=0.1,drift.sigma=0,read.sigma=0", DAY)
    assert drifted.factor == pytest.approx(((DAY + 20) / 20) ** -0.1, rel=0.01)
    assert np.sqrt(drifted.variance.mean()) < 1.0


def test_averaged_pairs_halve_the_variance_and_correcting_ones_more() -> None:
    names = ("aon-cim", "aon-cim-2p", "aon-cim-2r")
    single, averaged, corrected = (found("pcm", 0, name).variance.mean() for name in names)
    assert averaged / single == pytest.approx(0.5, abs=0.05)
    assert corrected < 0.7 * averaged


def test_devices_that_are_not_programmed_add_no_noise() -> None:
    noise = Noise(load_profile("pcm"), time_s=DAY)
    both, one = moments(chip(), noise), moments(chip(), noise, skips=True)
    assert both.deviation[0] > 1.0
    assert one.deviation[0] == one.mean[0] == 0.0
    assert (one.variance[1:] < both.variance[1:]).mean() > 0.9


def test_wires_and_converters_are_not_of_devices() -> None:
    noise = Noise(load_profile("pcm"), time_s=DAY)
    everything = replace(noise, sources=noise.sources | {"ir_drop", "dac", "adc", "output", "cycle"})
    assert np.array_equal(moments(chip(), noise).deviation, moments(chip(), everything).deviation)


@pytest.mark.nightly
def test_many_targets_are_sampled() -> None:
    fine = replace(chip(), levels=16000)
    assert len(moments(fine, Noise(load_profile("pcm"))).targets) == 513


def test_the_law_of_error_follows_the_variance() -> None:
    targets = np.arange(509.0)
    made = Moments(targets, 0.5 * targets, 0.5 * np.sqrt(9.0 + 2.0 * targets))
    assert error_law(made) == pytest.approx((3.0, 2.0))


def test_a_variance_that_does_not_grow_is_its_mean() -> None:
    targets = np.arange(509.0)
    assert error_law(Moments(targets, targets, np.sqrt(40.0 - 0.05 * targets))) == pytest.approx(
        (np.sqrt(40.0 - 0.05 * 254), 0.0), rel=1e-3
    )


def test_pcm_after_a_day_is_off_by_five_units_and_by_more_where_more_is_asked_for() -> None:
    sigma, growth = error_law(found("pcm", DAY))
    assert (sigma, growth) == (pytest.approx(4.9, abs=0.4), pytest.approx(4.1, abs=0.4))
