"""What two processes say to each other: a JSON object and arrays by name; nothing that could run code."""

import json
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
NUMBERS = "biuf"
"""The kinds of numpy's types that are told: truths, whole and real numbers."""


def send(line: Connection, said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> None:
    """Send an object with arrays of numbers. Raises TypeError for arrays of anything else, OSError."""
    given = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in (arrays or {}).items()}
    other = next((name for name, array in given.items() if array.dtype.kind not in NUMBERS), None)
    if other is not None:
        raise TypeError(f"{other!r} holds {given[other].dtype}, which is no type of numbers")
    forms = [(name, array.dtype.str, array.shape) for name, array in given.items()]
    line.send_bytes(json.dumps([said, forms]).encode())
    for array in given.values():
        if array.size:
            line.send_bytes(array.reshape(-1).view(np.uint8).data)


def receive(line: Connection) -> tuple[dict[str, Any], Arrays]:
    """Return an object and the arrays that came with it. Raises EOFError, OSError."""
    said, forms = json.loads(line.recv_bytes())
    return said, {name: _array(line, np.dtype(kind), tuple(shape)) for name, kind, shape in forms}


def _array(line: Connection, kind: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    found = np.empty(shape, kind)
    if found.size:
        line.recv_bytes_into(found.reshape(-1).view(np.uint8).data)
    return found
