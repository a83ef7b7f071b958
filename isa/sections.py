"""Parts of a program as people look things up in it: ports, target, numbered code, tables of constants, blocks.

Their names are options of the command line, so what the parts need is imported where it is used.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cimc.isa.program import Instruction, Program
    from cimc.isa.table import Field


def _ports(program: "Program") -> Iterator[str]:
    from cimc.isa.manifest import canonical, port_facts

    for kind, ports in (("input", program.inputs), ("output", program.outputs)):
        yield from (f"{kind} {canonical(port_facts(port))}" for port in ports)


def _target(program: "Program") -> Iterator[str]:
    from cimc.isa.manifest import canonical

    for name, facts in sorted(dict(program.meta.get("target", {})).items()):
        yield f"{name} {canonical(facts)}"


def _code(program: "Program") -> Iterator[str]:
    from cimc.isa.disassemble import listing

    return listing(program)


def _constants(program: "Program") -> Iterator[str]:
    """Yield each address of constant memory that an operand names, with the instructions that read there."""
    readers: dict[tuple[int, str], list[int]] = defaultdict(list)
    for index, one in enumerate(program.instructions):
        for field, operand in zip(one.spec.fields, one.operands, strict=True):
            if isinstance(operand, int) and _is_constant(one, field):
                readers[operand, field.name].append(index)
    for (address, name), indices in sorted(readers.items()):
        yield f"{address:#08x}  {name:9}  read by {', '.join(map(str, indices))}"


def _is_constant(one: "Instruction", field: "Field") -> bool:
    """Return whether an operand is an address of constant memory."""
    if field.name == "base":
        return one.choice("space") == "const"
    return field.meaning.startswith("constant address")


def _blocks(program: "Program") -> Iterator[str]:
    for block in program.blocks:
        rows = f"rows {block.row}..{block.row + block.rows - 1}, columns {block.col}..{block.col + block.cols - 1}"
        yield f"b{block.number}  tile {block.tile}, {rows}  {block.layer}"


SECTIONS: "Mapping[str, Callable[[Program], Iterator[str]]]" = {
    "ports": _ports,
    "target": _target,
    "code": _code,
    "constants": _constants,
    "blocks": _blocks,
}
"""What `cimc objdump --section` prints."""
