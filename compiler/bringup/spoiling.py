"""Directed programs whose output cannot take what an instruction writes: one for each trap that this brings about."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from cimc.bringup.directed import MEMORY
from cimc.isa.program import Instruction, Program, instruction
from cimc.isa.streams import StreamState, follow
from cimc.isa.writes import output_of

SPOILED: Mapping[str, Callable[[StreamState], StreamState]] = {
    "CIM0501": lambda out: replace(out, base=MEMORY - 1, shape=(1, 1, 1, max(out.shape[3], 2)), pitch=(0, 0, 0, 1)),
    "CIM0503": lambda out: replace(out, space="const", base=0),
    "CIM0505": lambda out: replace(out, shape=(*out.shape[:3], out.shape[3] + 1)),
    "CIM0506": lambda out: replace(out, type="u8"),
}
"""Trap -> what is made of the output: outside of memory, read only, one element longer, of a type without a sign."""
SIGNLESS = ("argmax", "poolmax", "readcell", "selftest", "verify")
"""Instructions whose plain programs write no negative value, on some target or other."""
COUNTLESS = ("embed", "fill")
"""Instructions whose output says how many elements there are."""


LEFT_OUT = {"CIM0505": COUNTLESS, "CIM0506": SIGNLESS}


def spoiled(program: Program, index: int) -> Iterator[tuple[str, Program]]:
    """Yield a trap and a program that ends in it, for each that the output of the instruction at an index can bring."""
    one = program.instructions[index]
    number = output_of(one)
    if number is None:
        return
    streams: dict[int, StreamState] = {}
    for before in program.instructions[:index]:
        follow(streams, before)
    for code, spoil in SPOILED.items():
        if one.name not in LEFT_OUT.get(code, ()):
            yield code, _inserted(program, index, _tensor(number, spoil(streams[number])))


def _tensor(number: int, state: StreamState) -> Instruction:
    place: dict[str, int | tuple[int, ...]] = {"base": state.base, "shape": state.shape, "pitch": state.pitch}
    return instruction("tensor", stream=number, space=state.space, type=state.type, **place)


def _inserted(program: Program, index: int, one: Instruction) -> Program:
    instructions, locations = program.instructions, program.locations
    return replace(
        program,
        instructions=(*instructions[:index], one, *instructions[index:]),
        locations=(*locations[:index], (), *locations[index:]),
    )
