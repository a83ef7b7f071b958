"""Which values of which fields of the instruction set a set of programs holds, against those that every field has."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cimc.isa.program import Program
from cimc.isa.table import TABLE, Field, Spec


def boundary_values(one: Field) -> tuple[int, ...]:
    """Return the values that a field is to be seen at: its ends, 0, 1 and -1, or every member."""
    if one.names:
        return tuple(range(len(one.names)))
    near = (value for value in (-1, 0, 1) if one.lowest <= value <= one.highest)
    return tuple(sorted({one.lowest, *near, one.highest}))


@dataclass
class Coverage:
    """Values seen by instruction and field."""

    seen: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))

    def add(self, program: Program) -> None:
        """Take in every instruction of a program, whether it runs or not."""
        for one in program.instructions:
            for spec_field, operand in zip(one.spec.fields, one.operands, strict=True):
                self.seen[one.name, spec_field.name].update(operand if isinstance(operand, tuple) else (operand,))
            self.seen[one.name, ""].add(0)

    def missing(self, spec: Spec) -> Iterator[tuple[Field, tuple[int, ...]]]:
        """Yield the fields of an instruction that were not seen at all their values, and those values."""
        for one in spec.fields:
            absent = tuple(value for value in boundary_values(one) if value not in self.seen[spec.name, one.name])
            if absent:
                yield one, absent

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, share of values seen, and what is missing, for each instruction."""
        for spec in TABLE:
            wanted = sum(len(boundary_values(one)) for one in spec.fields) + 1
            absent = list(self.missing(spec))
            found = wanted - sum(len(values) for _, values in absent) - (0 not in self.seen[spec.name, ""])
            names = " ".join(f"{one.name}={','.join(map(str, values))}" for one, values in absent)
            yield spec.name, f"{found} of {wanted}", names or "-"


def covered(programs: Iterable[Program]) -> Coverage:
    """Return the coverage of programs together."""
    found = Coverage()
    for program in programs:
        found.add(program)
    return found
