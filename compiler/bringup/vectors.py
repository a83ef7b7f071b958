"""The lines of vectors of a trace: what each block met and gave, and what was written, in fixed width."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.machine.observer import Products
from cimc.bringup.record import VECTOR, Prefix, damaged, dotted

Array = NDArray[Any]

SUM_DIGITS = 10
"""Hexadecimal digits of an array sum, |s| < 2^32: 40 bits."""
FIELDS = ("DAC code", "sum", "ADC code")
"""What the line of a block holds, in its order."""
WRITTEN = ("output",)
"""What the line behind the last block holds."""
LINE = re.compile(
    r"v (?P<index>[0-9a-f]+) (?P<turns>-|[0-9a-f]+(?:\.[0-9a-f]+)*) (?P<block>[0-9a-f]+|-) (?P<number>[0-9a-f]+)"
    r"(?P<words>(?: [0-9a-f]+)+)"
)


@dataclass(frozen=True)
class Vector:
    """One line: a block's part of vector `number`, or, where `block` is None, the elements written for it."""

    block: int | None
    number: int
    fields: dict[str, list[int]]


def digits_of(machine: Machine) -> tuple[int, int, int]:
    """Return how many hexadecimal digits a DAC's code, an array sum and an ADC's code take."""
    return -(-machine.dac_bits // 4), SUM_DIGITS, -(-machine.adc_bits // 4)


def vector_lines(
    prefix: Prefix, products: Products, image: int, written: Array | None, digits: tuple[int, int, int]
) -> Iterator[str]:
    """Yield the lines of all vectors of an instruction: of each block, then the elements written.

    `written` [vectors, length] is None where nothing is.
    """
    head = f"{VECTOR}{prefix.index:x} {dotted(prefix.turns)}"
    for n, number in enumerate(products.vectors):
        for block in products.blocks:
            sums, codes = (np.concatenate(arrays, axis=-1) for arrays in zip(*block.converted, strict=True))
            rows = (array[image % len(array)][n] for array in (block.inputs, sums, codes))
            words = " ".join(hexadecimal(row, each) for row, each in zip(rows, digits, strict=True))
            yield f"{head} {block.block:x} {number:x} {words}"
        if written is not None:
            yield f"{head} - {number:x} {hexadecimal(written[number], 2 * written.dtype.itemsize)}"


def vector_of(line: str, digits: tuple[int, int, int], written_digits: int) -> Vector:
    """Return the vector of a line. Raises Refusal CIM0560 where its numbers have other widths."""
    found = LINE.fullmatch(line)
    words = found["words"].split() if found else []
    is_block = found is not None and found["block"] != "-"
    names, widths = (FIELDS, digits) if is_block else (WRITTEN, (written_digits,))
    if found is None or len(words) != len(names) or any(len(w) % d for w, d in zip(words, widths, strict=True)):
        raise damaged(f"{line[:60]!r} is no line of a vector of this program")
    fields = {name: _numbers(word, width) for name, word, width in zip(names, words, widths, strict=True)}
    return Vector(int(found["block"], 16) if is_block else None, int(found["number"], 16), fields)


def hexadecimal(values: Array, digits: int) -> str:
    """Return whole numbers as two's complement of so many hexadecimal digits each, without blanks between."""
    mask = (1 << 4 * digits) - 1
    return "".join(f"{int(value) & mask:0{digits}x}" for value in values.tolist())


def _numbers(word: str, digits: int) -> list[int]:
    """Return the whole numbers that `hexadecimal` wrote."""
    raw = (int(word[at : at + digits], 16) for at in range(0, len(word), digits))
    sign = 1 << 4 * digits - 1
    return [(value ^ sign) - sign for value in raw]
