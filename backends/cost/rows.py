"""The rows of a table of costs: layers, instructions, tiles or components; their sums are the program's."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from cimc.backends.cost.counters import ARRAY, Counters, total
from cimc.backends.cost.estimate import COMPONENTS, Charge, Estimate, array_energy
from cimc.isa.program import Program
from cimc.targets.prices import Interval, phase_time

Parts = Iterator[tuple[str, Charge]]

BESIDE = "beside the arrays"
"""The row of what no array does: the digital unit, memory, control, and what all tiles leak."""


def rows(estimate: Estimate, program: Program, by: str) -> dict[str, list[Charge]]:
    """Return the charges of each row, in program order; what does nothing that is counted has none."""
    found: dict[str, list[Charge]] = {}
    for index, charge in enumerate(estimate.charges):
        if any(charge.counters.values()[1:]):
            for name, part in GROUPS[by](estimate, program, index):
                found.setdefault(name, []).append(part)
    return found


def layer_row(program: Program, index: int) -> str:
    """Return the row that an instruction belongs to where rows are layers."""
    return ", ".join(program.locations[index])


def _layer(estimate: Estimate, program: Program, index: int) -> Parts:
    yield layer_row(program, index), estimate.charges[index]


def _instruction(estimate: Estimate, program: Program, index: int) -> Parts:
    yield f"{index} {program.instructions[index].name}", estimate.charges[index]


def _tile(estimate: Estimate, program: Program, index: int) -> Parts:
    """Yield what the array of each tile takes, and the rest."""
    charge, work, bits = estimate.charges[index], estimate.works[index], estimate.bits[index]
    for tile, done in sorted(work.tiles.items()):
        energy = {"array": array_energy(estimate.pricing, done, bits)}
        yield f"tile {tile}", Charge(done, energy, phase_time(estimate.target, bits).times(done.serial_phases))
    rest = {name: part for name, part in charge.energy.items() if name != "array"}
    counters = charge.counters - total(work.tiles.values())
    yield BESIDE, replace(charge, counters=counters, energy=rest, array_ns=Interval())


def _component(estimate: Estimate, program: Program, index: int) -> Parts:
    """Yield what each component takes: the array by its phases, the digital unit by its cycles."""
    charge = estimate.charges[index]
    for name, paid in COMPONENTS.items():
        done = charge.counters.only(ARRAY if name == "array" else paid)
        array = charge.array_ns if name == "array" else Interval()
        digital = (charge.digital_ns, charge.added_ns) if name == "digital" else ()
        yield name, Charge(done, {name: charge.energy[name]}, array, *digital)
    yield "once", Charge(_rest(charge.counters), {})


def _rest(counters: Counters) -> Counters:
    paid = (name for names in COMPONENTS.values() for name in names)
    return counters - counters.only((*ARRAY, *paid))


GROUPS: Mapping[str, Callable[[Estimate, Program, int], Parts]] = {
    "layer": _layer,
    "instruction": _instruction,
    "tile": _tile,
    "component": _component,
}
"""What the rows of a table may stand for -> the parts of an instruction's charge, each with the name of its row."""
