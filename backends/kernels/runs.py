"""A plan cut into runs: neighbouring steps that the library performs in one call, and single steps for numpy."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from cimc.backends.kernels.library import Batch, NativeSteps, address
from cimc.backends.kernels.lowering import Lowered, lowered
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.state import Write
from cimc.backends.plan.steps import Step, Turns

SCRATCH_BYTES = 1 << 16
"""Rectangles of so many images as fit into this are made together: it should stay in the nearest caches."""


@dataclass(frozen=True)
class Run:
    """Neighbouring steps of a plan; `native` are the same steps for the library, None where numpy performs them."""

    steps: list[Step]
    native: NativeSteps | None = None
    lowered: Sequence[Lowered] = ()

    @property
    def scratch(self) -> int:
        return max((one.scratch for one in self.lowered), default=0)


@dataclass(frozen=True)
class Rounds:
    """Turns of a loop of a plan, `depth` loops around it: the runs of its body."""

    depth: int
    count: int
    runs: list["Run | Rounds"]

    @property
    def scratch(self) -> int:
        return most_scratch(self.runs)

    @property
    def alone(self) -> Run | None:
        """The body's only run, where it is native: then the turns are a loop of the library."""
        first, *others = self.runs
        return first if isinstance(first, Run) and first.native and not others else None


def most_scratch(runs: Iterable[Run | Rounds]) -> int:
    """Return the scratch of the run that needs most."""
    return max((run.scratch for run in runs), default=0)


def cut(steps: Sequence[Step | Turns], constants: Array, tiled: bool = False) -> list[Run | Rounds]:
    """Return the runs of a plan: between loops, native ones and others take turns; `tiled` as in `lowered`."""
    runs: list[Run | Rounds] = []
    pending: list[Step] = []
    for step in steps:
        if isinstance(step, Step):
            pending.append(step)
            continue
        body = cut(step.body, constants, tiled)
        runs += [*_cut(pending, constants, tiled), Rounds(step.depth, step.count, body)]
        pending = []
    return [*runs, *_cut(pending, constants, tiled)]


def _cut(steps: Iterable[Step], constants: Array, tiled: bool) -> Iterator[Run]:
    """Yield the runs of steps without a loop."""
    found = ((step, _lowered(step, constants, tiled)) for step in steps)
    for is_native, part in groupby(found, lambda pair: pair[1] is not None):
        pairs = list(part)
        yield _run([step for step, _ in pairs], [native for _, native in pairs if native] if is_native else [])


def _lowered(step: Step, constants: Array, tiled: bool) -> Lowered | None:
    return lowered(step.action, constants, tiled) if isinstance(step.action, Write) else None


def _run(steps: list[Step], native: list[Lowered]) -> Run:
    if not native:
        return Run(steps)
    return Run(steps, NativeSteps([n.step for n in native], native), native)


def batch(chunk: Chunk, scratch: int) -> Batch:
    """Return the library's view of a chunk."""
    size = max(scratch, SCRATCH_BYTES)
    memory, room = chunk.memories["act"], chunk.buffer("native", (size + 64,), "u1")
    start = -address(room) % 64 + address(room)
    return Batch(
        memory=address(memory),
        pitch=memory.strides[0],
        images=chunk.images,
        scratch=start,
        scratch_bytes=size,
        turns=chunk.turns.buffer_info()[0],
    )
