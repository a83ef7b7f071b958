"""A chip in jax: what a layer's weights come to on noisy devices, and the arithmetic of its converters.

Rounding is half to even and codes are the compiler's own (array_facts.py). Gradients pass rounding as if it were not
there and stop where codes are clipped, where ranges get them: as in PACT (arXiv 1805.06085) and learned step sizes
(arXiv 1902.08153). Those of weights do not see noise, conductance ranges or compensation; those of ranges see how far
noise reaches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cimc.backends.silicon.device_moments import Moments
from cimc.ir import nn
from cimc.training.array_facts import ArrayFacts, Codes, Converters
from cimc.training.operations import product

VECTORS = 32
ACTIVE = 0.25
"""What a chip reads to find its drift factors: so many vectors, with this share of the rows active."""


class DeviceTable(NamedTuple):
    """Mean and standard deviation of what a cell conducts, by its target 0..full, in conductance units."""

    mean: Any
    deviation: Any

    @staticmethod
    def of(found: Moments, strength: float) -> "DeviceTable":
        """Return the table of moments, with errors of devices times `strength`."""
        targets = np.arange(round(found.targets[-1]) + 1)
        mean, deviation = (np.interp(targets, found.targets, one) for one in (found.mean, found.deviation))
        drift = found.factor * targets
        return DeviceTable(
            *(one.astype(np.float32) for one in (drift + strength * (mean - drift), strength * deviation))
        )


class Cells(NamedTuple):
    """A row block on a chip: real weights, of the layer's shape, and the real value (columns) of an ADC code.

    `constant` (columns) is the real value that a constant row adds, whose devices have no errors. Where columns stand
    several times the layer's outputs come copy by copy.
    """

    weight: Array
    step: Array
    constant: Array


@dataclass(frozen=True)
class Chip:
    """One chip: its facts, and the noise of its devices; without a `table` they conduct what they are asked for.

    `converters` are those of the facts, as jax may trace them.
    """

    facts: ArrayFacts
    converters: Mapping[str, Converters]
    table: DeviceTable | None = None

    def cells(self, op: nn.Layer, weight: Array, key: Array) -> list[Cells]:
        """Return what a layer's row blocks conduct."""
        at, outputs = self.converters[op.label.data], weight.shape[-1]
        flat = copied(weight.reshape(-1, outputs), at.copies(outputs))
        found = []
        for number, (first, last) in enumerate(self.facts.cuts[op.label.data]):
            made = self._block(flat[first:last], at, number, jax.random.fold_in(key, number))
            whole = jnp.zeros_like(flat).at[first:last].set(made.weight)
            found.append(made._replace(weight=whole.reshape(*weight.shape[:-1], -1)))
        return found

    def _block(self, weight: Array, at: Converters, number: int, key: Array) -> Cells:
        fixed = jax.lax.stop_gradient(weight)
        largest = jnp.abs(fixed).max(axis=0)
        share = jnp.minimum(1.0, self.facts.adc[1] / at.gain / jnp.maximum(at.peak[number], 1.0))
        unit = jnp.where(largest > 0.0, largest, 1.0) / (self.facts.full * share)
        wanted = fixed / jax.lax.stop_gradient(unit)
        conducted, factor = self._conducted(jnp.rint(wanted), at, key)
        code = unit * at.scale / at.gain
        return Cells(weight + (conducted * factor - wanted) * unit, code * factor, code * at.apart)

    def _conducted(self, targets: Array, at: Converters, key: Array) -> tuple[Array, Array]:
        """Return what cells conduct, and the drift factor of every column.

        Of rows that stand several times it is the mean: they have the same weights, and almost the same codes.
        """
        if self.table is None:
            return targets, jnp.ones(targets.shape[1], targets.dtype)
        drawn, read = jax.random.split(key)
        places = jnp.abs(targets).astype(jnp.int32)
        mean, deviation = jnp.asarray(self.table.mean)[places], jnp.asarray(self.table.deviation)[places]
        deviation = deviation / jnp.sqrt(at.rows)
        cells = jnp.sign(targets) * mean + deviation * jax.random.normal(drawn, targets.shape, targets.dtype)
        return cells, _drift_factors(targets, cells, at, read)


def _drift_factors(targets: Array, cells: Array, at: Converters, key: Array) -> Array:
    """Return sums of |code| when new over those now, on vectors that a chip reads to compensate drift."""
    values, rows = jax.random.split(key)
    shape = (VECTORS, targets.shape[0])
    active = jax.random.uniform(rows, shape) < ACTIVE
    vectors = jnp.rint(jax.random.uniform(values, shape, targets.dtype) * (at.high - at.low) + at.low) * active
    new, now = (jnp.abs(vectors @ matrix).sum(axis=0) for matrix in (targets, cells))
    return jnp.where((new > 0.0) & (now > 0.0), new / jnp.maximum(now, 1e-9), 1.0)


def copied(x: Array, copies: int) -> Array:
    """Return columns [..., columns] so many times side by side."""
    return x if copies == 1 else jnp.concatenate([x] * copies, axis=-1)


def averaged(x: Array, codes: Codes | None, outputs: int) -> Array:
    """Return the means [..., outputs] of columns that stand several times, of the codes that they give."""
    if codes is None:
        return x
    steps = jnp.clip(x / codes.scale, codes.low, codes.high)
    given = through(steps, jnp.rint(steps)) * codes.scale
    return jnp.asarray(given.reshape(*x.shape[:-1], -1, outputs).mean(-2))


def through(x: Array, rounded: Array) -> Array:
    """Return the rounded values, with the gradient of x."""
    return x + jax.lax.stop_gradient(rounded - x)


def read(x: Array, at: Converters) -> Array:
    """Return the real values of the codes that a layer's DACs are driven with."""
    steps = jnp.clip(x / at.scale, at.low - at.zero, at.high - at.zero)
    return jnp.asarray(through(steps, jnp.rint(steps)) * at.scale)


def converted(op: nn.Layer, x: Array, cells: Cells, at: Converters, adc: tuple[int, int]) -> Array:
    """Return the real sums of a row block behind its ADCs; what the zero point and a constant row add passes them."""
    columns = tuple(range(cells.weight.ndim - 1))
    shift = at.zero * at.scale * jax.lax.stop_gradient(cells.weight.sum(axis=columns)) + cells.constant
    code = jnp.clip((product(op, x, cells.weight) + shift) / cells.step, *adc)
    return jnp.asarray(through(code, jnp.rint(code)) * cells.step - shift)
