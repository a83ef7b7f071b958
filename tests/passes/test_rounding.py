"""Weights on fewer levels: of their own column, with the step that errs least, and taps whose errors cancel out."""

from itertools import product

import numpy as np
import pytest
from targets.stages import normal

from cimc.passes.rounding import rounded_taps, rounded_weights


def test_weights_are_rounded_to_levels_of_their_own_column() -> None:
    weight = np.array([[7.0, 70.0, 0.0], [3.4, -34.0, 0.0]], np.float32)
    np.testing.assert_allclose(rounded_weights(weight, 4), [[7.0, 70.0, 0.0], [3.0, -30.0, 0.0]], rtol=1e-6)


def test_a_column_rounds_to_levels_below_its_largest_weight_where_that_leaves_less_error() -> None:
    weight = np.array([[10.0], *([[5.0]] * 30)], np.float32)
    found = rounded_weights(weight, 3)
    to_largest = np.rint(weight * 3 / 10) * 10 / 3
    assert np.square(found - weight).sum() < np.square(to_largest - weight).sum()
    assert len(np.unique(found)) == 2 and found.max() == found[0] == pytest.approx(7.5)


def alike(height: int, width: int) -> np.ndarray:
    """Return what the values of a window have in common: half, and of the rest half for each place between them."""
    places = list(product(range(height), range(width)))
    return np.array([[0.5 + 0.5 * 0.5 ** np.hypot(a - c, b - d) for c, d in places] for a, b in places])


def error(found: np.ndarray, taps: np.ndarray) -> np.ndarray:
    off = (found.astype(np.float64) - taps).reshape(-1, taps.shape[-1])
    return np.einsum("ic,ij,jc->c", off, alike(*taps.shape[:2]), off)


@pytest.mark.parametrize(("window", "bits"), [((3, 3), 4), ((1, 5), 4), ((5, 5), 3)])
def test_taps_leave_less_error_of_sums_than_weights_would_and_are_on_levels(window: tuple[int, int], bits: int) -> None:
    """The largest tap is on the highest level: by it what follows knows what a level is worth."""
    taps, levels = normal(*window, 1, 60), (1 << (bits - 1)) - 1
    found = rounded_taps(taps, bits)
    assert error(found, taps).mean() < 0.6 * error(rounded_weights(taps, bits), taps).mean()
    codes = levels * found / np.abs(found).max(axis=(0, 1, 2))
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-4)


def test_taps_are_nearly_as_good_as_the_best_of_all_roundings() -> None:
    """Of four taps and every step all 2^4 roundings up and down are tried, the largest tap at an end of the levels."""
    taps = normal(2, 2, 1, 40)
    best, largest = np.full(40, np.inf), np.abs(taps).max(axis=(0, 1, 2))
    for share, ways in product(1.0 - 0.05 * np.arange(9), product((0.0, 1.0), repeat=4)):
        step = share * largest / 7
        codes = np.clip(np.floor(taps / step) + np.reshape(ways, (2, 2, 1, 1)), -7, 7)
        whole = np.abs(codes).max(axis=(0, 1, 2)) == 7
        best = np.minimum(best, np.where(whole, error(codes * step, taps), np.inf))
    found = error(rounded_taps(taps, 4), taps)
    assert (found >= (1.0 - 1e-4) * best).all()
    assert found.mean() < 1.5 * best.mean()


def test_errors_of_taps_that_are_alike_cancel_out() -> None:
    """Nine taps of 1.4 levels below one of 7: rounded each by itself their sum is 3.2 too small."""
    taps = np.full((3, 3, 1, 1), 1.4, np.float32)
    taps[1, 1] = 7.0
    assert abs(rounded_weights(taps, 4).sum() - taps.sum()) > 2.0
    assert abs(rounded_taps(taps, 4).sum() - taps.sum()) < 0.6


def test_channels_of_zeros_stay() -> None:
    assert not rounded_taps(np.zeros((3, 3, 1, 2), np.float32), 4).any()
