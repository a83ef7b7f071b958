"""1/f noise as one process through time: how much of it any two times share.

Noise of frequencies f to 2 f is as good as a variable that is drawn anew every 1 / (4 f): a sum of such variables over
octaves, each with stretches of time that begin elsewhere for every device, has a 1/f spectrum, and any time of it can
be asked for without those before. Octave k has stretches of 2^k s and stands for periods of 3 * 2^k to 6 * 2^k s;
times are whole seconds, so that what is faster than octave 1 is fresh at each of them. The covariance of two times,
sum over k of ln 2 * max(0, 1 - |t - u| / 2^k), is that of the spectrum 1/f (a difference of cosine integrals) but for
the steps of the octaves.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, overload

from numpy.typing import NDArray

from cimc.backends.noise.fixed_point import DIGITS, FLICKER_BITS, NORMAL_BITS, scaled

Array = NDArray[Any]

SHORTEST = 3
"""The shortest period of octave k, in 2^k s."""
WORD_BITS = 32
SAMPLE_SHIFT = 48
"""Where the octave lies in the sample of an address, above the number of a stretch."""
LARGEST = 8 << NORMAL_BITS
"""The sum stays within 8 standard deviations, so that its products stay below 2^63."""


@dataclass(frozen=True)
class Memory:
    """What the variable of read noise at a time is made of, as weights in Q16 whose squares sum to 1.

    `fresh` is the weight of what no other time shares; `octaves` are (octave, weight).
    """

    fresh: int = 1 << FLICKER_BITS
    octaves: tuple[tuple[int, int], ...] = ()


def memory(seconds: Decimal, duration: Decimal) -> Memory:
    """Return the memory of 1/f noise that grew for `seconds`, read for `duration`; all is fresh before that."""
    with localcontext() as context:
        context.prec = DIGITS
        longest, shortest = seconds + duration, 2 * duration
        if longest <= shortest:
            return Memory()
        shares, octave = [], 1
        while (start := SHORTEST * Decimal(1 << octave)) < longest:
            low, high = max(start, shortest), min(2 * start, longest)
            if low < high:
                shares.append((octave, (high / low).ln()))
            octave += 1
        total = (longest / shortest).ln()
        fresh = max(total - sum(share for _, share in shares), Decimal(0))
        weights = tuple((octave, _weight(share, total)) for octave, share in shares)
        return Memory(_weight(fresh, total), weights)


def _weight(share: Decimal, total: Decimal) -> int:
    return scaled((share / total).sqrt(), FLICKER_BITS)


@overload
def stretch(seconds: int, octave: int, word: int) -> int: ...


@overload
def stretch(seconds: int, octave: int, word: Array) -> Array: ...


def stretch(seconds: int, octave: int, word: Any) -> Any:
    """Return the number of the stretch that a time lies in, by the random word that says where stretches begin."""
    offset = word >> WORD_BITS - octave if octave <= WORD_BITS else word << octave - WORD_BITS
    return seconds + offset >> octave


def sample(octave: int, number: int) -> int:
    """Return the sample in the address of a stretch's variable."""
    return octave << SAMPLE_SHIFT | number
