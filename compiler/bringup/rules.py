"""Directed programs for rules: what no single field of an instruction shows."""

from collections.abc import Callable, Mapping

import numpy as np

from cimc.bringup.directed import IN, OTHER, OUT, SHAPE, calibrated, product, single, tables, windowed
from cimc.isa.author import Author
from cimc.isa.constants import in_halves
from cimc.isa.limits import PLACES_MOST
from cimc.isa.table import ELEMENT_TYPES, LOOP_DEPTH


def _ties(author: Author) -> Author:
    """Sums at exact halves of both parities and signs, at both ends of the ADC and beyond, through a gain of 1/2."""
    author.tensor(OUT, (1,), 512, type="i64").gain(1 << 15, 16)
    for value in (
        1,
        3,
        -1,
        -3,
        5,
        252,
        253,
        254,
        255,
        256,
        257,
        1 << 30,
        -252,
        -253,
        -254,
        -255,
        -256,
        -257,
        -(1 << 30),
    ):
        author.put("selftest", tile=0, col=1, value=value, out=OUT)
    return author


def _halves(author: Author) -> Author:
    """The digital unit's rounding at halves of both parities and signs, its clamp at and beyond both ends."""
    unit = {"scale": author.table([1], "i32"), "bias": author.table([0], "i64")}
    author.data(IN, [1, 3, 5, -1, -3, -5, 10, 11, 12, -10, -11, -12], (12,)).tensor(OUT, (12,), 512)
    return author.put("affine", in_=IN, out=OUT, period=1, shift=1, low=-5, high=5, **unit)


def _epilogues(author: Author) -> Author:
    """The same in the epilogues of a sum and of a product, whose codes are their sums."""
    author.block(3, [[1]], (0, 2, 4)).gain().data(IN, [1, 3, 5, 7, -1, -3, -5, -7], (8, 1)).tensor(OUT, (8,), 512)
    author.put("add", a=IN, b=IN, out=OUT, ma=1, mb=0, bias=0, shift=1, low=-3, high=3)
    unit = {"scale": author.table([1], "i32"), "bias": author.table([0], "i64")}
    return author.put("mvm", in_=IN, out=OUT, block=3, blocks=1, shift=1, low=-3, high=3, **unit)


def _quotients(author: Author) -> Author:
    """Quotients of both signs between integers, and at halves."""
    author.data(IN, [7, -7, 5, -5, 3, -3, 1, -1], (8,)).data(OTHER, [4, 4, -4, -4, 2, 2, 0, 0], (8,))
    author.tensor(OUT, (8,), 512)
    facts = {"za": 0, "zb": 0, "m": 1 << 31, "zero": 3, "shift": 31, "low": -90, "high": 90}
    return author.put("div", a=IN, b=OTHER, out=OUT, **facts)


def _in_halves(author: Author) -> Author:
    """Taps of four bits: both signs, both ends, of both halves of a byte."""
    author.data(IN, range(1, 10), (3, 3, 1)).window(IN, (2, 2), (2, 2)).tensor(OUT, (4,), 512)
    weights = author.table(in_halves([-8, 7, 3, -1], "taps"), "u8")
    unit = {"scale": author.table([1], "i32"), "bias": author.table([0], "i64")}
    facts = {"multiplier": 1, "shift": 0, "low": -128, "high": 127}
    return author.put("depthwise", in_=IN, out=OUT, weights=weights, taps="i4", **facts, **unit)


def _extremes(author: Author) -> Author:
    """Equal values, and negative ones alone: where the largest and the smallest lie, a pool of such."""
    author.data(IN, [-3, -1, -3, -1, -9, -9], (2, 3)).tensor(OUT, (2,), 512)
    for which in ("largest", "smallest"):
        for tie in ("first", "last"):
            author.put("argmax", in_=IN, out=OUT, which=which, tie=tie)
    author.data(IN, [-9, -8, -7, -6, -5, -4], (1, 2, 3, 1)).window(IN, (2, 2), (1, 2))
    return author.put("poolmax", in_=IN, out=OUT, low=-128, high=127)


