"""Addressed random words: Random123's known answers, and numpy's stream as a second opinion."""

import numpy as np
import pytest

from cimc.backends.noise import draws, philox
from cimc.backends.noise.table import READ

ONES = (1 << 64) - 1
KNOWN = [
    ((0, 0, 0, 0), (0, 0), "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
    ((ONES,) * 4, (ONES,) * 2, "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0"),
    (
        (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
        (0x452821E638D01377, 0xBE5466CF34E90C6C),
        "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
    ),
]
"""Counter, key and words of philox4x64 10 in Random123's kat_vectors."""


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    assert " ".join(f"{word:016x}" for word in philox.block(counter, key)) == words


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers_in_bulk(counter, key, words):
    found = philox.bulk(tuple(np.array([word] * 3, np.uint64) for word in counter), key)
    expected = [int(word, 16) >> shift & 0xFFFFFFFF for word in words.split() for shift in (0, 32)]
    assert found.tolist() == [expected] * 3


def test_numpy_emits_the_next_block():
    """numpy's raw stream starts with block c + 1 for counter c, and then counts on."""
    counter, key = (6, 7, 8, 9), 5
    raw = np.random.Philox(key=key, counter=counter).random_raw(4000).reshape(1000, 4)
    ours = philox.bulk(tuple(np.array(word, np.uint64) for word in (np.arange(7, 1007), *counter[1:])), (key, 0))
    assert np.array_equal(ours.view("<u8"), raw)


@pytest.mark.parametrize("start", [0, 5, 8, 1021])
def test_a_grid_is_its_addresses(start):
    samples, vectors, indices = np.array([3, 2**40]), np.array([0, 9, 1 << 33]), range(start, start + 21)
    grid = draws.words(7, READ, 65535, samples, vectors, indices)
    one_by_one = [[[draws.word(7, READ, 65535, int(s), int(v), i) for i in indices] for v in vectors] for s in samples]
    assert grid.tolist() == one_by_one


def test_every_part_of_an_address_counts():
    addresses = [(0, 1, 0, 0, 0, 0), (1, 1, 0, 0, 0, 0), (0, 2, 0, 0, 0, 0), (0, 1, 1, 0, 0, 0), (0, 1, 0, 1, 0, 0)]
    addresses += [(0, 1, 0, 0, 1, 0), (0, 1, 0, 0, 0, 1), (0, 1, 0, 0, 0, 8)]
    assert len({draws.word(*address) for address in addresses}) == len(addresses)


def test_an_empty_grid():
    assert draws.words(7, 1, 0, np.arange(2), np.arange(3), range(4, 4)).shape == (2, 3, 0)
    assert draws.words(7, 1, 0, np.arange(2), np.arange(0), range(4, 9)).shape == (2, 0, 5)
