"""What a file is, by its first bytes: a model given in place of a program is told as such, and what to do with it."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from cimc.diagnostics import fail
from cimc.isa.opening import STANDARD, open_regular

PROGRAM, MODEL, ARRAYS, IR, TRACE = "a program", "an ONNX model", "a file of arrays", "IR text", "a trace"

WANTED: Mapping[str, str] = {
    "program": PROGRAM,
    "model": MODEL,
    "module": IR,
    **dict.fromkeys(("expected", "found"), TRACE),
    **dict.fromkeys(("input", "data", "calib", "bands", "measured", "chip"), ARRAYS),
}
"""What the argument or option of this name takes."""

USES: Mapping[str, str] = {
    PROGRAM: "programs are for `cimc run`, `eval`, `verify`, `report`, `objdump` and `lint`",
    MODEL: "compile it first: `cimc compile {path} -o {stem}.asm`",
    ARRAYS: "arrays are given by --input, --data or --calib",
    IR: "`cimc opt` takes IR text",
    TRACE: "`cimc trace-diff` compares two traces",
}

SUFFIXES = {".onnx": MODEL, ".mlir": IR}
"""Kinds whose files have no mark at their start."""

MARK = 16
"""Bytes that are enough to see a mark."""


def require_kinds(options: argparse.Namespace) -> None:
    """Raise CIM0003 where a file is of another kind than its place takes; one that is of no known kind passes."""
    texts = {name: value for name, value in vars(options).items() if isinstance(value, str) and value != STANDARD}
    given = {name: value for name, value in texts.items() if name in WANTED}
    found = {name: kind_of(Path(value)) for name, value in given.items()}
    for name, kind in found.items():
        if kind and kind != WANTED[name] and (name, kind) != ("model", IR):
            hint = USES[kind].format(path=given[name], stem=Path(given[name]).stem)
            for other in found:
                if found[other] == WANTED[name] and kind == WANTED[other]:
                    hint = f"{given[name]} and {given[other]} have changed places"
            raise fail("CIM0003", f"{given[name]} is {kind}, {WANTED[name]} is needed in its place", hint=hint)


def kind_of(path: Path) -> str:
    """Return what a file is, empty where that does not show or the file cannot be read."""
    from cimc.driving.archives import NPY, ZIP
    from cimc.isa.binary import is_container

    try:
        with open_regular(path) as file:
            start = file.read(MARK)
    except OSError:
        return ""
    if is_container(start) or start.startswith(b".cimc "):
        return PROGRAM
    if start.startswith(b"cimc-trace "):
        return TRACE
    return ARRAYS if start.startswith((ZIP, NPY)) else SUFFIXES.get(path.suffix, "")
