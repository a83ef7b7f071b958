"""Room in the tiles: the blocks that layers will take before they are mapped, and which choices the packing then holds.

What is chosen here is what `place` is asked for later, so the packing itself is asked, not only free cells counted: by
the default options of `split`, `reuse` and `place`, whose other options may need more room.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from cimc.ir.attributes import int_value, int_values
from cimc.ir.facts import APART
from cimc.ir.nn import ConvOp, Layer
from cimc.ir.types import shape_of
from cimc.ir.xbar import window_of
from cimc.passes.costs import channels_together
from cimc.passes.dither import constant_rows
from cimc.passes.layer_bits import FULL, in_two_matrices, raised_bits
from cimc.passes.packing import Block, blocks_in, pack_layers
from cimc.passes.split import balanced_cuts
from cimc.targets import Target

Alternative = Mapping[int, Sequence[Block]]
"""What one way to map some layers takes: the blocks of each, by its place among the graph's operations."""
Matrix = tuple[int, int, int]
"""Groups, rows and columns."""


def matrix_of(op: Layer, target: Target, count: int = 1) -> Matrix:
    """Return the matrix of a layer whose rows stand `count` times, a depthwise one's as block-diagonal groups."""
    *taps, channels, outputs = op.weight.dims
    groups = int_value(op.group) if isinstance(op, ConvOp) else 1
    if op.is_depthwise:
        held = channels_together(target, math.prod(taps), groups, outputs // groups)
        return groups // held, math.prod(taps) * held, outputs // groups * held
    return groups, math.prod(taps) * channels * count + constant_rows_of(op, target, count), outputs // groups


def constant_rows_of(op: Layer, target: Target, count: int = 1) -> int:
    """Return how many rows a constant channel adds to a layer whose rows stand `count` times."""
    if APART.get(op) is None or raised_bits(op) != (FULL, FULL):
        return 0
    *taps, channels, _ = op.weight.dims
    window = int_values(window_of(op, (taps[0], taps[1]))) if isinstance(op, ConvOp) else ()
    return constant_rows(math.prod(taps) * channels * count, window, shape_of(op.x), target)


def blocks_for(op: Layer, target: Target, count: int = 1) -> list[Block]:
    """Return the blocks of a layer whose rows stand `count` times, cut as `split` does by default."""
    groups, rows, cols = matrix_of(op, target, count)
    found = blocks_in(groups, balanced_cuts(rows, target.rows), balanced_cuts(cols, target.columns))
    return list(found) * (2 if in_two_matrices(op) else 1)


def first_fitting(choices: Sequence[Sequence[Alternative]], target: Target) -> list[int]:
    """Return the number of the alternative that each choice takes: the first one that fits, the first choices' first.

    The last alternative of each choice is what it takes anyway. The packing is asked once where it holds what free
    cells allow, else choice by choice; in the order of the graph, as `place` asks it. Where tiles have gains of their
    own, which layers then share is not known yet: none is taken to share its tiles.
    """
    least = [len(alternatives) - 1 for alternatives in choices]
    if target.tiles is None:
        return [0] * len(choices)
    cells = [[_cells(alternative) for alternative in alternatives] for alternatives in choices]
    free = target.tiles * target.rows * target.columns

    def has_cells(taken: Sequence[int]) -> bool:
        return sum(of[number] for of, number in zip(cells, taken, strict=True)) <= free

    def packs(taken: Sequence[int]) -> bool:
        held = dict(chain.from_iterable(of[number].items() for of, number in zip(choices, taken, strict=True)))
        layers = [held[place] for place in sorted(held) if held[place]]
        gains = range(len(layers)) if target.constants["adc.gain"] == "tile" else [0] * len(layers)
        return has_cells(taken) and pack_layers(layers, [1] * len(layers), gains, target) is not None

    found = _in_turn(choices, least, has_cells)
    if found == least or packs(found):
        return found
    return _in_turn(choices, least, packs) if packs(least) else least


def _in_turn(
    choices: Sequence[Sequence[Alternative]], least: Sequence[int], fits: Callable[[Sequence[int]], bool]
) -> list[int]:
    """Return the first alternative of each choice with which all fits, those behind it taking their least."""
    taken = list(least)
    for place in range(len(choices)):
        ways = ([*taken[:place], number, *taken[place + 1 :]] for number in range(least[place]))
        taken = next(filter(fits, ways), taken)
    return taken


def _cells(alternative: Alternative) -> int:
    return sum(block.rows * block.cols for blocks in alternative.values() for block in blocks)
