"""IR drop of the reference interpreter, segment by segment: wires.py has the law."""

from collections.abc import Sequence

from cimc.backends.machine.facts import Machine
from cimc.backends.machine.rounding import half_even
from cimc.backends.noise.wires import LOAD_BITS, Wires
from cimc.isa.region import Region


def attenuated(
    law: Wires, machine: Machine, cells: Region, fine: Sequence[Sequence[int]], side: int = 0
) -> list[list[int]]:
    """Return the effective conductances [rows][lines] of a block, in fine units summed over pairs as `fine` is.

    Where one side of the pairs is read, 1 or -1, the lines of the other carry no current; theirs mean nothing then.
    """
    carries = (side >= 0, side <= 0)
    lines = [[(value + law.base) * carries[line % 2] for line, value in enumerate(row)] for row in fine]
    rows = [_from_driver(row, 2 * cells.col) for row in lines]
    columns = [_to_adc(list(line), machine.rows - cells.row - cells.rows) for line in zip(*lines, strict=True)]
    return [
        [_left(law, value, rows[i][line] + columns[line][i]) for line, value in enumerate(row)]
        for i, row in enumerate(lines)
    ]


def _from_driver(row: Sequence[int], before: int) -> list[int]:
    """Return, for each cell of a row, the conductances behind every segment from the driver to it, summed."""
    result, total, behind = [], before * sum(row), sum(row)
    for value in row:
        total += behind
        behind -= value
        result.append(total)
    return result


def _to_adc(line: Sequence[int], beyond: int) -> list[int]:
    """Return, for each cell of a line, the conductances before every segment from it to the ADC, summed."""
    result, total, before = [0] * len(line), beyond * sum(line), sum(line)
    for i in reversed(range(len(line))):
        total += before
        before -= line[i]
        result[i] = total
    return result


def _left(law: Wires, value: int, total: int) -> int:
    return half_even(value << LOAD_BITS, (1 << LOAD_BITS) + law.loads(total)) - law.base
