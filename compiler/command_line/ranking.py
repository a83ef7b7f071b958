"""Outputs for people: of each sample the five largest, by the names of classes where the data have them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.driving.tables import tabulate, terminal_width

TOP = 5
MOST_SAMPLES = 10
"""Samples that are shown; files hold them all."""
NAMES, LABELS = "class_names", "y"
"""Arrays of a data file that say what classes are called, and which is right."""

Arrays = Mapping[str, NDArray[Any]]


def ranked(outputs: Arrays, data: Arrays) -> list[str]:
    """Return a table for each output [N, ...]; `data` are the arrays that the inputs came from."""
    return [line for name, values in outputs.items() for line in (f"output {name!r}", *_table(values, data))]


def _table(values: NDArray[Any], data: Arrays) -> list[str]:
    flat = values.reshape(len(values), -1)
    shown, classes = flat[:MOST_SAMPLES], flat.shape[1]
    names, labels = _names(data, classes), _labels(data, len(flat), classes)
    heads = ["sample", *(["label"] if labels is not None else []), *map(str, range(1, min(TOP, classes) + 1))]
    rows = [_row(number, sample, names, labels) for number, sample in enumerate(shown)]
    more = [f"  ... and {len(flat) - len(shown)} more samples"] if len(flat) > len(shown) else []
    return [*tabulate([heads, *map(list, rows)], terminal_width()), *more]


def _row(number: int, sample: NDArray[Any], names: Sequence[str], labels: NDArray[Any] | None) -> Iterator[str]:
    yield str(number)
    if labels is not None:
        yield names[int(labels[number])]
    for place in np.argsort(-sample, kind="stable")[:TOP]:
        yield f"{names[int(place)]}: {sample[place]:.4g}"


def _names(data: Arrays, classes: int) -> Sequence[str]:
    """Return what classes are called: by the data where these have a name for each, else by number."""
    found = data.get(NAMES)
    if found is not None and found.shape == (classes,) and found.dtype.kind == "U":
        return [str(name) for name in found]
    return [str(place) for place in range(classes)]


def _labels(data: Arrays, count: int, classes: int) -> NDArray[Any] | None:
    """Return the label of each sample, None where the data have none that fit."""
    found = data[LABELS].reshape(-1) if LABELS in data else None
    if found is None or len(found) < count or found.dtype.kind not in "iu":
        return None
    return found if int(found.min()) >= 0 and int(found.max()) < classes else None
