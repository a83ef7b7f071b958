"""Layer-serial schedule: activation addresses by liveness; operations run in module order."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue

from cimc.diagnostics import fail
from cimc.ir.attributes import integer
from cimc.ir.facts import ACTIVATION_BYTES
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.loop import ResultOp, StateOp, TakeOp, scan_of
from cimc.ir.nn import Computed, InputOp, OutputOp
from cimc.ir.types import WeightRef, code_of, shape_of
from cimc.ir.xbar import ViewOp
from cimc.targets import Target

Bytes = NDArray[np.int64]

ALIGNMENT = 16
"""Bytes: where a value may begin in activation memory; a constant takes so many more at most to lie aligned."""
MACHINE_CONSTANTS = ("scale", "offset", "table", "weights", "vectors", "reference", "epsilon")
"""Properties whose arrays lie in constant memory."""


@dataclass
class _Buffer:
    """Bytes alive from operation `first` to operation `last`."""

    size: int
    first: int
    last: int
    address: int = -1


@dataclass(frozen=True)
class Schedule:
    """Give every value an activation address; values alive together do not overlap, views share their operand's.

    The last value of a state lies where the state does."""

    name: ClassVar[str] = "schedule"
    target: Target

    def __call__(self, graph: Graph) -> Graph:
        operations = graph.operations
        buffers = _buffers(operations)
        _assign(_unique(buffers))
        for op in operations:
            if isinstance(op, Computed):
                op.properties["address"] = integer(buffers[op.out].address)
        total = max((buffer.address + buffer.size for buffer in buffers.values()), default=0)
        self._check(graph, operations, buffers, total)
        ACTIVATION_BYTES.note(graph.module, total)
        return graph

    def _check(self, graph: Graph, operations: list[Operation], buffers: dict[SSAValue, _Buffer], total: int) -> None:
        constants = constant_bytes(operations)
        if total > self.target.activation_bytes:
            largest = sorted(
                (op for op in operations if isinstance(op, Computed)), key=lambda op: -buffers[op.out].size
            )[:5]
            rows = "\n".join(f"    {', '.join(names_of(op.location))}: {buffers[op.out].size} bytes" for op in largest)
            raise fail(
                "CIM0303",
                f"activations need {total} bytes, target {self.target.name} has {self.target.activation_bytes}; "
                f"largest values:\n{rows}",
                hint="smaller inputs, or a target with more activation memory",
            )
        if constants > self.target.constant_bytes:
            raise fail(
                "CIM0303",
                f"constants need {constants} bytes, target {self.target.name} has {self.target.constant_bytes}",
                hint="a target with more constant memory",
            )


def byte_size(value: SSAValue) -> int:
    """Return the bytes of a code tensor in activation memory."""
    return math.prod(shape_of(value)) * code_of(value).element_bytes


def constant_bytes(operations: list[Operation]) -> int:
    """Return an upper bound of the constant memory that the operations need."""
    total = 0
    for op in operations:
        for key in MACHINE_CONSTANTS:
            ref = op.properties.get(key)
            if isinstance(ref, WeightRef):
                total += math.prod(ref.dims) * int(ref.dtype.data[2:]) + ALIGNMENT
    return total


def _buffers(operations: list[Operation]) -> dict[SSAValue, _Buffer]:
    """Return the life of every value: those that a loop reads, carries or stacks live through all of it."""
    time = {op: index for index, op in enumerate(operations)}
    found: dict[SSAValue, _Buffer] = {}
    for op in operations:
        for operand in (operand for operand in op.operands if operand in found):
            found[operand].last = max(found[operand].last, _last_read(op, time))
        if isinstance(op, ViewOp):
            found[op.out] = found[op.x]
        elif isinstance(op, ResultOp) and op.state:
            found[op.out] = found[op.state.out]
        elif isinstance(op, Computed):
            scan = scan_of(op) if isinstance(op, StateOp) else None
            last = time[scan.terminator] if scan else time[op]
            found[op.out] = _Buffer(byte_size(op.out), _first_write(op, time), last)
    return found


def _last_read(op: Operation, time: Mapping[Operation, int]) -> int:
    if isinstance(op, OutputOp):
        return len(time)
    scan = scan_of(op)
    return time[scan.terminator] if scan and isinstance(op, TakeOp) else time[op]


def _first_write(op: Computed, time: Mapping[Operation, int]) -> int:
    if isinstance(op, InputOp):
        return 0
    scan = op.x.owner if isinstance(op, ResultOp) else scan_of(op) if isinstance(op, StateOp) else op
    return time[scan] if isinstance(scan, Operation) else time[op]


def _unique(buffers: dict[SSAValue, _Buffer]) -> list[_Buffer]:
    return list({id(buffer): buffer for buffer in buffers.values()}.values())


def _assign(buffers: list[_Buffer]) -> None:
    """Place large buffers first, each at the lowest address free during its whole life."""
    starts, ends = np.zeros((2, len(buffers)), np.int64)
    lives = np.zeros((2, len(buffers)), np.int32)
    for count, buffer in enumerate(sorted(buffers, key=lambda b: (-b.size, b.first))):
        first, last = lives[:, :count]
        rivals = np.flatnonzero((first <= buffer.last) & (last >= buffer.first))
        rivals = rivals[starts[rivals].argsort()]
        buffer.address = _lowest(starts[rivals], ends[rivals], buffer.size)
        starts[count], ends[count] = buffer.address, -(-(buffer.address + buffer.size) // ALIGNMENT) * ALIGNMENT
        lives[:, count] = buffer.first, buffer.last


def _lowest(starts: Bytes, ends: Bytes, size: int) -> int:
    """Return the lowest address where so many bytes are free beside what is taken, in the order of its addresses."""
    free = np.concatenate([[0], np.maximum.accumulate(ends)])
    fits = np.append(free[:-1] + size <= starts, True)
    return int(free[fits.argmax()])
