"""Fits of columns: part by part and by every executor, they are what numpy makes of all sums at once, bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cimc.backends.interpreter import on_processor, performer
from cimc.backends.plan.moments import AT_ONCE
from cimc.backends.plan.walk import Plan
from cimc.backends.silicon.column_fits import Aim, Found
from cimc.isa.author import Author

Made = Callable[[NDArray[np.int32]], Found]


@pytest.fixture(params=on_processor())
def in_flight(new: Callable[..., Author], request: pytest.FixtureRequest) -> Made:
    """What lays sums [samples, vectors, cols] as two parts in memory of which they take some bytes an image."""
    executor = performer(new().program(), Plan((), 1), request.param)

    def laid(sums: NDArray[np.int32]) -> Found:
        samples, vectors, cols = sums.shape
        memory = np.zeros((samples, 4 * vectors * cols + 64), np.uint8)
        apart = np.ndarray(sums.shape, np.int32, memory, 32, (memory.strides[0], 4 * cols, 4))
        apart[...] = sums
        return Found([apart[:2], apart[2:]], executor)

    return laid


@pytest.mark.parametrize("vectors", [1, 7, AT_ONCE + 5])
@pytest.mark.parametrize("cols", [1, 2, 16, 37])
def test_parts_give_the_bits_of_the_whole(vectors: int, cols: int, in_flight: Made) -> None:
    rng = np.random.default_rng(vectors)
    aimed = (rng.normal(size=(3, vectors, cols)) * 2**28).astype(np.int32)
    found = (0.9 * aimed + rng.normal(size=(3, vectors, cols)) * 2**20).astype(np.int32)
    aim, noisy = Aim.of(in_flight(aimed)), in_flight(found)
    whole = found.reshape(-1, cols)
    a, b = aim.sums - aim.sums.mean(axis=0), whole - whole.mean(axis=0)
    variance, covariance = np.square(b).mean(axis=0), (a * b).mean(axis=0)
    slopes = np.divide(covariance, variance, out=np.ones(cols), where=variance > 0.0)
    np.testing.assert_array_equal(aim.sums, aimed.reshape(-1, cols))
    np.testing.assert_array_equal(noisy.means, whole.mean(axis=0))
    np.testing.assert_array_equal(aim.slopes(noisy, noisy.means), slopes)


def test_a_column_that_never_changes_has_the_slope_1(in_flight: Made) -> None:
    aimed = np.arange(12, dtype=np.int32).reshape(6, 1, 2)
    found = np.stack([np.full((6, 1), 3), 2 * aimed[:, :, 1]], axis=2).astype(np.int32)
    noisy = in_flight(found)
    assert Aim.of(in_flight(aimed)).slopes(noisy, noisy.means).tolist() == [1.0, 0.5]
