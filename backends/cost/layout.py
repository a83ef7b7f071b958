"""Which blocks a layer's products pass, and the tiles that they lie in."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cimc.backends.cost.overlap import blocks_read
from cimc.backends.cost.rows import layer_row
from cimc.isa.program import ArrayBlock, Program


@dataclass(frozen=True)
class Layout:
    """The blocks of a layer, copies included."""

    blocks: tuple[ArrayBlock, ...]

    @property
    def matrix(self) -> str:
        """Rows x columns of its blocks, with a number before those that there are several of."""
        sizes = Counter(f"{block.rows}x{block.cols}" for block in self.blocks)
        return ", ".join(f"{count} of {size}" if count > 1 else size for size, count in sizes.items())

    @property
    def tiles(self) -> int:
        return len({block.tile for block in self.blocks})


NOWHERE = Layout(())
"""That of a layer that no array computes."""


def layouts(program: Program) -> Mapping[str, Layout]:
    """Return the row of each layer that the arrays compute -> its blocks, in the order of their numbers."""
    placed = {block.number: block for block in program.blocks}
    read: dict[str, set[int]] = {}
    for index, one in enumerate(program.instructions):
        if numbers := blocks_read(one):
            read.setdefault(layer_row(program, index), set()).update(numbers)
    return {row: Layout(tuple(placed[number] for number in sorted(numbers))) for row, numbers in read.items()}
