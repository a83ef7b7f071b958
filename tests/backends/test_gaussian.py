"""The integer Gaussian: known answers, equality of both forms, moments, distribution and tails."""

import ctypes
import math
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from cimc.backends.kernels.library import FALL_BITS
from cimc.backends.noise import draws, gaussian, gaussian_table

ONE = 1 << 16
KERNELS = Path(__file__).parents[2] / "backends" / "kernels"
COMPILED = """#include <math.h>
#include <stdint.h>
#include <string.h>
#undef __x86_64__  /* the plain level alone: the Gaussian is the same text for all */
#include "native.c"
EXPORT void every_normal(const uint32_t *cells, const uint32_t *words, int count, double *z) {
    for (int i = 0; i < count; i += 4) {
        const int some = count - i < 4 ? count - i : 4;
        Ints_plain lanes = {0};
        memcpy(&lanes, words + i, some * sizeof *words);
        lanes = normals_plain(cells, lanes);
        for (int n = 0; n < some; n++) z[i + n] = lanes[n];
    }
}
"""
Normals = Callable[[np.ndarray], np.ndarray]
SIZES = [1_000_000, pytest.param(10_000_000, marks=pytest.mark.nightly)]


def sample(count):
    """Normal variables as doubles."""
    words = draws.words(2024, 1, 0, np.arange(1), np.arange(count // 1000), range(1000))
    parts = [gaussian.of_words(part) for part in np.array_split(words.ravel(), 100)]
    return np.concatenate(parts) / ONE


@pytest.mark.parametrize("e", range(gaussian_table.ROWS))
def test_the_stored_table_is_the_computed_one(e):
    assert list(gaussian.table()[e]) == gaussian_table.row(e)


def test_rows_are_written_as_they_are_stored(tmp_path, monkeypatch):
    stored = gaussian_table.FILE.read_text()
    monkeypatch.setattr(gaussian_table, "FILE", tmp_path / "table")
    monkeypatch.setattr(gaussian_table, "row", lambda e: gaussian.table()[e])
    gaussian_table.main()
    assert gaussian_table.FILE.read_text() == stored


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


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Normals:
    """The Gaussian of the kernels: uint32 words to doubles."""
    compiler = shutil.which("cc")
    if compiler is None or not (KERNELS / "native.c").is_file():
        pytest.skip("no C compiler, or no source of the kernels")
    folder = tmp_path_factory.mktemp("normal")
    (folder / "normals.c").write_text(COMPILED)
    build = [compiler, "-O1", "-fPIC", "-shared", f"-I{KERNELS}", "normals.c", "-o", "normals.so"]
    subprocess.run(build, cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "normals.so"))
    start, fall = gaussian.cells()
    cells = (start << FALL_BITS | fall).astype(np.uint32)

    def of_words(words: np.ndarray) -> np.ndarray:
        z = np.empty(len(words))
        places = [ctypes.c_void_p(array.ctypes.data) for array in (cells, words)]
        library.every_normal(*places, len(words), ctypes.c_void_p(z.ctypes.data))
        return z

    return of_words


def corners() -> np.ndarray:
    """Return words of both signs at the first, second, middle and last place of every cell of every row, and 0."""
    rests = (0, 1, (1 << 24) - 1, 1 << 24, (1 << 25) - 1)
    digits = np.array([1 << 30 | cell << 25 | rest for cell in range(32) for rest in rests], np.uint32)
    words = np.concatenate([digits >> np.uint32(row) for row in range(31)] + [np.zeros(1, np.uint32)])
    return np.concatenate([words, words | np.uint32(1 << 31)])


def test_the_compiled_form_agrees_at_the_corners_of_every_cell(compiled: Normals):
    words = corners()
    wanted = [gaussian.of_word(int(word)) for word in words]
    assert compiled(words).tolist() == gaussian.of_words(words).tolist() == wanted


AT_ONCE = 1 << 16
"""Words of one comparison, few enough for all arrays of it to stay in a processor's cache."""


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(16))
def test_the_compiled_form_agrees_for_every_word(compiled: Normals, part: int):
    """All 2^31 magnitudes, and their counterparts of the other sign."""
    for start in range(part << 27, part + 1 << 27, AT_ONCE):
        words = np.arange(start, start + AT_ONCE, dtype=np.uint32)
        found = compiled(words)
        assert np.array_equal(found, gaussian.of_words(words)), hex(start)
        assert np.array_equal(-found, compiled(words | np.uint32(1 << 31))), hex(start)
