"""A program under construction, written without a graph: instructions, streams, tables, devices and ports."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from cimc.isa.constants import ConstantMemory, dtype_of, stored
from cimc.isa.program import Instruction, Layer, Operand, Port, Program, instruction
from cimc.isa.streams import AXES, dense


class Author:
    """Puts one instruction behind the other; `program` returns what there is, and more may follow.

    `target` are the sections of a chip (`Target.sections()`), which the program carries. Every instruction put is told
    to come from `names`: that of one of the `layers`, or where there are none whatever helps a reader. Methods that put
    an instruction return the author, those that fill a memory an address.
    Raises IsaError CIM0402 and CIM0403 where an instruction or an operand does not exist.
    """

    def __init__(self, target: Mapping[str, Any], activation_bytes: int = 0) -> None:
        self.meta: dict[str, Any] = {"target": target}
        self.activation_bytes = activation_bytes
        self.instructions: list[Instruction] = []
        self.locations: list[tuple[str, ...]] = []
        self.names: tuple[str, ...] = ()
        self.layers: list[Layer] = []
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self.constants = ConstantMemory()
        self.conductances = io.BytesIO()

    @classmethod
    def of(cls, program: Program) -> "Author":
        """Return an author who goes on from a program: what is put comes behind it, `amend` changes what is there."""
        author = Author({}, program.activation_bytes)
        author.meta = dict(program.meta)
        author.instructions, author.locations = list(program.instructions), list(program.locations)
        author.layers = list(program.layers)
        author.inputs, author.outputs = list(program.inputs), list(program.outputs)
        author.constants = ConstantMemory(program.constants)
        author.conductances = io.BytesIO(program.conductances)
        author.conductances.seek(0, io.SEEK_END)
        return author

    def put(self, name: str, **operands: Operand | str) -> Self:
        """Append an instruction; operands go by their names in the ISA manual (`in_` for `in`)."""
        self.instructions.append(instruction(name, **operands))
        self.locations.append(self.names)
        return self

    def amend(self, index: int, **operands: Operand | str) -> None:
        """Replace some operands of the instruction at an index."""
        self.instructions[index] = self.instructions[index].changed(**operands)

    def table(self, values: ArrayLike, element_type: str, name: str = "") -> int:
        """Return the constant address of a table. Raises IsaError CIM0445 where a value does not fit its type."""
        return self.constants.add(values, element_type, name)

    def matrix(self, differences: ArrayLike) -> int:
        """Return where conductance differences [rows, cols], plus less minus in 2^-F levels, lie in their section.

        Raises IsaError CIM0445 where one does not fit 16 bits.
        """
        address = self.conductances.tell()
        self.conductances.write(stored(differences, "i16", "a matrix of conductances"))
        return address

    def tensor(self, stream: int, shape: Sequence[int], base: int = 0, **facts: Any) -> Self:
        """Define a stream of up to four axes, densely packed i8 in activation memory where nothing else is said."""
        full = (1,) * (AXES - len(shape)) + tuple(shape)
        operands = {"space": "act", "type": "i8", "pitch": dense(full)} | facts
        return self.put("tensor", stream=stream, base=base, shape=full, **operands)

    def data(self, stream: int, values: ArrayLike, shape: Sequence[int], element_type: str = "i8") -> Self:
        """Define a stream over a new table of constants."""
        return self.tensor(stream, shape, self.table(values, element_type), space="const", type=element_type)

    def window(self, stream: int, kernel: Sequence[int], out: Sequence[int], **facts: Any) -> Self:
        """Turn a stream into a window; stride and dilation 1, no padding where nothing else is said."""
        operands: dict[str, Any] = {"stride": (1, 1), "dilation": (1, 1), "pad": (0, 0), "fill": 0} | facts
        return self.put("window", stream=stream, kernel=tuple(kernel), out=tuple(out), **operands)

    def block(self, number: int, differences: ArrayLike, at: tuple[int, int, int] = (0, 0, 0), **facts: Any) -> Self:
        """Programme a block of conductance differences [rows, cols] at (tile, row, column)."""
        (tile, row, col), (rows, cols) = at, np.shape(differences)
        operands: dict[str, Any] = {"zeros": "program", "data": self.matrix(differences)} | facts
        return self.put("program", block=number, tile=tile, row=row, col=col, rows=rows, cols=cols, **operands)

    def gain(self, multiplier: int = 1 << 15, divide: int = 15) -> Self:
        """Load the ADC gain multiplier / 2^divide for all tiles: 1 where nothing else is said."""
        return self.put("gain", tile=0, scope="all", multiplier=multiplier, divide=divide)

    def port(
        self, name: str, shape: tuple[int, ...], base: int, element_type: str = "i8", output: bool = False
    ) -> Self:
        """Append an input or output port whose codes are its numbers, all that its type holds."""
        limits = np.iinfo(dtype_of(element_type))
        codes: dict[str, Any] = {"scale": 1.0, "zero": 0, "low": int(limits.min), "high": int(limits.max)}
        port = Port(name, base, element_type, shape, model_shape=shape, order=tuple(range(len(shape))), **codes)
        (self.outputs if output else self.inputs).append(port)
        return self

    def program(self) -> Program:
        """Return the program, ended with `halt` where it does not end so already."""
        is_ended = bool(self.instructions) and self.instructions[-1].name == "halt"
        return Program(
            instructions=(*self.instructions, *(() if is_ended else (instruction("halt"),))),
            locations=(*self.locations, *(() if is_ended else (self.names,))),
            inputs=tuple(self.inputs),
            outputs=tuple(self.outputs),
            constants=self.constants.content(),
            conductances=self.conductances.getvalue(),
            activation_bytes=self.activation_bytes,
            meta=dict(self.meta),
            layers=tuple(self.layers),
        )
