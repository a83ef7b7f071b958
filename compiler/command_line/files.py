"""Files that commands write: never over an input, never half, and with an error that names them."""

import argparse
import csv
import io
import os
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cimc.diagnostics import fail
from cimc.isa.opening import STANDARD, resolved


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn an OSError inside the block into CimcError CIM0002 about `path`, which must not be a folder."""
    if str(path) == STANDARD:
        hint = "`run`, `asm` and `export-onnx` write to it, `objdump` and `opt` without -o"
        raise fail("CIM0003", "standard output is no place for this output", hint=hint)
    try:
        if Path(path).is_dir():
            raise fail("CIM0002", f"cannot write {path}: it is a folder", hint="name a file in it")
        yield
    except OSError as error:
        hint = "check the folder, its permissions and the free space"
        raise fail("CIM0002", f"cannot write {path}: {error.strerror or error}", hint=hint) from None


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows, heads first, as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write(path: str | Path, *parts: bytes) -> None:
    """Write one file, whole or not at all, or to standard output. Raises CimcError CIM0002."""
    from cimc.isa.atomic import write_files

    if str(path) == STANDARD:
        sys.stdout.buffer.write(b"".join(parts))
        return
    with writing(path):
        write_files({Path(path): parts})


def require_suffix(path: str, suffixes: Sequence[str], what: str, example: str) -> str:
    """Return the suffix of an output. Raises CimcError CIM0003, which begins with `what`, where it is none of these."""
    suffix = Path(path).suffix
    if suffix not in suffixes:
        known = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
        raise fail("CIM0003", f"-o {path}: {what} a {known} file", hint=f"name it {example}")
    return suffix


def keep_inputs(
    options: argparse.Namespace,
    outputs: Sequence[str | Path | None],
    more: Iterable[Path] = (),
    made: Iterable[Path] = (),
) -> None:
    """Raise CimcError CIM0003 where an output would replace an input, the file beside one, or another output.

    Inputs are the files that options name, and `more`. Raises CIM0002 where an output cannot be written, before any
    work; those of `made` lie in a folder that is made.
    """
    from cimc.isa.atomic import require_places

    kept = {resolved(file) for file in (*_inputs(options), *more)}
    files = [path for path in outputs if path is not None and str(path) != STANDARD]
    for path in files:
        if not str(path):
            raise fail("CIM0003", "an output has an empty name", hint="name a file")
    _require_apart([*files, *made], kept)
    for path in files:
        with writing(path):
            require_places([Path(path)])


def _require_apart(outputs: Iterable[str | Path], kept: Container[Path]) -> None:
    taken: set[Path] = set()
    for path in outputs:
        place = resolved(path)
        if place in kept or place in taken:
            found = "an input" if place in kept else "another output"
            hint = "give the output a name of its own"
            raise fail("CIM0003", f"{path} is {found} and would be overwritten", hint=hint)
        taken.add(place)


INPUTS = (
    *("model", "program", "module", "input", "data", "unlabelled", "calib", "ranges"),
    *("given", "chip", "measured", "bands"),
    *("eval", "compare", "expected", "found", "commands", "sweep", "table", "coverage"),
)
"""Options that name files to be read."""
NAMED = ("target", "noise")
"""Options that name a file, or something built in, with changes behind commas."""


def _inputs(options: argparse.Namespace) -> Iterator[Path]:
    """Yield every file that options name, and what lies beside: the payload of program text, the weights of IR text."""
    given = vars(options)
    values = [given.get(name) for name in INPUTS] + [str(given.get(name)).partition(",")[0] for name in NAMED]
    for value in values:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and os.path.isfile(text):  # noqa: PTH113  for any text, however long
                yield Path(text)
    yield from (weights_beside(Path(text)) for name in ("module", "model") if (text := given.get(name)))
    if isinstance(program := given.get("program"), str) and (payload := payload_beside(program)):
        yield payload


def weights_beside(path: Path) -> Path:
    """Return where the weights of an IR text lie: IR.mlir -> IR.safetensors, any other name + .safetensors."""
    stem = path.stem if path.suffix == ".mlir" else path.name
    return path.parent / f"{stem}.safetensors"


def payload_beside(path: str) -> Path | None:
    """Return the payload file that is written beside program text, None for a binary program."""
    return None if path.endswith(".cimb") else Path(path).parent / f"{Path(path).stem}.payload"
