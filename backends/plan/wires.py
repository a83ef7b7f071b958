"""IR drop of a block in the fast interpreter."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.noise.wires import LOAD_BITS, Wires
from cimc.backends.plan.exact import half_even
from cimc.isa.region import Region

Array = NDArray[Any]


def attenuated(law: Wires, machine: Machine, cells: Region, fine: Array, side: int = 0) -> Array:
    """Return the effective conductances of a block [2, rows, cols], in fine units summed over pairs as `fine` is.

    Where one side of the pairs is read, 1 or -1, the lines of the other carry no current; theirs mean nothing then.
    """
    carrying = (fine + law.base) * np.array([side >= 0, side <= 0])[:, None, None]
    lines = carrying.transpose(1, 2, 0).reshape(cells.rows, 2 * cells.cols)
    along_row = np.cumsum(np.cumsum(lines[:, ::-1], axis=1)[:, ::-1], axis=1)
    along_row += 2 * cells.col * lines.sum(axis=1, keepdims=True)
    along_column = np.cumsum(np.cumsum(lines, axis=0)[::-1], axis=0)[::-1]
    beyond = (machine.rows - cells.row - cells.rows) * lines.sum(axis=0)
    loads = law.loads(along_row + along_column + beyond)
    left = half_even(lines << LOAD_BITS, (1 << LOAD_BITS) + loads) - law.base
    return np.ascontiguousarray(left.reshape(cells.rows, cells.cols, 2).transpose(2, 0, 1))
