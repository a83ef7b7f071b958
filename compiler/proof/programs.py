"""The first half of the proof: a program equals what its model compiles to again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from cimc.backends.emission.builder import Emission
from cimc.diagnostics import DiagnosticError, fail
from cimc.driving.driver import Compilation, Request, compile_model
from cimc.driving.feeding import stated_in
from cimc.frontend import Specialisation
from cimc.isa.disassemble import render_instruction
from cimc.isa.program import Program
from cimc.passes.ranges import Ranges
from cimc.targets.target import target_of


class _Missing:
    """What a table of facts holds under a key that it does not have."""

    def __repr__(self) -> str:
        return "no such fact"


MISSING = _Missing()


@dataclass(frozen=True)
class Difference:
    """The first place where two things that must be equal are not."""

    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: expected {self.expected}, found {self.found}"


def recompile(model: str, program: Program) -> Compilation:
    """Compile the model again with the options, ranges and target that the program carries. Raises CimcError."""
    request, (model_name, calibration) = request_of(program), _origin(program)
    compilation = compile_model(Path(model), request)
    # The model's file name and where the ranges came from cannot be computed again: they are taken over.
    made = compilation.emission.program
    model_facts = {**made.meta["model"], "name": model_name}
    option_facts = {**made.meta["options"], "calibration": calibration}
    program_made = replace(made, meta={**made.meta, "model": model_facts, "options": option_facts})
    return replace(compilation, emission=replace(compilation.emission, program=program_made))


def request_of(program: Program) -> Request:
    """Return what a program says that it was compiled with. Raises CimcError CIM0003."""
    try:
        meta = program.meta
        return Request(
            target_of(meta["target"]),
            meta["options"]["pipeline"],
            Ranges.from_json(meta["ranges"]),
            stated=Specialisation.of(meta["options"]),
            preprocessing=stated_in(program),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise _not_ours(error) from None


def _origin(program: Program) -> tuple[Any, Any]:
    """Return what a program says of its model's name and of where its ranges came from. Raises CimcError CIM0003."""
    try:
        return program.meta["model"].get("name"), program.meta["options"].get("calibration")
    except (AttributeError, KeyError, TypeError) as error:
        raise _not_ours(error) from None


def other_model(model: str, program: Program) -> Difference | None:
    """Return the difference where the program says that it was compiled from another file."""
    from cimc.frontend import model_digest

    stated, found = _stated_digest(program), model_digest(Path(model))
    return None if stated == found else Difference("sha256 of the model file", stated, found)


def _stated_digest(program: Program) -> str:
    try:
        model = program.meta["model"]
        if "stage" in model:
            raise _of_text(model["stage"])
        return str(model["sha256"])
    except (KeyError, TypeError):
        raise _not_ours("the hash of its model") from None


def _of_text(stage: object) -> DiagnosticError:
    message = f"the program was compiled from IR text at stage {stage}: there is no model to hold it against"
    return fail("CIM0602", message, hint="verify what `cimc compile MODEL.onnx` writes; `cimc lint` judges any program")


def _not_ours(missing: object) -> DiagnosticError:
    return fail(
        "CIM0003",
        f"the program does not say how it was compiled: {missing} is missing",
        hint="only programs written by `cimc compile` can be verified",
    )


def compare_programs(expected: Emission, found: Program) -> Difference | None:
    """Return the first difference of a program from its recompilation, named by instruction, cell or constant."""
    want = expected.program
    for difference in (
        _instructions(want, found),
        _constants(expected, found),
        _conductances(expected, found),
        _layers(want, found),
        _frame(want, found),
    ):
        if difference:
            return difference
    return None


def _instructions(want: Program, found: Program) -> Difference | None:
    for index, (a, b) in enumerate(zip(want.instructions, found.instructions, strict=False)):
        layer, other = (" ".join(program.locations[index]) or "none" for program in (want, found))
        place = f"instruction {index} (layer {layer})"
        if a != b:
            return Difference(place, render_instruction(a), render_instruction(b))
        if layer != other:
            return Difference(place, f"layer {layer}", other)
    if len(want.instructions) != len(found.instructions):
        return Difference("number of instructions", str(len(want.instructions)), str(len(found.instructions)))
    return None


def _first_byte(a: bytes, b: bytes) -> int | None:
    """Return the first index where two byte strings differ."""
    if a == b:
        return None
    shared = min(len(a), len(b))
    unequal = np.flatnonzero(np.frombuffer(a[:shared], np.uint8) != np.frombuffer(b[:shared], np.uint8))
    return int(unequal[0]) if unequal.size else shared


def _constants(expected: Emission, found: Program) -> Difference | None:
    want = expected.program.constants
    at = _first_byte(want, found.constants)
    if at is None:
        return None
    name = next(
        (f"{name}, byte {at - start}" for start, size, name in expected.constants if start <= at < start + size),
        "alignment",
    )
    return Difference(f"constant memory byte {at} ({name})", *_bytes_at(want, found.constants, at))


def _conductances(expected: Emission, found: Program) -> Difference | None:
    want = expected.program.conductances
    at = _first_byte(want, found.conductances)
    if at is None:
        return None
    for start, rows, cols, name in expected.cells:
        if start <= at < start + 2 * rows * cols:
            row, col = divmod((at - start) // 2, cols)
            cell = start + 2 * (row * cols + col)
            values = [
                str(int.from_bytes(data[cell : cell + 2], "little", signed=True)) for data in (want, found.conductances)
            ]
            return Difference(f"{name}, cell row {row}, column {col}", values[0], values[1])
    return Difference(f"conductance byte {at}", *_bytes_at(want, found.conductances, at))


def _bytes_at(want: bytes, found: bytes, at: int) -> tuple[str, str]:
    shown = [f"{data[at]:#04x}" if at < len(data) else f"the end (of {len(data)} bytes)" for data in (want, found)]
    return shown[0], shown[1]


def _layers(want: Program, found: Program) -> Difference | None:
    if not found.layers and want.layers:
        return Difference("table of layers", f"{len(want.layers)} layers", "none")
    for a, b in zip_longest(want.layers, found.layers):
        if a != b:
            return Difference(f"layer {(a or b).name}", _clipped(a), _clipped(b))
    return None


def _frame(want: Program, found: Program) -> Difference | None:
    for name in ("inputs", "outputs", "activation_bytes", "meta"):
        a, b = getattr(want, name), getattr(found, name)
        if a != b:
            return _fact(a, b) if isinstance(a, Mapping) else Difference(name, _clipped(a), _clipped(b))
    return None


def _fact(want: Mapping[str, Any], found: Mapping[str, Any]) -> Difference:
    """Return the first difference of two unequal tables of facts; a fact may be None, which is not to miss it."""
    key = next(key for key in {**want, **found} if want.get(key, MISSING) != found.get(key, MISSING))
    return Difference(f"meta {key!r}", _clipped(want.get(key, MISSING)), _clipped(found.get(key, MISSING)))


def _clipped(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."
