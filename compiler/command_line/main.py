"""Entry point: choose a command, run it, turn every failure into a coded message and an exit status.

What choosing does not need is imported where it is used: `cimc --help` stays fast.
"""

import gc
import os
import sys
from collections.abc import Sequence

from cimc.command_line.commands import BY_NAME, PROGRAM, Command
from cimc.command_line.progress import clear_line
from cimc.command_line.streams import attend, discard_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from cimc.command_line.forms import Form
    from cimc.isa.errors import CimcError

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
        return _printed(given)
    except KeyboardInterrupt:
        from cimc.isa.errors import INTERRUPTED

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
    """Do what the arguments say: options of `cimc` itself come first, then a command. Raises CimcError CIM0003."""
    own = next((place for place, one in enumerate(arguments) if not _is_option(one)), len(arguments))
    if own:
        return _told(arguments[:own])
    if not arguments:
        return _undecided()
    return _performed(_command(arguments[0]), arguments[1:])


def _is_option(argument: str) -> bool:
    return argument.startswith("--") or (argument[:1] == "-" and argument[1:2].isalpha())


def _told(options: Sequence[str]) -> int:
    """Print what the first option asks for, if there are all."""
    from cimc.command_line.overview import overview, version

    answers = {"-h": overview, "--help": overview, "--version": version}
    for option in options:
        if option not in answers:
            from cimc.command_line.parsing import hint_for, refusal

            raise refusal(PROGRAM, f"there is no option {option}", hint_for(option, answers))
    print(answers[options[0]]())
    return 0


def _undecided() -> int:
    """Print what there is to choose from."""
    from cimc.command_line.overview import overview
    from cimc.isa.errors import USAGE

    print(overview())
    return USAGE


def _command(name: str) -> Command:
    """Return the command of a name. Raises CimcError CIM0003."""
    if name not in BY_NAME:
        from cimc.command_line.parsing import not_among, refusal

        raise refusal(PROGRAM, *not_among("command", name, BY_NAME))
    return BY_NAME[name]


def _performed(command: Command, arguments: Sequence[str]) -> int:
    """Run a command on the arguments behind it. Raises CimcError."""
    from cimc.command_line.kinds import require_kinds
    from cimc.command_line.parsing import refusal
    from cimc.command_line.warned import warnings_on_stderr

    options, surplus = command.parser().parse_known_args(arguments)
    if surplus:
        raise refusal(PROGRAM, f"there is no place for {' '.join(surplus)}")
    with warnings_on_stderr(_form(arguments)):
        _apply_policy(options)
        require_kinds(options)
        return int(options.run(options) or 0)


def _apply_policy(options: "argparse.Namespace") -> None:
    """Set what this process grants to files of others. Raises OverBudget CIM0007, CimcError CIM0003."""
    from cimc.diagnostics import fail
    from cimc.isa.budgets import set_budgets
    from cimc.isa.opening import set_root

    set_budgets(getattr(options, "budget", None) or ())
    root = getattr(options, "model_root", None)
    if root is not None and not os.path.isdir(root):  # noqa: PTH112
        raise fail("CIM0003", f"--model-root {root} is no folder", hint="name the folder that files may lie in")
    set_root(root)


def _form(arguments: Sequence[str]) -> "Form":
    from cimc.command_line.forms import form_in

    return form_in(arguments)


def _report(error: Exception, arguments: Sequence[str]) -> int:
    """Print an error and return its exit status."""
    from cimc.isa.errors import CimcError

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


def _of_file(error: OSError) -> "CimcError":
    """Return the error for a file that could not be read: those that are written report for themselves."""
    from cimc.diagnostics import fail

    name = f" {error.filename}" if error.filename else ""
    return fail("CIM0001", f"cannot read{name}: {error.strerror or error}")


def _internal(error: Exception) -> "CimcError":
    """Return the error for a bug of ours, whose traceback is written to a file."""
    import contextlib
    import traceback

    from cimc.command_line.overview import version
    from cimc.diagnostics import fail

    trace = "".join(traceback.format_exception(error))
    content = f"{version()}\narguments: {sys.argv[1:]!r}\npython: {sys.version}\n\n{trace}"
    name = f"cimc-bug-{os.getpid()}.txt"
    written = ""
    with contextlib.suppress(OSError):
        with open(name, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(content)
        written = f"; the details are in {name}, please send it with the report"
    return fail("CIM0901", f"internal error: {type(error).__name__}: {error}{written}")
