"""cimc doctor: whether everything that cimc needs is here, what is not, and how to get it."""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from cimc import __version__
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.errors import FAILED

NEEDED = ("lark", "networkx", "numpy", "onnx", "onnxruntime", "rectpack", "safetensors", "xdsl")
"""Packages without which nothing is compiled."""
EXTRAS = {"torch": "gpu", "matplotlib": "plot", "pyarrow": "sweep", "distributed": "sweep"}
"""Packages that an option or a command needs, and the extra that brings them."""
GOOD, SPARE, BAD = "ok", "optional", "WRONG"


class Finding(NamedTuple):
    """One thing looked at: what, its verdict, what was found, and what to do."""

    what: str
    verdict: str
    found: str
    hint: str = ""


def doctor_command(options: argparse.Namespace) -> int:
    found = list(_findings())
    wrong = [one for one in found if one.verdict == BAD]
    if options.json:
        print(json.dumps({"ok": not wrong, "findings": [one._asdict() for one in found]}))
    else:
        heads = ("looked at", "verdict", "found", "next step")
        print("\n".join(tabulate([heads, *((*one[:3], one.hint or "-") for one in found)], terminal_width())))
        print(f"FAILED: {wrong[0].what} is wrong" if wrong else "ok: compiling, running and proving work here")
    return FAILED if wrong else 0


def _findings() -> Iterator[Finding]:
    yield Finding("cimc", GOOD, __version__)
    yield Finding("Python", GOOD, f"{platform.python_version()} on {sys.platform} {platform.machine()}")
    for name in NEEDED:
        yield _package(name, BAD, "pip install cimc brings it")
    for name, extra in EXTRAS.items():
        yield _package(name, SPARE, f"pip install 'cimc[{extra}]'")
    for what, check in CHECKS.items():
        yield _checked(what, check)


def _package(name: str, absent: str, hint: str) -> Finding:
    try:
        import_module(name)
        return Finding(name, GOOD, version(name.replace("_", "-")))
    except PackageNotFoundError:
        return Finding(name, GOOD, "of unknown version")
    except ImportError as error:
        return Finding(name, absent, str(error), hint)


def _checked(what: str, check: Callable[[], Finding]) -> Finding:
    """Return what a check finds; where it cannot run at all, that is what is wrong."""
    try:
        return check()
    except Exception as error:
        return Finding(what, BAD, f"{type(error).__name__}: {error}", "mend what stands above first")


def _kernels() -> Finding:
    from cimc.backends.kernels.library import library

    compiled, what = library(), "compiled kernels"
    if compiled is None:
        return Finding(what, SPARE, "not built, numpy does their work", "install a C compiler, then cimc again")
    return Finding(what, GOOD, f"levels {', '.join(compiled.levels)}")


def _exactness() -> Finding:
    from cimc.evaluate import selftest

    selftest()
    return Finding("onnxruntime's integers", GOOD, "exact at the extremes of 8 bits")


def _executors() -> Finding:
    """Hold a small program on every executor of this processor against the literal reference."""
    import numpy as np

    from cimc.backends.interpreter import Interpreter, on_processor
    from cimc.backends.reference import instructions as reference
    from cimc.isa.author import Author
    from cimc.targets import load_target

    author = Author(load_target("ideal").sections(), activation_bytes=16)
    author.port("x", (4,), 0).port("y", (4,), 8, output=True).tensor(0, (4,)).tensor(1, (4,), 8)
    author.put("add", a=0, b=0, out=1, ma=1, mb=1, bias=0, shift=0, low=-128, high=127)
    program, codes = author.program(), [-128, -1, 3, 127]
    wanted = reference.run(program, {"x": codes})["y"]
    for name in on_processor():
        found = Interpreter(program, executor=name).run({"x": np.array([codes], np.int8)})["y"][0]
        if list(found) != list(wanted):
            return Finding("executors", BAD, f"{name} gives {list(found)}, the reference {list(wanted)}", "report it")
    return Finding("executors", GOOD, f"{', '.join(on_processor())} agree with the reference")


CHECKS: dict[str, Callable[[], Finding]] = {
    "compiled kernels": _kernels,
    "onnxruntime's integers": _exactness,
    "executors": _executors,
}
