"""What is paid once, before the first sample: the pulses that program the cells, where a target prices them."""

from dataclasses import dataclass
from fractions import Fraction

from cimc.backends.cost.estimate import Estimate
from cimc.targets.prices import Interval, constant
from cimc.targets.target import Target

PROGRAMMING = PULSES, PULSE_ENERGY, PULSE_TIME = (
    "programming.pulses",
    "programming.pulse_energy",
    "programming.pulse_time",
)


@dataclass(frozen=True)
class Once:
    """Energy in pJ and time in ns of programming, each None where a target does not price it."""

    energy_pj: Interval | None
    time_ns: Interval | None


def once(estimate: Estimate) -> Once:
    """Return what programming takes: cells pay by pulse, the cells of a row take theirs together."""
    done, target = estimate.counters, estimate.target
    return Once(_pulses(target, done.programmed, PULSE_ENERGY), _pulses(target, done.rows_programmed, PULSE_TIME))


def _pulses(target: Target, times: int, price: str) -> Interval | None:
    pulses, each = constant(target, PULSES), constant(target, price)
    return (pulses * each).times(times) if pulses and each else None


def samples_worth(estimate: Estimate) -> Fraction | None:
    """Return how many samples take as much energy as programming does, None where either is not known."""
    energy = once(estimate).energy_pj
    return energy.value / estimate.energy_pj.value if energy and estimate.energy_pj.value else None
