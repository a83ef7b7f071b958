"""Batches: a pure function of data, settings, seed and step, so that a run that goes on is the run itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.training.settings import Settings

Array = NDArray[Any]
Generator = np.random.Generator

MIXED = 0.4
"""Both parameters of the Beta distribution of a mixture's shares: mostly one of the two samples."""
SPLIT, BATCH = 0, 1
"""What a stream of random numbers is for."""


@dataclass(frozen=True)
class Data:
    """Inputs [N, *model shape] by name, and the shares of classes [N, classes] where there are labels.

    `others` are inputs alike, of which only the teacher says what they are: batches hold some, nothing else does.
    """

    inputs: Mapping[str, Array]
    labels: Array | None = None
    others: Mapping[str, Array] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def arrays(self) -> Mapping[str, Array]:
        """Everything that is known; labels have no name, as no input has, and `others` have names of two parts."""
        labels = {} if self.labels is None else {"": self.labels}
        return {**self.inputs, **labels, **{f"others\n{name}": array for name, array in self.others.items()}}

    def first(self, count: int) -> "Data":
        """Return the first samples, at most so many."""
        return self.rows(np.arange(min(count, self.count)))

    def rows(self, chosen: Array) -> "Data":
        """Return the samples that `chosen` numbers."""
        labels = None if self.labels is None else self.labels[chosen]
        return Data({name: array[chosen] for name, array in self.inputs.items()}, labels, self.others)


def split(data: Data, hold: float, seed: int) -> tuple[Data, Data]:
    """Return what is trained on, and the share `hold` that is kept back, at least one sample each."""
    order = _stream(seed, SPLIT, 0).permutation(data.count)
    kept = min(max(round(hold * data.count), 1), data.count - 1)
    return data.rows(np.sort(order[kept:])), data.rows(np.sort(order[:kept]))


def batch(data: Data, settings: Settings, seed: int, step: int) -> Data:
    """Return the batch of a step, augmented as the settings say."""
    stream = _stream(seed, BATCH, step)
    drawn = _drawn(data, settings, stream)
    inputs = {name: _disturbed(array, data.inputs[name], settings, stream) for name, array in drawn.inputs.items()}
    return _mixed(Data(inputs, drawn.labels), settings.mix, stream)


def _drawn(data: Data, settings: Settings, stream: Generator) -> Data:
    """Return samples of the data and of the others, which have no share of any class."""
    more = int(settings.others * settings.batch) if data.others else 0
    own = data.rows(_some(data.count, settings.batch - more, stream))
    if not more:
        return own
    chosen = _some(len(next(iter(data.others.values()))), more, stream)
    inputs = {name: np.concatenate([array, data.others[name][chosen]]) for name, array in own.inputs.items()}
    return Data(inputs, None if own.labels is None else np.pad(own.labels, ((0, more), (0, 0))))


def _some(count: int, wanted: int, stream: Generator) -> Array:
    """Return numbers of samples, each once where there are enough."""
    return stream.choice(count, wanted, replace=count < wanted)


def _stream(seed: int, purpose: int, number: int) -> Generator:
    return np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, 0, 0, number]))


def _disturbed(array: Array, whole: Array, settings: Settings, stream: Generator) -> Array:
    """Return samples moved, mirrored and disturbed within the range of the data."""
    found = array
    for axis, most in ((1, settings.shift), (2, settings.across)):
        if most and axis < array.ndim - 1:
            found = _moved(found, axis, most, stream)
    if settings.flip and array.ndim > 3:
        mirrored = stream.random(len(found)) < 0.5
        found = np.where(mirrored.reshape(-1, *(1,) * (found.ndim - 1)), np.flip(found, 2), found)
    if settings.jitter or settings.offset:
        found = np.clip(found + _disturbance(found.shape, whole, settings, stream), whole.min(), whole.max())
    return np.asarray(found, np.float32)


def _disturbance(shape: tuple[int, ...], whole: Array, settings: Settings, stream: Generator) -> Array:
    """Return noise of up to `jitter` and an offset of `offset` standard deviations of the data at each place."""
    spread = whole.std(axis=(0, 1) if whole.ndim > 2 else 0, keepdims=True)
    strength = settings.jitter * stream.random((shape[0], *(1,) * (len(shape) - 1)))
    offset = settings.offset * stream.standard_normal((shape[0], 1, *shape[2:]))
    return np.asarray(spread * (strength * stream.standard_normal(shape) + offset))


def _moved(array: Array, axis: int, most: int, stream: Generator) -> Array:
    """Return samples moved by up to `most` places along an axis; what comes in is the mirror image of the edge."""
    most = min(most, array.shape[axis] - 1)
    widths = [(most, most) if place == axis else (0, 0) for place in range(array.ndim)]
    padded = np.pad(array, widths, mode="reflect")
    starts = stream.integers(0, 2 * most + 1, len(array))
    size = array.shape[axis]
    moved = [one.take(range(start, start + size), axis - 1) for one, start in zip(padded, starts, strict=True)]
    return np.stack(moved)


def _mixed(data: Data, share: float, stream: Generator) -> Data:
    """Return the samples, the share of them mixed with another of the batch, and their labels alike."""
    partner, weight = stream.permutation(data.count), stream.beta(MIXED, MIXED, data.count)
    weight = np.where(stream.random(data.count) < share, weight, 1.0)

    def mixed(array: Array) -> Array:
        own = weight.reshape(-1, *(1,) * (array.ndim - 1)).astype(np.float32)
        return np.asarray(array * own + array[partner] * (np.float32(1.0) - own))

    return Data(
        {name: mixed(array) for name, array in data.inputs.items()},
        None if data.labels is None else mixed(data.labels),
    )
