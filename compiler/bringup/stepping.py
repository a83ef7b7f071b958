"""A run taken instruction by instruction, on the reference interpreter: stop anywhere, look at everything."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.ports import DTYPES, port_stream
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.sources import Noise
from cimc.backends.reference.instructions import Reference
from cimc.isa.program import Instruction, Program
from cimc.isa.streams import StreamState
from cimc.isa.writes import streams_written, writes_of

Array = NDArray[Any]


class Stepper:
    """One sample of input codes [*port.shape] by port on its way through a program.

    `retired` counts the instructions done. Steps raise Trap as runs do; the stepper then stays where it is.
    """

    def __init__(self, program: Program, codes: Mapping[str, Array], noise: Noise | None = None) -> None:
        self.program = program
        self.retired = 0
        self._machine = Reference(program, None, noise)
        self._machine.begin({name: array.ravel().tolist() for name, array in codes.items()})

    @property
    def index(self) -> int | None:
        """The number of the instruction that comes next, None behind the last."""
        return self._machine.next

    @property
    def current(self) -> Instruction | None:
        """The instruction that comes next."""
        return None if self.index is None else self.program.instructions[self.index]

    @property
    def turns(self) -> tuple[int, ...]:
        """Turns done of each loop around it, the outermost first."""
        instructions = self.program.instructions
        return tuple(instructions[start - 1]["count"] - left for start, left in self._machine.loops)

    @property
    def streams(self) -> Mapping[int, StreamState]:
        """The streams that are defined, by number."""
        return self._machine.streams

    def step(self, count: int = 1) -> None:
        """Do so many instructions, or as many as there are."""
        for _ in range(count):
            if self.index is None:
                return
            self._machine.step()
            self.retired += 1

    def until(self, is_reached: Callable[[], bool]) -> bool:
        """Do instructions until a condition holds, at least one; return whether it does before the end."""
        self.step()
        while self.index is not None and not is_reached():
            self.step()
        return self.index is not None

    def to_instruction(self, index: int) -> bool:
        """Go on until this instruction comes next; return whether it does."""
        return self.until(lambda: self.index == index)

    def to_layer(self, name: str) -> bool:
        """Go on until an instruction of this layer, or of a layer of this ONNX node, comes next."""
        self._require(name, (word for layer in self.program.layers for word in (layer.name, *layer.nodes)), "layer")
        return self.until(lambda: name in self._names())

    def to_change(self, tensor: str) -> bool:
        """Go on until an instruction has changed an element of a tensor; return whether one does."""
        before = self.tensor(tensor).tobytes()
        return self.until(lambda: self.tensor(tensor).tobytes() != before)

    def tensor(self, name: str) -> Array:
        """Return what lies now where an input or the layer of this tensor is, as that stream's shape [a, b, c, d].

        Of a tensor that several instructions write, what the first of them writes. Raises Refusal CIM0565.
        """
        self._require(name, self.tensors, "tensor")
        return self.view(self.tensors[name])

    def view(self, state: StreamState) -> Array:
        """Return the elements of a stream as they lie in memory now."""
        vectors = self._machine.memory.read(state)
        return np.array(vectors, DTYPES[state.type]).reshape(state.shape if not state.window else (len(vectors), -1))

    def device(self, tile: int, row: int, col: int) -> tuple[int, int]:
        """Return the programmed values of a cell, plus and minus."""
        plus, minus = (self._machine.crossbar.programmed((tile, row, col, side)) for side in ("plus", "minus"))
        return plus, minus

    @cached_property
    def tensors(self) -> Mapping[str, StreamState]:
        """The stream of each input, and of each tensor that the program's table of layers names."""
        streams, writes = streams_written(self.program), writes_of(self.program)
        found = {port.name: port_stream(port) for port in self.program.inputs}
        for index, write in writes.items():
            found.setdefault(write.tensor, streams[index])
        return found

    def _names(self) -> tuple[str, ...]:
        layer = self.program.layer_at(self.index) if self.index is not None else None
        return (layer.name, *layer.nodes) if layer else ()

    def _require(self, name: str, known: Any, what: str) -> None:
        """Raise Refusal CIM0565 where the program has nothing of this name."""
        names = list(known)
        if name not in names:
            raise Refusal("CIM0565", f"the program has no {what} {name!r}", f"it has {', '.join(names[:12])}")
