"""Fits of columns: taken part by part, they are what numpy makes of all sums at once, bit for bit."""

import numpy as np
import pytest

from cimc.backends.silicon.column_fits import AT_ONCE, Aim, means


@pytest.mark.parametrize("vectors", [1, 7, 3 * AT_ONCE + 5])
@pytest.mark.parametrize("cols", [1, 2, 17])
def test_parts_give_the_bits_of_the_whole(vectors: int, cols: int) -> None:
    rng = np.random.default_rng(vectors)
    aimed = (rng.normal(size=(vectors, cols)) * 2**24).astype(np.int32)
    found = (0.9 * aimed + rng.normal(size=(vectors, cols)) * 2**20).astype(np.int32)
    a, b = aimed - aimed.mean(axis=0), found - found.mean(axis=0)
    variance, covariance = np.square(b).mean(axis=0), (a * b).mean(axis=0)
    slopes = np.divide(covariance, variance, out=np.ones(cols), where=variance > 0.0)
    np.testing.assert_array_equal(means(found), found.mean(axis=0))
    np.testing.assert_array_equal(Aim.of(aimed).slopes(found, means(found)), slopes)


def test_a_column_that_never_changes_has_the_slope_1() -> None:
    aimed = np.arange(12, dtype=np.int32).reshape(6, 2)
    found = np.stack([np.full(6, 3), 2 * aimed[:, 1]], axis=1).astype(np.int32)
    assert Aim.of(aimed).slopes(found, means(found)).tolist() == [1.0, 0.5]
