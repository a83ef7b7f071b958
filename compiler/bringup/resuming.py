"""A program that starts at one of its layers, on the codes of the tensors that it still needs of what came before."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.observer import Observer
from cimc.backends.machine.ports import port_stream
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.sources import Noise
from cimc.isa.program import Instruction, Layer, Port, Program, instruction
from cimc.isa.streams import StreamState, follow
from cimc.isa.writes import TensorWrite, inputs_of, output_of, streams_written, writes_of

Array = NDArray[Any]

NOTHING = -1
"""Owner of bytes that no tensor needed behind the start has written."""


def resumed(program: Program, name: str) -> Program:
    """Return the program without the layers before one, named by itself or by an ONNX node.

    Its inputs are the tensors that the rest still reads, flat codes by tensor, and the model's inputs that it reads.
    Raises Refusal CIM0565 where there is no such layer, or where it lies in a loop.
    """
    first = _first(program, name)
    code = tuple(
        instruction("nop") if index < first and output_of(one) is not None else one
        for index, one in enumerate(program.instructions)
    )
    ports = [*map(_flat, program.inputs), *_tensors(program, first)]
    needed = _needed(program, first, ports)
    return replace(program, instructions=code, inputs=tuple(ports[number] for number in sorted(needed)))


def tensor_codes(program: Program, codes: Mapping[str, Array], noise: Noise | None = None) -> dict[str, Array]:
    """Return the flat codes [samples, elements] of every tensor outside of loops, and the input codes, by name.

    They are what `resumed` programs take.
    """
    keep = _Kept(program)
    Interpreter(program, noise=noise).run(codes, keep)
    flat = {name: array.reshape(len(array), -1) for name, array in codes.items()}
    return flat | {name: np.concatenate(parts) for name, parts in keep.found.items()}


class _Kept(Observer):
    """Puts the tensors of each chunk of samples together: `found` by name."""

    def __init__(self, program: Program) -> None:
        self.found: dict[str, list[Array]] = {}
        outside = {index: write for index, write in writes_of(program).items() if write.runs == 1}
        self._places = {index: (write.tensor, _elements(write)) for index, write in outside.items()}
        self._sizes: dict[str, int] = {}
        for tensor, places in self._places.values():
            self._sizes[tensor] = max(int(places.max(initial=-1)) + 1, self._sizes.get(tensor, 0))

    def begin(self, samples: range) -> None:
        for tensor, size in self._sizes.items():
            self.found.setdefault(tensor, []).append(np.zeros((len(samples), size), np.int64))

    def wrote(self, index: int, values: Array) -> None:
        if index in self._places:
            tensor, places = self._places[index]
            self.found[tensor][-1][:, places] = values.reshape(len(values), -1)


def _elements(write: TensorWrite) -> Array:
    """Return the flat elements of its tensor that a write fills, in stream order."""
    places = np.full(1, write.start, np.int64)
    for count, pitch in zip(write.shape, write.pitch, strict=True):
        places = (places[:, None] + np.arange(count) * pitch).ravel()
    return places


def _first(program: Program, name: str) -> int:
    found = [layer for layer in program.layers if name in (layer.name, *layer.nodes)]
    if not found:
        known = ", ".join(layer.name for layer in program.layers[:12])
        raise Refusal("CIM0565", f"the program has no layer {name!r}", f"it has {known}")
    first = _computing(program, found[0])
    depth = sum((one.name == "loop") - (one.name == "endloop") for one in program.instructions[:first])
    if depth:
        raise Refusal("CIM0565", f"layer {name!r} lies in a loop", "start at a layer before the loop")
    return first


def _computing(program: Program, layer: Layer) -> int:
    """Return the first instruction of a layer behind the calibrations, which all lie in front of the first layer."""
    numbers = program.instructions_of(layer)
    last = max((i for i in numbers if program.instructions[i].name in ("program", "calibrate")), default=-1)
    return next(index for index in numbers if index > last)


def _tensors(program: Program, first: int) -> list[Port]:
    """Return a port for each tensor that instructions before the start write, dense and flat as it lies in memory."""
    streams, groups = streams_written(program), dict[str, list[tuple[TensorWrite, StreamState]]]()
    for index, write in writes_of(program).items():
        if index < first:
            groups.setdefault(write.tensor, []).append((write, streams[index]))
    return [_port(name, group) for name, group in groups.items()]


def _flat(port: Port) -> Port:
    """Return a port that takes its codes in memory order, as tensors are given."""
    count = math.prod(port.shape)
    return replace(port, shape=(count,), model_shape=(count,), order=(0,))


def _port(name: str, group: Sequence[tuple[TensorWrite, StreamState]]) -> Port:
    base, one = min(state.extent()[0] for _, state in group), group[0][1]
    count = (max(state.extent()[1] for _, state in group) - base) // one.size
    return Port(name, base, one.type, (count,), (count,), (0,), 1.0, 0, one.lowest, one.highest)


def _needed(program: Program, first: int, ports: Sequence[Port]) -> set[int]:
    """Return which ports hold bytes that instructions from the start on read before they write them."""
    owners = np.full(program.activation_bytes, NOTHING)
    _own(owners, program, first, ports)
    needed, streams = set[int](), dict[int, StreamState]()
    for index, one in enumerate(program.instructions):
        follow(streams, one)
        if index < first:
            continue
        for state in _read(streams, one):
            low, high = state.extent()
            needed |= set(np.unique(owners[low:high]).tolist())
        out = output_of(one)
        if out is not None:
            low, high = streams[out].extent()
            owners[low:high] = NOTHING
    return needed - {NOTHING}


def _own(owners: Array, program: Program, first: int, ports: Sequence[Port]) -> None:
    """Note which port's tensor was the last to write each byte before the start."""
    numbers = {port.name: number for number, port in enumerate(ports)}
    for port in program.inputs:
        low, high = port_stream(port).extent()
        owners[low:high] = numbers[port.name]
    streams = streams_written(program)
    for index, write in writes_of(program).items():
        if index < first:
            low, high = streams[index].extent()
            owners[low:high] = numbers[write.tensor]


def _read(streams: Mapping[int, StreamState], one: Instruction) -> Iterator[StreamState]:
    """Yield the streams of activation memory that an instruction reads."""
    yield from (streams[number] for number in inputs_of(one) if streams[number].space == "act")
