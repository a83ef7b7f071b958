"""cimc debug: a stepper that reads commands, from a file or from standard input."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from cimc.bringup.stepping import Stepper
from cimc.command_line.compensation_options import compensate
from cimc.command_line.feeding_options import feeding_of
from cimc.command_line.noise_options import noise_of
from cimc.command_line.parsing import hint_for
from cimc.command_line.tracing import sample_codes
from cimc.diagnostics import fail
from cimc.driving.provenance import chip_text, run_text
from cimc.isa.container import load_program
from cimc.isa.disassemble import render_instruction
from cimc.isa.opening import open_regular

SHOWN = 16
"""Elements of a tensor that are printed."""


def debug_command(options: argparse.Namespace) -> int:
    if len(options.samples) != 1:
        raise fail("CIM0003", f"one sample is debugged, --samples names {len(options.samples)}")
    program = load_program(options.program)
    codes = {name: array[0] for name, array in sample_codes(program, options).items()}
    noise = noise_of(options)
    print(run_text(program, feeding_of(options), chip_text(noise, options.compensation)))
    stepper = Stepper(compensate(program, options, noise), codes, noise)
    if not options.commands:
        _play(stepper, sys.stdin)
        return 0
    with open_regular(options.commands) as file:
        _play(stepper, (line.decode("utf-8", "replace") for line in file))
    return 0


def _play(stepper: Stepper, lines: Iterable[str]) -> None:
    """Carry out one command a line; what stands behind # is a comment."""
    print(_place(stepper))
    for line in lines:
        words = line.partition("#")[0].split()
        if words == ["quit"]:
            return
        if words:
            print("\n".join(_done(stepper, *words)))


def _done(stepper: Stepper, name: str, *arguments: str) -> Iterator[str]:
    """Yield the lines that a command prints. Raises CimcError CIM0003 for one that does not exist."""
    if name not in COMMANDS:
        hint = hint_for(name, COMMANDS, f"commands: {', '.join(COMMANDS)}, quit")
        raise fail("CIM0003", f"there is no command {name!r}", hint=hint)
    try:
        return COMMANDS[name](stepper, *arguments)
    except (TypeError, ValueError):
        raise fail("CIM0003", f"{name} {' '.join(arguments)}: this is not how it is said", hint=USAGE) from None


def _step(stepper: Stepper, count: str = "1") -> Iterator[str]:
    stepper.step(int(count))
    return iter([_place(stepper)])


def _to(stepper: Stepper, index: str) -> Iterator[str]:
    stepper.to_instruction(int(index))
    return iter([_place(stepper)])


def _layer(stepper: Stepper, name: str) -> Iterator[str]:
    stepper.to_layer(name)
    return iter([_place(stepper)])


def _change(stepper: Stepper, tensor: str) -> Iterator[str]:
    stepper.to_change(tensor)
    return iter([_place(stepper)])


def _run(stepper: Stepper) -> Iterator[str]:
    stepper.until(lambda: False)
    return iter([_place(stepper)])


def _print(stepper: Stepper, tensor: str) -> Iterator[str]:
    found = stepper.tensor(tensor)
    numbers = " ".join(map(str, found.ravel()[:SHOWN].tolist()))
    more = " ..." if found.size > SHOWN else ""
    return iter([f"{tensor} {'x'.join(map(str, found.shape))} {found.dtype}: {numbers}{more}"])


def _stream(stepper: Stepper, number: str) -> Iterator[str]:
    state = stepper.streams.get(int(number))
    return iter([f"s{number}: {state}" if state else f"s{number} is not defined"])


def _cell(stepper: Stepper, tile: str, row: str, col: str) -> Iterator[str]:
    plus, minus = stepper.device(int(tile), int(row), int(col))
    return iter([f"tile {tile}, row {row}, column {col}: plus {plus}, minus {minus}"])


def _save(stepper: Stepper, path: str) -> Iterator[str]:
    from cimc.command_line.files import write
    from cimc.driving.arrays import to_npz

    arrays = {name: np.asarray(stepper.tensor(name)) for name in stepper.tensors}
    write(path, to_npz(arrays))
    return iter([f"{len(arrays)} tensors in {path}"])


COMMANDS: Mapping[str, Callable[..., Iterator[str]]] = {
    "step": _step,
    "to": _to,
    "layer": _layer,
    "change": _change,
    "run": _run,
    "print": _print,
    "stream": _stream,
    "cell": _cell,
    "save": _save,
}
USAGE = "step [N], to N, layer NAME, change TENSOR, run, print TENSOR, stream N, cell TILE ROW COL, save FILE.npz, quit"


def _place(stepper: Stepper) -> str:
    """Return where the stepper stands, in one line."""
    if stepper.index is None or stepper.current is None:
        return f"at the end, {stepper.retired} instructions done"
    turns = f", turns {'.'.join(map(str, stepper.turns))}" if stepper.turns else ""
    layer = stepper.program.layer_at(stepper.index)
    about = f" ({layer.name})" if layer else ""
    return f"{stepper.index}{about}{turns}: {render_instruction(stepper.current)}"
