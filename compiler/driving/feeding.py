"""Feeding: what data are and how they become the real values of inputs. The one home of it, for every command."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import DiagnosticError, fail
from cimc.isa.names import did_you_mean
from cimc.isa.preprocessing import Preprocessing, channel_axis, fault_of
from cimc.isa.program import Port, Program

RAW, MODEL, CODES = "raw", "model", "codes"
KINDS = (RAW, MODEL, CODES)
"""What data may be: raw, to be preprocessed; what the float model takes; the codes of the port."""
EVERY = ""
"""Stands for every input of real numbers where preprocessing is stated."""

Values = Mapping[str, Any]
"""Members of a Preprocessing by name: those that were stated, and no others."""


@dataclass(frozen=True)
class Feeding:
    """What is stated with data: preprocessing by the name of an input (or EVERY), their kind, how many rows to take."""

    stated: Mapping[str, Values] = field(default_factory=dict)
    kind: str = RAW
    limit: int | None = None

    def of(self, name: str) -> Values:
        """Return what is stated of one input."""
        return {**self.stated.get(EVERY, {}), **self.stated.get(name, {})}


class Intake(NamedTuple):
    """An input as data meet it: name, per-sample shape, what makes real values of raw data; None for nothing."""

    name: str
    shape: tuple[int, ...]
    preprocessing: Preprocessing | None = None


def taken_for(intakes: Sequence[Intake], kind: str) -> list[Intake]:
    """Return intakes for data of a kind, RAW or MODEL: what the float model takes is not preprocessed."""
    return [one._replace(preprocessing=None) if kind == MODEL else one for one in intakes]


def program_intakes(program: Program, feeding: Feeding) -> list[Intake]:
    """Return the inputs of a program, with what makes real values of the data fed. Raises CimcError CIM0003."""
    if feeding.kind not in KINDS:
        raise fail("CIM0003", f"data cannot be {feeding.kind!r}", hint=f"one of {', '.join(KINDS)}")
    if feeding.kind != RAW and feeding.stated:
        found = f"--feed {feeding.kind} says that the data need no preprocessing, and preprocessing is given"
        raise fail("CIM0003", found, hint="leave one of them out")
    require_inputs(feeding, {port.name: not port.whole for port in program.inputs})
    return [Intake(port.name, port.model_shape, _of_port(port, feeding)) for port in program.inputs]


def stated_in(program: Program) -> dict[str, Values]:
    """Return the preprocessing that a program holds, as it can be stated to compile its model again."""
    return {one.name: vars(one.preprocessing) for one in program.inputs if one.preprocessing is not None}


def _of_port(port: Port, feeding: Feeding) -> Preprocessing | None:
    if port.whole or feeding.kind == MODEL:
        return None
    if feeding.kind == CODES:
        return Preprocessing(float(-port.zero), port.scale)
    given = feeding.of(port.name)
    if port.preprocessing is None:
        return preprocessing_of(port.name, port.model_shape, given) if given else None
    _require_same(port.name, port.preprocessing, given)
    return port.preprocessing


def _require_same(name: str, stored: Preprocessing, given: Values) -> None:
    """Refuse what differs from the preprocessing that a program holds. Raises CimcError CIM0003."""
    for member, value in given.items():
        held = getattr(stored, member)
        if value != held:
            found = f"input {name!r}: {member} {_shown(value)} is given, the program holds {_shown(held)}"
            hint = "leave it out: programs preprocess as they were compiled; --feed model takes what the model takes"
            raise fail("CIM0003", found, hint=hint)


def _shown(value: float | tuple[float, ...]) -> str:
    return ",".join(map(repr, value)) or "none" if isinstance(value, tuple) else repr(value)


def require_inputs(feeding: Feeding, inputs: Mapping[str, bool]) -> None:
    """Raise CIM0003 where preprocessing is stated of no input, or of one that takes whole numbers (False)."""
    for name in feeding.stated:
        if name == EVERY:
            if not any(inputs.values()):
                raise _unfed("no input takes real numbers", inputs)
        elif name not in inputs:
            hint = did_you_mean(name, inputs, f"the inputs are {', '.join(inputs)}")
            raise fail("CIM0003", f"preprocessing is given for {name!r}, which is no input", hint=hint)
        elif not inputs[name]:
            raise _unfed(f"input {name!r} takes whole numbers", inputs)


def _unfed(found: str, inputs: Iterable[str]) -> DiagnosticError:
    return fail("CIM0003", f"{found}: there is nothing to preprocess", hint="leave out --offset, --scale, --normalise")


def preprocessing_of(name: str, shape: tuple[int, ...], values: Values) -> Preprocessing:
    """Return the preprocessing that is stated of an input. Raises CimcError CIM0003 where it does not fit its shape."""
    found = Preprocessing(**values)
    if fault := fault_of(found, shape):
        raise fail("CIM0003", f"input {name!r}: {fault}", hint="give one number, or one for each channel")
    return found


def preprocessed(fitted: NDArray[Any], steps: Preprocessing | None) -> NDArray[np.float32]:
    """Return the float32 real values of data [N, *shape of a sample]; what a float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        if steps is None:
            return fitted.astype(np.float32)
        real = (fitted.astype(np.float64) + steps.offset) * steps.scale
        if steps.mean:
            real = (real - _along(steps.mean, real.shape[1:])) / _along(steps.std, real.shape[1:])
        return real.astype(np.float32)


def _along(values: Sequence[float], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return one number, or one for each channel, in a form that spreads over samples of this shape."""
    if len(values) == 1:
        return np.array(values[0])
    sizes = [1] * len(shape)
    axis = channel_axis(len(values), shape)
    assert axis is not None
    sizes[axis] = len(values)
    return np.array(values).reshape(sizes)


def feeding_facts(program: Program, feeding: Feeding) -> dict[str, Any]:
    """Return for each input what its data were taken for, and the preprocessing that was applied."""
    return dict(_facts(program, feeding))


def _facts(program: Program, feeding: Feeding) -> Iterator[tuple[str, dict[str, Any]]]:
    for port, intake in zip(program.inputs, program_intakes(program, feeding), strict=True):
        applied = {} if intake.preprocessing is None or feeding.kind == CODES else intake.preprocessing.facts()
        yield port.name, {"data": feeding.kind, **({"preprocessing": applied} if applied else {})}


def feeding_text(program: Program, feeding: Feeding) -> str:
    """Return the same for people, in a few words."""
    if feeding.kind != RAW:
        return "data as codes of the ports" if feeding.kind == CODES else "data as the model takes them"
    steps = {str(one.preprocessing or "x") for one in program_intakes(program, feeding)}
    return f"inputs {' and '.join(sorted(steps))}" if steps else "no inputs"
