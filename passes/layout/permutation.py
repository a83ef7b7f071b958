"""Axis orders: result axis a of a transpose is operand axis order[a]; and how a reshape regroups axes."""

from collections.abc import Sequence
from dataclasses import dataclass

Order = tuple[int, ...]


def inverse(order: Sequence[int]) -> Order:
    """Return the order that undoes `order`."""
    return tuple(sorted(range(len(order)), key=lambda axis: order[axis]))


def composed(first: Sequence[int], second: Sequence[int]) -> Order:
    """Return the order of a transpose by `first` and then by `second`."""
    return tuple(first[axis] for axis in second)


def is_identity(order: Sequence[int]) -> bool:
    return tuple(order) == tuple(range(len(order)))


def keeps_elements(order: Sequence[int], shape: Sequence[int]) -> bool:
    """Say whether transposing data of `shape` only moves axes of length one, which leaves memory as it is."""
    long = [axis for axis in order if shape[axis] != 1]
    return long == sorted(long)


@dataclass(frozen=True)
class Group:
    """Operand axes and result axes of a reshape that hold the same elements; one side may be empty (length one)."""

    before: tuple[int, ...]
    after: tuple[int, ...]


def groups(before: Sequence[int], after: Sequence[int]) -> list[Group]:
    """Return the smallest groups of a reshape from shape `before` to shape `after`, in order."""
    found, i, j = [], 0, 0
    while i < len(before) or j < len(after):
        if i < len(before) and before[i] == 1:
            found.append(Group((i,), ()))
            i += 1
        elif j < len(after) and after[j] == 1:
            found.append(Group((), (j,)))
            j += 1
        else:
            i_end, j_end = _matched(before, after, i, j)
            found.append(Group(tuple(range(i, i_end)), tuple(range(j, j_end))))
            i, j = i_end, j_end
    return found


def _matched(before: Sequence[int], after: Sequence[int], i: int, j: int) -> tuple[int, int]:
    """Return the ends of the smallest runs from axes i and j on with equally many elements."""
    left, right = before[i], after[j]
    i, j = i + 1, j + 1
    while left != right:
        if left < right:
            left, i = left * before[i], i + 1
        else:
            right, j = right * after[j], j + 1
    return i, j


def reshape_first(
    order: Sequence[int], shape: Sequence[int], target: Sequence[int]
) -> tuple[tuple[int, ...], Order] | None:
    """Return (shape, order) of a reshape and a transpose behind it that do what transpose by `order`, reshape do.

    `shape` is the operand's, `target` the result's. None where an element group would have to be reordered inside.
    """
    turned = [shape[axis] for axis in order]
    parts = groups(turned, target)
    places = [_place(part, order, shape) for part in parts]
    if None in places:
        return None
    sequence = sorted(range(len(parts)), key=lambda n: (places[n] or (), n))
    if not _separate([places[n] or () for n in sequence]):
        return None
    axes = [axis for n in sequence for axis in parts[n].after]
    return tuple(target[axis] for axis in axes), inverse(axes)


def _place(part: Group, order: Sequence[int], shape: Sequence[int]) -> tuple[int, ...] | None:
    """Return the operand axes longer than one that a group covers; None where they are not ascending."""
    axes = [order[axis] for axis in part.before if shape[order[axis]] != 1]
    return tuple(axes) if axes == sorted(axes) else None


def _separate(places: Sequence[tuple[int, ...]]) -> bool:
    flat = [axis for place in places for axis in place]
    return flat == sorted(flat)
