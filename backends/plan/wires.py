"""IR drop of a block in the fast interpreter."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.noise.wires import LOAD_BITS, Wires
from cimc.backends.plan.exact import half_even
from cimc.isa.region import Region

Array = NDArray[Any]


def attenuated(law: Wires, machine: Machine, cells: Region, fine: Array) -> Array:
    """Return the effective conductances of a block [2, rows, cols], in fine units summed over pairs as `fine` is."""
    lines = fine.transpose(1, 2, 0).reshape(cells.rows, 2 * cells.cols) + law.base
    along_row = np.cumsum(np.cumsum(lines[:, ::-1], axis=1)[:, ::-1], axis=1)
    along_row += 2 * cells.col * lines.sum(axis=1, keepdims=True)
    along_column = np.cumsum(np.cumsum(lines, axis=0)[::-1], axis=0)[::-1]
    beyond = (machine.rows - cells.row - cells.rows) * lines.sum(axis=0)
    loads = law.loads(along_row + along_column + beyond)
    left = half_even(lines << LOAD_BITS, (1 << LOAD_BITS) + loads) - law.base
    return np.ascontiguousarray(left.reshape(cells.rows, cells.cols, 2).transpose(2, 0, 1))
