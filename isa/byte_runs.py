"""The bytes that a stream touches, as runs; and which bytes of a memory were written."""

from itertools import pairwise, product

from cimc.isa.streams import StreamState

Run = tuple[int, int]
"""First byte and one past the last."""

RUN_LIMIT = 1 << 20


class TooManyRuns(Exception):
    """The stream touches more separate runs, or more elements, than RUN_LIMIT."""


class Coverage:
    """Which bytes of a memory hold something, and of what kind: 0 is nothing, the other kinds are the user's."""

    def __init__(self, size: int) -> None:
        self._kinds = bytearray(size)

    def mark(self, runs: list[Run], kind: int) -> None:
        """Record that the bytes were written with a kind of 1..255; all runs lie inside the memory."""
        for start, end in runs:
            self._kinds[start:end] = bytes((kind,)) * (end - start)

    def first_gap(self, runs: list[Run]) -> int | None:
        """Return the address of the first byte never written, or None."""
        gaps = (self._kinds.find(0, start, end) for start, end in runs)
        return next((gap for gap in gaps if gap >= 0), None)

    def kinds(self, runs: list[Run]) -> set[int]:
        """Return the kinds found in the bytes."""
        return set().union(*(self._kinds[start:end] for start, end in runs))


def byte_runs(state: StreamState) -> list[Run]:
    """Return the bytes that a stream touches as runs in ascending order. Raises TooManyRuns."""
    if not all(state.touched()):
        return []
    start, length = state.extent()[0], state.size
    axes = _axes(state)
    while axes and axes[0][1] <= length:
        count, pitch = axes.pop(0)
        length += (count - 1) * pitch
    _check_count(axes)
    offsets = (sum(offset) for offset in product(*(range(0, count * pitch, pitch) for count, pitch in axes)))
    return sorted((start + offset, start + offset + length) for offset in offsets)


def overlaps_itself(state: StreamState) -> bool:
    """Return whether two elements of a stream without a window share a byte. Raises TooManyRuns."""
    span, nested = state.size, True
    axes = _axes(state)
    for count, pitch in axes:
        nested = nested and pitch >= span
        span += (count - 1) * pitch
    if nested or not all(state.touched()):
        return False
    if any(pitch < state.size for _, pitch in axes):
        return True
    _check_count(axes)
    offsets = sorted(sum(offset) for offset in product(*(range(0, count * pitch, pitch) for count, pitch in axes)))
    return any(second - first < state.size for first, second in pairwise(offsets))


def intersect(first: list[Run], second: list[Run]) -> bool:
    """Return whether two ascending lists of runs share a byte."""
    i = j = 0
    while i < len(first) and j < len(second):
        if first[i][0] < second[j][1] and second[j][0] < first[i][1]:
            return True
        if first[i][1] <= second[j][1]:
            i += 1
        else:
            j += 1
    return False


def same_elements(first: StreamState, second: StreamState) -> bool:
    """Return whether two streams yield the same elements in the same order, however their axes are split."""
    if first.window or second.window:
        return False
    return (first.space, first.base, first.size, _order(first)) == (
        second.space,
        second.base,
        second.size,
        _order(second),
    )


def _order(state: StreamState) -> list[tuple[int, int]]:
    """Return (count, pitch) of the axes, outermost first, without single elements and with joined neighbours."""
    axes: list[tuple[int, int]] = []
    for count, pitch in zip(state.shape, state.pitch, strict=True):
        if axes and axes[-1][1] == count * pitch:
            axes[-1] = (axes[-1][0] * count, pitch)
        elif count != 1:
            axes.append((count, pitch))
    return axes


def _axes(state: StreamState) -> list[tuple[int, int]]:
    """Return (count, distance in bytes) of each axis with more than one element, the nearest neighbours first."""
    axes = zip(state.touched(), state.pitch, strict=True)
    return sorted(
        ((len(axis), abs(pitch) * state.size) for axis, pitch in axes if len(axis) > 1), key=lambda axis: axis[1]
    )


def _check_count(axes: list[tuple[int, int]]) -> None:
    count = 1
    for length, _ in axes:
        count *= length
    if count > RUN_LIMIT:
        raise TooManyRuns
