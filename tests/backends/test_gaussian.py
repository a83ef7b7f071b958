"""The integer Gaussian: known answers, equality of both forms, moments, distribution and tails."""

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest

from cimc.backends.noise import draws, gaussian, gaussian_table

ONE = 1 << 16
SIZES = [1_000_000, pytest.param(10_000_000, marks=pytest.mark.nightly)]


def sample(count):
    """Normal variables as doubles."""
    words = draws.words(2024, 1, 0, np.arange(1), np.arange(count // 1000), range(1000))
    parts = [gaussian.of_words(part) for part in np.array_split(words.ravel(), 100)]
    return np.concatenate(parts) / ONE


@pytest.mark.parametrize("e", [0, 1, 13, 30])
def test_the_stored_table_is_the_computed_one(e):
    assert list(gaussian.table()[e]) == gaussian_table.row(e)


def test_the_table_has_its_shape_and_no_steps():
    rows = gaussian.table()
    assert [len(row) for row in rows] == [33] * 31
    assert all(before[0] == after[-1] for before, after in pairwise(rows))
    assert all(list(row) == sorted(row, reverse=True) for row in rows)


KNOWN = [(0, 408306), (1, 408306), (0x80000000, -408306), (0x7FFFFFFF, 0), (0x40000000, 44203), (0xC0000000, -44203)]


@pytest.mark.parametrize(("word", "value"), KNOWN)
def test_known_answers(word, value):
    assert gaussian.of_word(word) == value
    assert gaussian.of_words(np.array([word], np.uint32)).tolist() == [value]


def test_both_forms_agree():
    words = draws.words(1, 1, 0, np.arange(1), np.arange(50), range(1000)).ravel()
    edges = np.array([(1 << n) + d & 0xFFFFFFFF for n in range(33) for d in (-1, 0, 1)], np.uint32)
    words = np.concatenate([words, words >> 20, edges])
    assert gaussian.of_words(words).tolist() == [gaussian.of_word(int(word)) for word in words]


def test_error_of_interpolation():
    """Every value is within 6e-5 of the inverse normal distribution."""
    words = np.unique(np.concatenate([2 ** np.arange(31), *(np.geomspace(1, 2**31 - 1, 20001),)]).astype(np.uint32))
    values = gaussian.of_words(words) / ONE
    exact = [-NormalDist().inv_cdf(int(word) / 2**32) for word in words]
    assert np.abs(values - exact).max() < 6e-5


@pytest.mark.parametrize("count", SIZES)
def test_moments(count):
    z = sample(count)
    for power, mean, spread in ((1, 0, 1), (2, 1, math.sqrt(2)), (3, 0, math.sqrt(15)), (4, 3, math.sqrt(96))):
        assert abs((z**power).mean() - mean) < 4 * spread / math.sqrt(count), power


@pytest.mark.parametrize("count", SIZES)
def test_distribution(count):
    """The Kolmogorov-Smirnov distance stays below its 0.1 % bound."""
    z = np.sort(sample(count))
    grid = np.linspace(-5, 5, 20001)
    empirical = np.searchsorted(z, grid, side="right") / count
    exact = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in grid])
    assert np.abs(empirical - exact).max() < 1.95 / math.sqrt(count)


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("beyond", [2, 3, 3.5, 4, 4.5])
def test_tails(count, beyond):
    z = sample(count)
    probability = 0.5 * math.erfc(beyond / math.sqrt(2))
    expected = count * probability
    for found in ((z > beyond).sum(), (z < -beyond).sum()):
        assert abs(found - expected) < 4 * math.sqrt(expected) + 1
