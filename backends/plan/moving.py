"""What moves on with every turn of the loops around: where a stream lies, and how often a block was read before."""

from collections.abc import Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

from numpy.typing import NDArray

from cimc.isa.streams import StreamState
from cimc.isa.table import LOOP_DEPTH

STILL = (0,) * LOOP_DEPTH
"""Steps, or turns, of loops of which none is around: one a depth, the outermost first."""


def way(steps: Sequence[int], turns: Sequence[int]) -> int:
    """Return how far something has moved that moves on by a step in each turn of the loop at each depth."""
    return sum(map(mul, steps, turns))


def through(turns: MutableSequence[int], depth: int, count: int) -> Iterator[int]:
    """Yield the turns of the loop at a depth, each noted while it lasts."""
    for turn in range(count):
        turns[depth] = turn
        yield turn


@dataclass(frozen=True)
class Moving(StreamState):
    """A stream as the first turns see it; `steps` are in bytes, `reach` is the least and the most they add up to."""

    steps: tuple[int, ...] = STILL
    reach: tuple[int, int] = (0, 0)

    def extent(self) -> tuple[int, int]:
        """Return the lowest byte address touched in any turn and one past the highest."""
        low, high = super().extent()
        return low + self.reach[0], high + self.reach[1]


def moves(state: StreamState) -> tuple[int, ...]:
    """Return the bytes by which a stream moves on in each turn of the loops around."""
    return state.steps if isinstance(state, Moving) else STILL


@dataclass(frozen=True)
class Occasion:
    """When products are made, which addresses their noise: numbers of the samples, and the turn of each loop around."""

    samples: NDArray[Any]
    turns: Sequence[int] = STILL
