"""ADCs by their codes: INL, DNL and missing codes of a ramp, effective bits of a sine (methods of IEEE 1241).

    python samples/bench/adc_linearity.py --noise generic,levels.sigma=0.05 [--sources levels] [--adcs 200]

Each physical ADC of the target gets the values that a `selftest` would put at its input, a ramp of 64 steps a code and
a sine of 127 periods in 4096 samples whose peaks are the ends of its range; `output` adds noise to each conversion of
the sine. Errors are those of seed 0. Printed: quartiles over ADCs of the largest |INL| and |DNL| in LSB (endpoint fit),
missing codes, and effective bits (SINAD - 1.76 dB) / 6.02 dB.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Gain, Machine, machine
from cimc.backends.noise import draws
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import OUTPUT
from cimc.backends.plan.read_noise import NoisyConverter, noisy_converter
from cimc.isa.region import Region
from cimc.targets import load_target

Array = NDArray[Any]
GAIN = Gain(1 << 15, 31)
UNITS = 1 << 16
"""Sums in one LSB under this gain."""
STEPS, PERIODS, SAMPLES = 64, 127, 4096


@dataclass(frozen=True)
class Linearity:
    """DNL [codes - 2] and INL [codes - 1] in LSB between the outer thresholds, and how many codes never come."""

    dnl: Array
    inl: Array
    missing: int


def converters(facts: Machine, noise: Noise, count: int) -> Iterator[tuple[NoisyConverter, Array]]:
    """Yield the first `count` physical ADCs of a machine, and the variables [SAMPLES] of noise at their inputs."""
    each = facts.columns // facts.multiplexing
    for number in range(count):
        tile, column = number // each, number % each * facts.multiplexing
        cells = Region(tile, 0, column, 1, 1)
        found = noisy_converter(facts, noise, GAIN, cells)
        if found is None:
            raise SystemExit("no source of --sources disturbs an ADC: adc, levels or output do")
        vectors = np.arange(SAMPLES, dtype=np.int64)
        address = (OUTPUT, draws.stream_of(cells), np.zeros(1, np.int64), vectors, range(column, column + 1))
        yield found, draws.normals(noise.seed, *address)[0, :, 0]


def codes(adc: NoisyConverter, sums: Array, z: Array | None = None) -> Array:
    """Return the codes [n] of sums [n]; z draws the noise at the ADC's input."""
    found = adc.rounded(sums[:, None], None if z is None else z[:, None])[:, 0]
    return np.clip(found, adc.low, adc.high).astype(np.int64)


def linearity(ramp: Array, low: int, high: int) -> Linearity:
    """Return what the codes of an even ramp say that covers an ADC's range: a code is as wide as it comes often."""
    counts = np.bincount(ramp - low, minlength=high - low + 1)[1:-1]
    dnl = counts / counts.mean() - 1
    return Linearity(dnl, np.concatenate([[0.0], np.cumsum(dnl)]), int((counts == 0).sum()))


def effective_bits(sine: Array) -> float:
    """Return the effective bits that the codes of PERIODS whole periods say: all that is not the sine is noise."""
    power = np.abs(np.fft.rfft(sine)) ** 2
    rest = power[1:].sum() - power[PERIODS]
    return float((10 * np.log10(power[PERIODS] / rest) - 1.76) / 6.02)


def ramp_of(adc: NoisyConverter) -> Array:
    """Return sums from below an ADC's range to above it, STEPS of them to a code."""
    margin = 1 << 8
    steps = np.arange((adc.low - margin) * STEPS, (adc.high + margin) * STEPS, dtype=np.int64)
    return (2 * steps + 1) * (UNITS // STEPS // 2)


def sine_of(adc: NoisyConverter) -> Array:
    """Return the sums of a sine from the lower end of the lowest code to the upper end of the highest."""
    middle, peak = (adc.high + adc.low) / 2, (adc.high - adc.low + 1) / 2
    phase = 2 * np.pi * PERIODS * np.arange(SAMPLES) / SAMPLES
    return np.rint((middle + peak * np.sin(phase)) * UNITS).astype(np.int64)


def _quartiles(name: str, values: list[float]) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{name:<16} {middle:6.2f}  ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--noise", default="generic")
    parser.add_argument("--sources", default="levels")
    parser.add_argument("--target", default="aon-cim")
    parser.add_argument("--adcs", type=int, default=200)
    options = parser.parse_args()
    noise = Noise(load_profile(options.noise), sources=frozenset(options.sources.split(",")))
    facts = machine({"target": load_target(options.target).sections()})
    lines, bits = [], []
    for adc, z in converters(facts, noise, options.adcs):
        lines.append(linearity(codes(adc, ramp_of(adc)), adc.low, adc.high))
        bits.append(effective_bits(codes(adc, sine_of(adc), z if adc.output else None)))
    print(f"{options.adcs} ADCs of {options.target}, {options.noise}, noisy: {options.sources}; median (quartiles)")
    print(_quartiles("INL, LSB", [float(np.abs(line.inl).max()) for line in lines]))
    print(_quartiles("DNL, LSB", [float(np.abs(line.dnl).max()) for line in lines]))
    print(_quartiles("missing codes", [float(line.missing) for line in lines]))
    print(_quartiles("effective bits", bits))


if __name__ == "__main__":
    main()
