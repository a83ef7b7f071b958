"""Where each random word of the machine lies: its address.

key = (seed, 0); counter = (index // 8, vector, sample, purpose | phase << 16 | stream << 32); index mod 8 chooses one
of a block's eight 32-bit words. Purposes are those of table.py, phase is the number of a product's read phase and 0 for
all else; what the other four numbers are depends on what a word is for:

| drawn for | index | vector | sample | stream |
| --- | --- | --- | --- | --- |
| a device when it is programmed | 2 * column + polarity | row | times it was programmed before | tile + pair * 2^16 |
| a device at a time | 2 * column + polarity | row | seconds since programming | tile + pair * 2^16 |
| a device over a stretch of time | 2 * column + polarity | row | its number + octave * 2^48 | tile + pair * 2^16 |
| where stretches of a device begin | 2 * column + polarity | row | octave | tile + pair * 2^16 |
| a device for good | 2 * column + polarity | row | 0 | tile + pair * 2^16 |
| an ADC | ADC | 0 | 0 | tile |
| a threshold of an ADC | its number | ADC | 0 | tile |
| a row's DAC | row | 0 | 0 | tile |
| a product | column | vector; bits 32 up: occurrence | sample in file, 0 to calibrate | tile * 2^16 + first row |

The occurrence counts earlier reads of the same columns from the same first row, so that layers that share a tile, or
come and go elsewhere in a program, leave each other's draws alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.noise import gaussian, philox
from cimc.isa.region import Region

Array = NDArray[Any]

POLARITIES = ("plus", "minus")
PHASE_SHIFT = 16
"""Where the phase lies in a purpose: words of the only phase are addressed by the purpose alone."""


def in_phase(purpose: int, phase: int) -> int:
    """Return the purpose of a word that is drawn anew in each read phase of a product."""
    return purpose | phase << PHASE_SHIFT


def pair_stream(tile: int, pair: int) -> int:
    """Return the stream id of the devices of one pair of every cell."""
    return tile | pair << 16


def stream_of(cells: Region) -> int:
    """Return the stream id of per-product draws: tile and first row."""
    return cells.tile << 16 | cells.row


def word(seed: int, purpose: int, stream: int, sample: int, vector: int, index: int) -> int:
    """Return the 32-bit word at one address."""
    counter = (index // philox.DRAWS, vector, sample, purpose | stream << 32)
    return philox.draws(counter, (seed, 0))[index % philox.DRAWS]


def normal(seed: int, purpose: int, stream: int, sample: int, vector: int, index: int) -> int:
    """Return the normal variable at one address, in units of 2^-16."""
    return gaussian.of_word(word(seed, purpose, stream, sample, vector, index))


def words(seed: int, purpose: int, stream: int, samples: Array, vectors: Array, indices: range) -> Array:
    """Return the words [samples, vectors, indices] of a grid of addresses."""
    first, last = indices.start // philox.DRAWS, -(-indices.stop // philox.DRAWS)
    counters = (
        np.arange(first, last, dtype=np.uint64),
        np.asarray(vectors, np.uint64)[:, None],
        np.asarray(samples, np.uint64)[:, None, None],
        np.array(purpose | stream << 32, np.uint64),
    )
    found = philox.bulk(counters, (seed, 0))
    line = found.reshape(*found.shape[:2], (last - first) * philox.DRAWS)
    start = first * philox.DRAWS
    return line[..., indices.start - start : indices.stop - start]


def normals(seed: int, purpose: int, stream: int, samples: Array, vectors: Array, indices: range) -> Array:
    """Return the normal variables [samples, vectors, indices] of a grid of addresses, in units of 2^-16."""
    return gaussian.of_words(words(seed, purpose, stream, samples, vectors, indices))
