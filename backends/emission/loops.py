"""Emission of loops: a state has memory that its next value is copied to, a sequence a stream that moves every step."""

from collections.abc import Callable
from math import prod

from xdsl.ir import Operation, SSAValue

from cimc.backends.emission.builder import IN, OPERANDS, OUT, Builder, vectors
from cimc.ir import loop
from cimc.ir.attributes import int_value
from cimc.ir.types import shape_of

FIRST_MOVING = len(OPERANDS) + 1
"""Streams from here on belong to sequences while a loop runs."""


def scan(builder: Builder, op: loop.ScanOp, emit: Callable[[Builder, Operation], None]) -> None:
    """Initialise the states, place the moving streams, and put the body between `loop` and `endloop`."""
    for state in op.states:
        _copy_to_state(builder, state, state.initial)
    _place(builder, op)
    builder.enter(op)
    builder.put("loop", count=int_value(op.steps))
    for inner in op.body.ops:
        emit(builder, inner)
    builder.enter(op)
    builder.put("endloop")


def take(builder: Builder, op: loop.TakeOp) -> None:
    scan = loop.scan_of(op)
    assert scan is not None
    builder.result(op, *vectors(shape_of(op.out)))
    builder.put("move", in_=builder.moving[op], out=OUT)
    builder.put("advance", stream=builder.moving[op], by=_step(scan, op.out))


def end(builder: Builder, op: loop.YieldOp) -> None:
    """Stack what is kept, then let the states take over their next values."""
    scan = loop.scan_of(op)
    assert scan is not None
    for value, stack in zip(op.kept, scan.kept, strict=True):
        for result in loop.results_of(stack):
            _keep(builder, scan, value, result)
    for state, value in zip(scan.states, op.next, strict=True):
        _copy_to_state(builder, state, value)


def _place(builder: Builder, op: loop.ScanOp) -> None:
    """Define the stream of every sequence over its first slice to read or write."""
    takes = [inner for inner in op.body.ops if isinstance(inner, loop.TakeOp)]
    results = [
        (value, result)
        for value, stack in zip(op.terminator.kept, op.kept, strict=True)
        for result in loop.results_of(stack)
    ]
    moving = [*((one, one.x, one.out) for one in takes), *((one, one.out, value) for value, one in results)]
    for number, (owner, sequence, one_slice) in enumerate(moving, start=FIRST_MOVING):
        builder.enter(owner)
        builder.moving[owner] = number
        builder.stream(number, sequence, *vectors(shape_of(one_slice)), _start(op, one_slice))


def _copy_to_state(builder: Builder, state: loop.StateOp, value: SSAValue) -> None:
    builder.enter(state)
    shape, pitch = vectors(shape_of(value))
    builder.stream(IN, value, shape, pitch)
    builder.stream(OUT, state.out, shape, pitch)
    builder.put("move", in_=IN, out=OUT)


def _keep(builder: Builder, scan: loop.ScanOp, value: SSAValue, result: loop.ResultOp) -> None:
    builder.enter(result)
    shape, pitch = vectors(shape_of(value))
    builder.stream(IN, value, shape, pitch)
    builder.put("move", in_=IN, out=builder.moving[result])
    builder.put("advance", stream=builder.moving[result], by=_step(scan, value))


def _start(scan: loop.ScanOp, one_slice: SSAValue) -> int:
    """Return the first element of the slice of the first step."""
    return (int_value(scan.steps) - 1) * prod(shape_of(one_slice)) if scan.reverse else 0


def _step(scan: loop.ScanOp, one_slice: SSAValue) -> int:
    size = prod(shape_of(one_slice))
    return -size if scan.reverse else size
