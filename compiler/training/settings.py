"""The settings of a training run, and how text changes them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from cimc.diagnostics import fail
from cimc.isa.names import did_you_mean

MODES = ("column", "refit")
OBJECTIVES = ("classes", "values")
LEARNT = ("all", "columns", "ranges")


@dataclass(frozen=True)
class Settings:
    """What a training run does; --set NAME=VALUE changes one.

    Scales of channels are moved between layers in `equalise` steps before the first one (equalise.py). `rate` is
    Adam's, of weights over the mean |w| of their column; `noise` multiplies the errors of devices. Each step trains on
    one chip under one of the compensations `modes`, in turn. The loss adds up the student on the noisy chip against the
    teacher, `clean` times the student without noise, `feature` times the squared difference of the values behind
    activations, over their variance, and `labels` times the cross entropy with labels, where data have them.
    `objective` says what outputs are: classes, or values. Samples are mixed in pairs with probability `mix`, moved by
    up to `shift` places along their first axis and `across` along their second (never along the last), mirrored along
    the second with `flip` 1, disturbed by up to `jitter` standard deviations, and offset by `offset` of them, the same
    along the whole first axis. The share `others` of a batch is drawn from the unlabelled inputs, where such are given.
    Weights are averaged with the factor `average` a step. `runs` runs of `steps` steps
    follow each other, each from the mean of where the first began and the runs before; their mean is what was trained.
    The share `prune` of the array's weights, those that cost least to remove, is zero and stays so, and so does the
    share `prune_columns` of columns, with the rows that read them (pruning.py). `learn` is all, or columns: of each a
    factor and its bias; or ranges, alone or behind one of them and a comma: those of values that layers read, and of
    columns.
    Facts of the compiler are measured anew every `measure` steps. The share `hold` of the data is kept back, and
    `chips` chips judge on it.
    """

    equalise: int = 0
    runs: int = 1
    steps: int = 600
    batch: int = 48
    rate: float = 0.004
    noise: float = 1.0
    modes: str = "column,refit"
    feature: float = 1.0
    clean: float = 0.5
    labels: float = 0.0
    objective: str = "classes"
    mix: float = 0.5
    shift: int = 0
    across: int = 0
    flip: int = 0
    jitter: float = 0.0
    offset: float = 0.0
    others: float = 0.5
    average: float = 0.99
    prune: float = 0.0
    prune_columns: float = 0.0
    learn: str = "all"
    measure: int = 100
    hold: float = 0.3
    chips: int = 4

    @property
    def prunes(self) -> bool:
        """Whether anything is pruned."""
        return max(self.prune, self.prune_columns) > 0.0

    def learns(self, what: str) -> bool:
        """Say whether `what`, one of LEARNT, is learnt."""
        return what in self.learn.split(",")

    @property
    def all_steps(self) -> int:
        """Steps of all runs."""
        return self.runs * self.steps

    @property
    def turns(self) -> tuple[str, ...]:
        """The compensations of steps, in turn."""
        return tuple(self.modes.split(","))


BOUNDS = {
    "equalise": (0, 10**5), "runs": (1, 1000),
    "steps": (1, 10**7), "batch": (2, 10**5), "rate": (1e-9, 1.0),
    "noise": (0.0, 100.0), "feature": (0.0, 1e6), "clean": (0.0, 1e6), "labels": (0.0, 1e6), "mix": (0.0, 1.0),
    "shift": (0, 10**4), "across": (0, 10**4), "flip": (0, 1), "jitter": (0.0, 100.0), "offset": (0.0, 100.0),
    "others": (0.0, 0.9), "average": (0.0, 0.999999), "prune": (0.0, 0.99), "prune_columns": (0.0, 0.99),
    "measure": (1, 10**7), "hold": (0.01, 0.9), "chips": (1, 1000),
}  # fmt: skip
"""The least and the most that a number may be."""


def changed(changes: Sequence[str]) -> Settings:
    """Return the settings that texts NAME=VALUE make of the default ones. Raises CimcError CIM0003."""
    settings = Settings()
    for text in changes:
        name, _, value = text.partition("=")
        settings = replace(settings, **{name: _value(name, value)})
    return settings


def _value(name: str, text: str) -> Any:
    kinds: dict[str, Any] = {one.name: type(one.default) for one in fields(Settings)}
    if name not in kinds:
        hint = did_you_mean(name, kinds, f"settings: {', '.join(kinds)}")
        raise fail("CIM0003", f"training has no setting {name!r}", hint=hint)
    if kinds[name] is str:
        return _choice(name, text)
    try:
        value = kinds[name](text)
    except ValueError:
        raise fail("CIM0003", f"setting {name} is {text!r}", hint=f"it takes a {_kind(kinds[name])}") from None
    low, high = BOUNDS[name]
    if not low <= value <= high:
        raise fail("CIM0003", f"setting {name} is {text}, {low} to {high} is possible")
    return value


def _choice(name: str, text: str) -> str:
    known = {"modes": MODES, "objective": OBJECTIVES, "learn": LEARNT}[name]
    parts = [text] if name == "objective" else text.split(",")
    if not set(parts) <= set(known) or (name == "learn" and {"all", "columns"} <= set(parts)):
        raise fail("CIM0003", f"setting {name} is {text!r}", hint=f"it can be {' or '.join(known)}")
    return text


def _kind(kind: type) -> str:
    return "whole number" if kind is int else "number"
