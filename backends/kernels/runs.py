"""A plan cut into runs: neighbouring steps that the library performs in one call, and single steps for numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

from cimc.backends.kernels.library import Batch, NativeSteps, address
from cimc.backends.kernels.lowering import Lowered, lowered
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.state import Write
from cimc.backends.plan.walk import Step

SCRATCH_BYTES = 1 << 16
"""Rectangles of so many images as fit into this are made together: it should stay in the nearest caches."""


@dataclass(frozen=True)
class Run:
    """Neighbouring steps of a plan; `native` are the same steps for the library, None where numpy performs them."""

    steps: list[Step]
    native: NativeSteps | None = None
    scratch: int = 0


def cut(steps: Sequence[Step], constants: Array) -> list[Run]:
    """Return the runs of a plan: alternately native and not."""
    runs: list[Run] = []
    pending: list[Step] = []
    native: list[Lowered] = []
    for step in steps:
        found = lowered(step.action, constants) if isinstance(step.action, Write) else None
        if bool(found) != bool(native) and pending:
            runs.append(_run(pending, native))
            pending, native = [], []
        pending.append(step)
        if found:
            native.append(found)
    return [*runs, _run(pending, native)] if pending else runs


def _run(steps: list[Step], native: list[Lowered]) -> Run:
    if not native:
        return Run(steps)
    return Run(steps, NativeSteps([n.step for n in native], native), max(n.scratch for n in native))


def batch(chunk: Chunk, scratch: int) -> Batch:
    """Return the library's view of a chunk."""
    size = max(scratch, SCRATCH_BYTES)
    memory, room = chunk.memories["act"], chunk.buffer("native", (size + 64,), "u1")
    start = -address(room) % 64 + address(room)
    return Batch(
        memory=address(memory), pitch=memory.strides[0], images=chunk.images, scratch=start, scratch_bytes=size
    )
