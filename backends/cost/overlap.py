"""Which products run at the same time: those of one layer, in tiles of their own, whatever the instructions.

A layer whose columns are cut over tiles, or of which several copies share the vectors, is several instructions
one behind another. Tiles work at the same time, blocks of one tile one after another: such a layer takes as long
as its busiest tile.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cimc.backends.cost.counters import Counters, Work
from cimc.isa.program import Instruction, Program
from cimc.isa.region import blocks_streamed

BETWEEN = ("tensor", "window", "advance")
"""What may stand between the products of one layer: it takes no time on an array."""


def blocks_read(i: Instruction) -> range:
    """Return the blocks that an instruction streams vectors through, calibration apart."""
    return blocks_streamed(i) if i.spec.is_product else range(0)


def timed(program: Program, works: Sequence[Work]) -> tuple[Work, ...]:
    """Return the work with its serial phases: those of the busiest tile of the products that run at the same time."""
    found = list(works)
    for group in together(program):
        tiles = Counter[int]()
        for index in group:
            tiles.update({tile: done.phases for tile, done in works[index].tiles.items()})
        busiest = max(tiles, key=lambda tile: (tiles[tile], -tile), default=0)  # behind the end nothing is done
        for index in group:
            found[index] = _on_time(works[index], busiest)
    return tuple(found)


def together(program: Program) -> Iterator[list[int]]:
    """Yield the instructions whose products run at the same time, those of one layer that follow one another."""
    group: list[int] = []
    for index, i in enumerate(program.instructions):
        product = i.spec.is_product
        if group and not (i.name in BETWEEN or (product and _same_layer(program, group[0], index))):
            yield group
            group = []
        if product:
            group.append(index)
    if group:
        yield group


def _same_layer(program: Program, one: int, other: int) -> bool:
    return bool(program.locations[one]) and program.locations[one] == program.locations[other]


def _on_time(work: Work, tile: int) -> Work:
    """Return the work with the phases on one tile as those that pass by themselves."""
    if tile not in work.tiles:
        return work
    done = work.tiles[tile]
    serial = Counters(serial_phases=done.phases)
    return replace(work, counters=work.counters + serial, tiles={**work.tiles, tile: done + serial})
