"""Entry point: parse, run one command, turn every failure into a coded message and an exit status."""

import contextlib
import errno
import os
import sys
from collections.abc import Sequence

from cimc.command_line.options import build_parser
from cimc.diagnostics import INTERNAL, CimcError, Diagnostic

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0 ok, 1 compare failed, 2 usage, 3 invalid input, 4 unsupported, 5 budget exceeded, 6 other version, 70 our bug.
    """
    options = build_parser().parse_args(arguments)
    # Work is spread over images and layers, on threads of ours: more threads inside each product only get in their way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if options.run is None:
        build_parser().print_help()
        return 2
    try:
        status = int(options.run(options) or 0)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()  # the reader has what it wanted
        return 0
    except Exception as error:
        return _report(error)


def _discard_output() -> None:
    """Point stdout elsewhere, so that the interpreter's own flush at exit has nothing to complain about."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: Exception) -> int:
    """Print an error for people and return its exit status."""
    if isinstance(error, CimcError):
        print(error, file=sys.stderr)
        return error.status
    if isinstance(error, OSError):
        return _report(CimcError([_file_problem(error)]))
    status, text = _foreign(error)
    if status is not None:
        print(text, file=sys.stderr)
        return status
    return _internal(error)


def _foreign(error: Exception) -> tuple[int | None, str]:
    """Return status and text of a coded error of the layers below, which do not know cimc.diagnostics."""
    status, code = getattr(error, "status", None), getattr(error, "code", None)
    if isinstance(status, int) and isinstance(code, str):
        text = str(error)
        return status, text if f"error[{code}]" in text else f"error[{code}]: {text}"
    return None, ""


def _file_problem(error: OSError) -> Diagnostic:
    """Return the diagnostic for a file that could not be read, or a full disk behind standard output.

    Files that are written report for themselves.
    """
    if error.filename is None and error.errno == errno.ENOSPC:
        _discard_output()
        return Diagnostic("CIM0002", f"cannot write the output: {error.strerror}", hint="free some space")
    name = f" {error.filename}" if error.filename else ""
    return Diagnostic(
        "CIM0001", f"cannot read{name}: {error.strerror or error}", hint="check the path and its permissions"
    )


def _internal(error: Exception) -> int:
    import traceback

    trace = "".join(traceback.format_exception(error))
    content = f"cimc {_version()}\narguments: {sys.argv[1:]!r}\npython: {sys.version}\n\n{trace}"
    name = f"cimc-bug-{os.getpid()}.txt"
    written = ""
    with contextlib.suppress(OSError):
        with open(name, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(content)
        written = f"; the details are in {name}, please send it with the report"
    problem = Diagnostic("CIM0901", f"internal error: {type(error).__name__}: {error}{written}")
    print(problem.render(), file=sys.stderr)
    return INTERNAL


def _version() -> str:
    from cimc import __version__

    return __version__
