"""The conductance section of a program: what its blocks ask of their cells."""

import numpy as np
from numpy.typing import NDArray

from cimc.isa.program import Instruction


def targets(conductances: bytes, one: Instruction) -> NDArray[np.int16]:
    """Return the targets [rows, cols] of a `program` instruction: of each cell plus less minus, in codes."""
    values = np.frombuffer(conductances, "<i2", one["rows"] * one["cols"], one["data"])
    return values.reshape(one["rows"], one["cols"])
