"""Programs changed after compilation: instructions replaced one for one, tables appended to constant memory."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cimc.isa.program import Instruction, Operand, Program

ALIGNMENT = 8


def changed(instruction: Instruction, **operands: Operand) -> Instruction:
    """Return the instruction with some operands replaced (`in_` for `in`)."""
    named = {("in" if name == "in_" else name): value for name, value in operands.items()}
    fields = instruction.spec.fields
    values = tuple(named.pop(f.name, old) for f, old in zip(fields, instruction.operands, strict=True))
    if named:
        raise KeyError(f"{instruction.name} has no operand {sorted(named)[0]}")
    return Instruction(instruction.name, values)


@dataclass
class Rewriter:
    """Collects changes to a program; `result` is the changed program. Instruction numbers stay what they were."""

    program: Program
    instructions: list[Instruction] = field(init=False)
    constants: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self.instructions = list(self.program.instructions)
        self.constants = bytearray(self.program.constants)

    def table(self, values: NDArray[np.integer], dtype: str) -> int:
        """Append a table of little-endian `dtype` and return its constant address."""
        self.constants.extend(bytes(-len(self.constants) % ALIGNMENT))
        address = len(self.constants)
        self.constants.extend(np.asarray(values).astype(np.dtype(dtype).newbyteorder("<")).tobytes())
        return address

    def read(self, address: int, dtype: str, count: int) -> NDArray[np.int64]:
        """Return `count` entries of a table of constant memory."""
        return np.frombuffer(bytes(self.constants), np.dtype(dtype).newbyteorder("<"), count, address).astype(np.int64)

    def result(self) -> Program:
        return replace(self.program, instructions=tuple(self.instructions), constants=bytes(self.constants))


def block_columns(program: Program) -> dict[int, int]:
    """Return the number of columns of every block."""
    return {i["block"]: i["cols"] for i in program.instructions if i.name == "program"}