def _deep(author: Author) -> Author:
    """Loops as deep as they nest, whose output moves on in each."""
    author.tensor(IN, (1,)).tensor(OUT, (1,), 512)
    for _ in range(LOOP_DEPTH):
        author.put("loop", count=2)
    author.put("move", in_=IN, out=OUT)
    for by in range(1, LOOP_DEPTH + 1):
        author.put("advance", stream=OUT, by=by).put("advance", stream=IN, by=1).put("endloop")
    return author


def _types(author: Author) -> Author:
    """Each element type as source and as target, with the lowest and the highest value that it holds."""
    for name, (size, signed) in ELEMENT_TYPES.items():
        bits = 8 * size
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        values = np.array([low, high, 0, 1], f"<{'i' if signed else 'u'}{size}")
        author.data(IN, values, (4,), name).tensor(OUT, (4,), 512, type=name).put("move", in_=IN, out=OUT)
    return author


def _backwards(author: Author) -> Author:
    """Negative pitches, a pitch of 0, padding that cuts, dilation."""
    author.tensor(IN, (3, 6), 17, pitch=(0, 0, -6, -1)).put("move", in_=IN, out=OUT)
    author.tensor(IN, (3, 6), 0, pitch=(0, 0, 0, 1)).put("move", in_=IN, out=OUT)
    author.tensor(IN, SHAPE).window(IN, (2, 2), (2, 1), pad=(-1, -1), dilation=(1, 1))
    author.tensor(OUT, (2, 8), 512).put("move", in_=IN, out=OUT)
    author.tensor(IN, SHAPE).window(IN, (2, 2), (2, 2), pad=(1, 1), dilation=(2, 2), fill=-4)
    return author.tensor(OUT, (4, 8), 512).put("move", in_=IN, out=OUT)


def _drifted(author: Author) -> Author:
    """Drift factors other than 1, of blocks programmed to less than their reference sums, to the last bit of M."""
    product(calibrated(author)).tensor(OUT, (3, 2), 512, type="i32")
    facts = {"shift": 0, "low": -(1 << 31), "high": (1 << 31) - 1}
    return author.put("mvm", in_=IN, out=OUT, block=0, blocks=2, **tables(author, 4, 2), **facts)


