"""Which slices are worth their array time: what each layer loses by rounding, by closed form on calibration data."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cimc.evaluate import Batch
from cimc.ir.facts import GAIN
from cimc.ir.graph import Graph
from cimc.ir.loop import runs_of
from cimc.ir.xbar import MvmOp
from cimc.passes.column_ranges import DeviceError, Statistics, measured
from cimc.passes.costs import vectors_of
from cimc.passes.gains import full_scale
from cimc.passes.layer_bits import FULL
from cimc.passes.packing import blocks_of
from cimc.passes.slices import digits_of
from cimc.targets import Target

WIDTHS = (12, 16)
"""Bits of inputs in two slices that are weighed, where the DAC takes half of them at a time."""
LEAST_DB = 0.5
"""What a slice must improve its own layer by: below it the ADC, or the other slices' rounding, is what limits."""

Bits = Mapping[str, tuple[int, int]]
"""Label of a layer -> bits of its input and of its weights."""


@dataclass(frozen=True)
class Slice:
    """A layer's input or weights in two slices: bits, noise removed (share of its signal) and phases of array time."""

    label: str
    weights: bool
    bits: int
    noise: float
    phases: int


def slices(graph: Graph, data: Batch, target: Target) -> list[Slice]:
    """Return the slices of a graph behind column-ranges that are worth having, most noise for its array time first."""
    every = [one for op, found in _measured(graph, data, target) for one in _slices_of(graph, op, found, target)]
    return sorted(every, key=lambda one: (-one.noise / one.phases, one.label, one.bits))


def worst_adc(graph: Graph, data: Batch, target: Target) -> tuple[str, float] | None:
    """Return the layer of a graph behind column-ranges that its ADC's rounding costs most, and the dB it leaves it.

    None where the ADC never rounds. Slices change nothing of it: both slices are read with the same gain.
    """
    shares = {op.label.data: _adc_share(graph, op, found, target) for op, found in _measured(graph, data, target)}
    worst = max(shares, key=lambda label: shares[label], default=None)
    return (worst, -10.0 * math.log10(shares[worst])) if worst is not None and shares[worst] else None


def bits_of(chosen: Sequence[Slice]) -> Bits:
    """Return the bits of every layer of which something is in slices: the most that was chosen."""
    found = {one.label: [FULL, FULL] for one in chosen}
    for one in chosen:
        found[one.label][one.weights] = max(found[one.label][one.weights], one.bits)
    return {label: (inputs, weights) for label, (inputs, weights) in found.items()}


def _measured(graph: Graph, data: Batch, target: Target) -> Iterator[tuple[MvmOp, Statistics]]:
    """Yield the layers that slices may be of, and what the data make of the sums of each."""
    layers = [op for op in graph.operations if isinstance(op, MvmOp) and op.diagonal is None]
    found = measured(graph, layers, data, target, False)
    yield from ((op, found[op.label.data]) for op in layers)


def _slices_of(graph: Graph, op: MvmOp, found: Statistics, target: Target) -> Iterator[Slice]:
    label, phases = op.label.data, vectors_of(op) * runs_of(op) * len(list(blocks_of(op)))
    inputs, weights = found.rounding_shares()
    total = inputs + weights + _adc_share(graph, op, found, target)
    dac_bits = int(target.constants["dac.bits"])
    widths = [bits for bits in WIDTHS if bits <= 2 * dac_bits] if _gain_db(inputs, total) >= LEAST_DB else []
    left = inputs
    for bits in widths:
        yield Slice(label, False, bits, left, phases)
        left /= digits_of(bits, dac_bits).radix ** 2
    if op.steps is None and _gain_db(weights, total) >= LEAST_DB:
        yield Slice(label, True, 16, weights, phases)


def _gain_db(noise: float, total: float) -> float:
    """Return by how much a layer alone gets better without a noise: for inputs on an ADC 10 log10(1 + (|G| / L)^2)."""
    return 10.0 * math.log10(total / (total - noise)) if total > noise else math.inf if noise else 0.0


def _adc_share(graph: Graph, op: MvmOp, found: Statistics, target: Target) -> float:
    """Return what the ADC's rounding costs a layer, as power over signal power; none where it never rounds."""
    if target.constants["adc.gain"] == "unity":
        return 0.0
    high = target.adc_range.high
    scale = full_scale(high, GAIN.get(op) or GAIN.of(graph.module))
    return found.noise_shares(scale, high, DeviceError(0.0, 0.0))[0]
