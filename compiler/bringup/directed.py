"""What directed programs begin with: a small machine's input, streams, blocks, and the products over them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cimc.isa.author import Author

MEMORY = 1024
SHAPE = (3, 3, 2)
INPUT = np.array([[[-5, 7], [0, 3], [6, -7]], [[1, 0], [0, 0], [7, -7]], [[4, 2], [-1, 1], [0, 7]]], np.int8)
"""One sample for every program: both signs, zeros, the ends of a DAC of four bits."""
IN, OUT, OTHER = 0, 1, 2
"""Streams that the programs use."""


ROUND = {"shift": 16, "low": -90, "high": 90}


def begun(target: Mapping[str, Any]) -> Author:
    """Return an author with the input, an output, a gain, two blocks, and streams; OTHER is the input backwards."""
    author = Author(target, MEMORY).port("x", SHAPE, 0).port("y", (8,), 512, output=True).gain(35328, 20)
    author.block(0, [[100, -60], [-33, 12], [7, 0], [0, 5]], (0, 1, 2)).block(1, [[5, -90], [64, 1]], (0, 9, 0))
    author.tensor(OUT, (3, 6), 512, type="i16").tensor(OTHER, (3, 6), 64)
    author.tensor(IN, (3, 6), 17, pitch=(0, 0, -6, -1)).put("move", in_=IN, out=OTHER)
    return author.tensor(IN, (3, 6))


def tables(author: Author, count: int, biases: int | None = None) -> dict[str, int]:
    """Return the operands `scale` and `bias` of tables that hold so many entries."""
    scale = [33000, -5, 65535, 1, -65535, 20000][:count] * (count // 6 + 1)
    bias = [1 << 14, -3, 0, 777, -(1 << 20), 5][: biases or count] * ((biases or count) // 6 + 1)
    return {"scale": author.table(scale[:count], "i32"), "bias": author.table(bias[: biases or count], "i64")}


def windowed(author: Author) -> Author:
    """Make the input a window of 2 x 2 taps over two channels, with padding: four vectors of eight codes."""
    author.tensor(IN, SHAPE).window(IN, (2, 2), (2, 2), stride=(2, 1), pad=(1, 0), fill=-3)
    return author.tensor(OUT, (4, 2), 512, type="i16")


def vectors(author: Author, length: int, out: int) -> Author:
    """Define three vectors of a length, and the output of them."""
    return author.tensor(IN, (3, length)).tensor(OUT, (3, out), 512, type="i16")


def product(author: Author) -> Author:
    """Append a product over both blocks."""
    return vectors(author, 6, 2).put("mvm", in_=IN, out=OUT, block=0, blocks=2, **tables(author, 4, 2), **ROUND)


def calibrated(author: Author) -> Author:
    """Append a calibration of both blocks, column by column."""
    reference = author.table([900, 30, 5, 800], "i64")
    return vectors(author, 6, 2).put("calibrate", in_=IN, block=0, blocks=2, reference=reference, per="column")


def single(author: Author) -> Author:
    """Define an output of one element."""
    return author.tensor(OUT, (1,), 512, type="i16")
