"""What a plan consists of: steps in the order of execution, and loops whose turns do the same at other addresses."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cimc.backends.plan.state import Action, Effect


@dataclass(frozen=True)
class Step:
    """One executed instruction that writes memory, has another effect on the images, or ends the run."""

    index: int
    action: Action

    @property
    def is_planned(self) -> bool:
        """Whether planning has done it, and only an observer is told of it."""
        return isinstance(self.action, Effect) and self.action.is_planned


@dataclass(frozen=True)
class Turns:
    """Turns of a loop: the body stands as the first does it. `depth` loops are around it."""

    depth: int
    count: int
    body: tuple["Step | Turns", ...]


def unobserved(steps: Iterable[Step | Turns]) -> Iterator[Step | Turns]:
    """Yield what a run has to do that nobody observes."""
    for step in steps:
        if isinstance(step, Turns):
            yield replace(step, body=tuple(unobserved(step.body)))
        elif not step.is_planned:
            yield step
