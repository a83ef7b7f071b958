"""Warnings as the command line prints them."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import TextIO

from cimc.command_line.forms import Form
from cimc.command_line.progress import clear_line
from cimc.isa.errors import CimcWarning


@contextlib.contextmanager
def warnings_on_stderr(form: Form) -> Iterator[None]:
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
            print(form.warning(message), file=sys.stderr)
        else:
            print(warnings.formatwarning(message, category, filename, lineno, line), file=file or sys.stderr, end="")

    with warnings.catch_warnings():
        warnings.simplefilter("always", CimcWarning)
        warnings.showwarning = show
        yield
