"""The rules that choose a range from a histogram of |x|."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cimc.passes.histogram import RULES, entropy, least_squares, share, whole

BINS, LEVELS = 4096, 127


def histogram(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return counts of |values| in BINS bins up to the largest."""
    return np.histogram(np.abs(values), BINS, (0.0, np.abs(values).max()))[0].astype(np.int64)


@pytest.fixture(scope="module")
def tailed() -> NDArray[np.int64]:
    """A bell with a few far outliers, as behind a Relu."""
    generator = np.random.Generator(np.random.Philox(1))
    return histogram(np.append(generator.standard_normal(200_000), [40.0, -35.0]))


def test_minmax_keeps_all(tailed: NDArray[np.int64]) -> None:
    assert whole(tailed, LEVELS, 99.0) == BINS


@pytest.mark.parametrize("percent", [50.0, 99.0, 99.99, 100.0])
def test_percentile_keeps_just_the_share(tailed: NDArray[np.int64], percent: float) -> None:
    kept = share(tailed, LEVELS, percent)
    wanted = percent / 100.0 * tailed.sum()
    assert tailed[:kept].sum() >= wanted > tailed[: kept - 1].sum()


def squared_error(counts: NDArray[np.int64], kept: int) -> float:
    """The rule's error, reckoned bin by bin with real rounding to the middle of each step."""
    centres = np.arange(BINS) + 0.5
    step = kept / LEVELS
    return float((counts * np.square(centres - np.clip(np.rint(centres / step), 0, LEVELS) * step)).sum())


def test_mse_finds_a_range_as_good_as_brute_force(tailed: NDArray[np.int64]) -> None:
    best = min(squared_error(tailed, kept) for kept in range(128, BINS + 1, 16))
    assert squared_error(tailed, least_squares(tailed, LEVELS, 0.0)) <= 1.05 * best


def test_entropy_cuts_outliers_but_not_the_bell(tailed: NDArray[np.int64]) -> None:
    kept = entropy(tailed, LEVELS, 0.0)
    assert 3.0 < kept * 40.0 / BINS < 10.0


@pytest.mark.parametrize("rule", RULES)
def test_uniform_data_is_kept_whole(rule: str) -> None:
    counts = np.full(BINS, 10, np.int64)
    assert RULES[rule](counts, LEVELS, 100.0) >= 0.98 * BINS
