"""What results belong to: the hashes of a program and of the codes that it was run on."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.isa.binary import program_digest
from cimc.isa.program import Program


def origin(program: Program, inputs: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Return the sha256 of a program as compiled, and of its input codes: what layer codes belong to."""
    codes = hashlib.sha256()
    for name in sorted(inputs):
        array = np.ascontiguousarray(inputs[name])
        codes.update(f"{name} {array.shape} {array.dtype.str} ".encode() + array.tobytes())
    return {"program": program_digest(program), "inputs": codes.hexdigest()}
