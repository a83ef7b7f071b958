"""ADC gains: of all full scales the one that costs least, for all layers together or for those that may share tiles."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from cimc.isa.limits import GAIN_BITS, GAIN_LIMIT, GAIN_LOWEST
from cimc.targets import Target

Gain = tuple[int, int]
"""(m, k) of a gain m / 2^k."""
UNITY_GAIN: Gain = (GAIN_LOWEST, GAIN_BITS - 1)
"""A gain of one, in the form that every gain has: m with its highest bit set."""
STEPS_PER_OCTAVE = 8
"""Full scales that are weighed lie 9 % apart: near the best one the noise changes less than that."""
OCTAVES = 10
"""How far below the largest peak full scales are weighed: at a thousandth of it, its column would be rounded away."""
SHORT_BITS = 17
FEWEST_STEPS = 16
"""A ratio of 16 such steps or more is changed by half a step in 16, 3 %, at most where it is rounded to them."""

Cost = Callable[[float], float]
"""What a full scale costs a layer: noise power over signal power."""


def common_gain(peak: float, costs: Sequence[Cost], target: Target) -> Gain:
    """Return the gain of the full scale with the least summed cost, for sums up to `peak`."""
    if peak <= 0.0:
        return UNITY_GAIN
    return normalised_gain(short(target.adc_range.high / best_scale(peak, costs), short_bits(target)))


def best_scale(peak: float, costs: Sequence[Cost]) -> float:
    """Return the full scale with the least summed cost."""
    return min(full_scales(peak), key=lambda scale: sum(cost(scale) for cost in costs))


def gains_by_tile(peaks: Mapping[str, float], costs: Mapping[str, Cost], target: Target) -> dict[str, Gain]:
    """Return a gain for each layer, one for those that may share tiles: their best full scales lie within an octave."""
    best = {label: best_scale(peak, [costs[label]]) for label, peak in peaks.items() if peak > 0.0}
    gains = dict.fromkeys(peaks, UNITY_GAIN)
    for group in _within_an_octave(best):
        gain = common_gain(max(peaks[label] for label in group), [costs[label] for label in group], target)
        gains |= dict.fromkeys(group, gain)
    return gains


def _within_an_octave(scales: Mapping[str, float]) -> list[list[str]]:
    """Return groups of names, smallest scales first, none more than twice the smallest of its group."""
    groups: list[list[str]] = []
    for name in sorted(scales, key=lambda name: scales[name]):
        if not groups or scales[name] > 2.0 * scales[groups[-1][0]]:
            groups.append([])
        groups[-1].append(name)
    return groups


def full_scale(high: int, gain: Gain) -> float:
    """Return the array sum that gives the ADC code `high`."""
    return high * 2.0 ** gain[1] / gain[0]


def full_scales(largest: float) -> Iterator[float]:
    """Yield the full scales that are weighed, eight an octave, from the largest peak down."""
    top = math.ceil(math.log2(largest) * STEPS_PER_OCTAVE)
    return (2.0 ** (step / STEPS_PER_OCTAVE) for step in range(top, max(top - OCTAVES * STEPS_PER_OCTAVE, 0), -1))


def short(ratio: float, bits: int = SHORT_BITS) -> float:
    """Return the ratio as a multiple of 2^-bits where that costs at most 3 %: a float32 ADC then has the exact bits."""
    steps = round(ratio * (1 << bits))
    return steps / (1 << bits) if steps >= FEWEST_STEPS else ratio


def short_bits(target: Target) -> int:
    """Return the bits of a short gain: codes without a sign take one more of float32's digits."""
    return SHORT_BITS - (target.adc_range.low == 0)


def normalised_gain(ratio: float) -> tuple[int, int]:
    """Return (m, k) with m / 2^k nearest to `ratio`, m normalised."""
    shift = GAIN_BITS - math.frexp(ratio)[1]
    multiplier = round(math.ldexp(ratio, shift))
    if multiplier == GAIN_LIMIT:
        multiplier, shift = multiplier >> 1, shift - 1
    return multiplier, shift