def _wide(author: Author) -> Author:
    """Sums of both signs just beyond 2^18, at the DAC's highest code and full conductance, in the middle of the ADC."""
    target = author.meta["target"]
    array, high = target["array"], (1 << target["dac"]["bits"] - 1) - 1
    full = array["levels"] << array["fraction_bits"]
    rows = min((1 << 18) // (full * high) + 1, array["rows"] - 2)
    author.block(3, [[full, -full]] * rows, (0, 2, 4)).data(IN, [high] * rows + [-high] * rows, (2, rows), "i16")
    divide = 15 + (rows * full * high).bit_length() - min(target["adc"]["bits"], 8) + 1
    author.put("gain", tile=0, scope="all", multiplier=1 << 15, divide=divide)
    return author.tensor(OUT, (2, 2), 512, type="i16").put("capture", in_=IN, out=OUT, block=3)


def _ends(author: Author) -> Author:
    """Codes of products that are the ADC's last ones without being clipped, beside one that is."""
    target = author.meta["target"]
    array, adc = target["array"], target["adc"]
    full = array["levels"] << array["fraction_bits"]
    high = min((1 << adc["bits"] - (adc["codes"] != "unsigned")) - 1, full - 1)
    author.block(3, [[high, -high, high + 1]], (0, 2, 4)).gain().data(IN, [1, -1], (2, 1))
    return author.tensor(OUT, (2, 3), 512, type="i16").put("capture", in_=IN, out=OUT, block=3)


def _rooted(author: Author) -> Author:
    """A norm of small numbers whose root is irrational, to the last bit."""
    author.data(IN, [1, -1, 2], (1, 3)).tensor(OUT, (1, 3), 512, type="i32")
    unit = {"scale": author.table([1] * 3, "i32"), "bias": author.table([0] * 3, "i64")}
    facts = {"zero": 0, "fraction": 0, "shift": 0, "low": -(1 << 31), "high": (1 << 31) - 1}
    return author.put("norm", in_=IN, out=OUT, centre="mean", epsilon=author.table([0], "i64"), **facts, **unit)


def _overlapping(author: Author) -> Author:
    """Outputs over the inputs that they are made of, forwards and backwards: all is read before anything is written."""
    for base, out in ((0, 3), (3, 0)):
        author.tensor(IN, (12,), base).tensor(OUT, (12,), out).put("move", in_=IN, out=OUT)
    return author.tensor(IN, (6,), type="i16").put("move", in_=OUT, out=OUT)


def _replaced(author: Author) -> Author:
    """What replaces what: a tensor a window, a window a window, a common gain that of a tile, zeros a device."""
    windowed(author).tensor(IN, (3, 6)).tensor(OUT, (3, 6), 512).put("move", in_=IN, out=OUT)
    author.tensor(IN, SHAPE).window(IN, (3, 3), (1, 1)).window(IN, (1, 2), (2, 2), fill=4).put(
        "advance", stream=IN, by=2
    )
    author.tensor(OUT, (4, 4), 512).put("move", in_=IN, out=OUT)
    for scope, shift in (("tile", 19), ("all", 21)):
        author.put("gain", tile=0, scope=scope, multiplier=40000, divide=shift)
    single(author).put("selftest", tile=0, col=1, value=100, out=OUT)
    return author.block(0, [[0, 9], [0, 0]], (0, 1, 2)).block(0, [[0, 0], [7, 0]], (0, 1, 2), zeros="skip")


def _tiles(author: Author) -> Author:
    """A gain for a tile alone, the last one where they are counted, and a product over blocks of two tiles."""
    tiles = author.meta["target"]["array"]["tiles"]
    tile = tiles - 1 if isinstance(tiles, int) else PLACES_MOST
    author.block(1, [[5, -90], [64, 1]], (tile, 9, 0)).put("gain", tile=tile, scope="tile", multiplier=50000, divide=18)
    return product(author)


def _phases(author: Author) -> Author:
    """Inputs of both signs, of one sign, and u8, whose plus and minus sums round and clip each in its own way."""
    array = author.meta["target"]["array"]
    full = array["levels"] << array["fraction_bits"]
    author.block(3, [[full, 3, -full], [full, -5, 1], [-full, 7, full], [1 - full, -9, -full]], (0, 2, 4))
    author.put("gain", tile=0, scope="all", multiplier=1 << 15, divide=15 + 5)
    values = [7, -7, 7, -7, 7, 7, 1, 0, -7, -7, -1, -3, 5, 3, 7, 1]
    for codes, kind in ((values, "i8"), ([abs(value) for value in values], "u8")):
        author.data(IN, codes, (4, 4), kind).tensor(OUT, (4, 3), 512, type="i16")
        author.put("capture", in_=IN, out=OUT, block=3)
    return author


RULES: Mapping[str, Callable[[Author], Author]] = {
    "rule.ties": _ties,
    "rule.halves": _halves,
    "rule.epilogues": _epilogues,
    "rule.loops": _deep,
    "rule.types": _types,
    "rule.backwards": _backwards,
    "rule.drift": _drifted,
    "rule.wide": _wide,
    "rule.ends": _ends,
    "rule.quotients": _quotients,
    "rule.in_halves": _in_halves,
    "rule.extremes": _extremes,
    "rule.root": _rooted,
    "rule.overlap": _overlapping,
    "rule.replaced": _replaced,
    "rule.tiles": _tiles,
    "rule.phases": _phases,
}
"""Name -> what writes the program, behind the beginning that all have."""
