"""Entry point: parse, run one command, turn every failure into a coded message and an exit status.

What parsing does not need is imported where it is used: `cimc --help` stays fast.
"""

import argparse
import contextlib
import gc
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from cimc.command_line.commands import build_parser
from cimc.command_line.progress import clear_line
from cimc.command_line.streams import attend, discard_output
from cimc.isa.errors import INTERRUPTED, USAGE, CimcError, CimcWarning

if TYPE_CHECKING:
    from cimc.command_line.forms import Form

NEW_OBJECTS = 50_000
"""So many objects are made before garbage is looked for: operations refer to each other, and all are looked through."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status, 0 or one of cimc.isa.errors."""
    # Work is spread over images and layers, on threads of ours: more threads inside each product only get in their way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(NEW_OBJECTS)
    if arguments is None:
        attend()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with _warnings_on_stderr(given):
            return _printed(given)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()  # the reader has what it wanted
        return 0
    except Exception as error:
        return _report(error, given)


def _printed(arguments: Sequence[str]) -> int:
    """Run a command and see its output off. Raises CimcError CIM0002 where that cannot be written."""
    try:
        status = _run(arguments)
    except SystemExit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return status


def _run(arguments: Sequence[str]) -> int:
    parser = build_parser([argument for argument in arguments if not argument.startswith("-")][:1])
    options, surplus = parser.parse_known_args(arguments)
    if surplus:
        parser.error(f"there is no place for {' '.join(surplus)}")
    if options.run is None:
        parser.print_help()
        return USAGE
    from cimc.command_line.kinds import require_kinds

    _apply_policy(options)
    require_kinds(options)
    return int(options.run(options) or 0)


def _apply_policy(options: argparse.Namespace) -> None:
    """Set what this process grants to files of others. Raises OverBudget CIM0007."""
    from cimc.isa.budgets import set_budgets
    from cimc.isa.opening import set_root

    set_budgets(getattr(options, "budget", None) or ())
    set_root(getattr(options, "model_root", None))


@contextlib.contextmanager
def _warnings_on_stderr(arguments: Sequence[str]) -> Iterator[None]:
    """Print every warning of ours, as errors are printed; Python shows those of other packages."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        clear_line()
        if isinstance(message, CimcWarning):
            print(_form(arguments).warning(message), file=sys.stderr)
        else:
            print(warnings.formatwarning(message, category, filename, lineno, line), file=file or sys.stderr, end="")

    with warnings.catch_warnings():
        warnings.simplefilter("always", CimcWarning)
        warnings.showwarning = show
        yield


def _form(arguments: Sequence[str]) -> "Form":
    from cimc.command_line.forms import form_in

    return form_in(arguments)


def _report(error: Exception, arguments: Sequence[str]) -> int:
    """Print an error and return its exit status."""
    known = _of_file(error) if isinstance(error, OSError) else _of_memory(error)
    if not isinstance(known, CimcError):
        known = _internal(error)
    clear_line()
    print(_form(arguments).error(known), file=sys.stderr)
    return known.status


def _of_memory(error: Exception) -> Exception:
    """Return the error for memory that the system does not give, with what was asked; any other error as it is."""
    if not isinstance(error, MemoryError):
        return error
    from cimc.isa.budgets import OverBudget

    asked = str(error) or "the system gives no more"
    return OverBudget("CIM0006", f"out of memory: {asked}", "give the process more memory, or the command less data")


def _of_file(error: OSError) -> CimcError:
    """Return the error for a file that could not be read: those that are written report for themselves."""
    from cimc.diagnostics import fail

    name = f" {error.filename}" if error.filename else ""
    return fail("CIM0001", f"cannot read{name}: {error.strerror or error}", hint="check the path and its permissions")


def _internal(error: Exception) -> CimcError:
    """Return the error for a bug of ours, whose traceback is written to a file."""
    import traceback

    from cimc.diagnostics import fail

    trace = "".join(traceback.format_exception(error))
    content = f"cimc {_version()}\narguments: {sys.argv[1:]!r}\npython: {sys.version}\n\n{trace}"
    name = f"cimc-bug-{os.getpid()}.txt"
    written = ""
    with contextlib.suppress(OSError):
        with open(name, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(content)
        written = f"; the details are in {name}, please send it with the report"
    return fail("CIM0901", f"internal error: {type(error).__name__}: {error}{written}")


def _version() -> str:
    from cimc import __version__

    return __version__
