"""cimc compiles trained ONNX models into verified programs for analog compute-in-memory tiles.

docs/python.md describes the names offered here. Each is imported when it is first used: `import cimc` stays light.
"""

TYPE_CHECKING = False
"""What type checkers take as true; `typing` itself would be most of the time that `import cimc` takes."""

if TYPE_CHECKING:
    from cimc.backends.interpreter import Interpreter
    from cimc.backends.machine.observer import Observer
    from cimc.backends.noise.profiles import load_profile
    from cimc.backends.noise.sources import Noise
    from cimc.driving.chip_files import load_chip
    from cimc.interface import compile_model, evaluate_accuracy, run, verify
    from cimc.isa.author import Author
    from cimc.isa.container import load_program, save_program
    from cimc.isa.errors import CimcError, CimcWarning
    from cimc.isa.preprocessing import Preprocessing
    from cimc.isa.program import Program
    from cimc.targets import load_target

if __name__ != "cimc":
    raise ImportError(
        f"this folder was imported as `{__name__}`, which would make a second, unequal copy of every class; "
        "import it as `cimc` (run `make venv` once to install it)"
    )

__version__ = "0.1.0"

__all__ = [
    "Author",
    "CimcError",
    "CimcWarning",
    "Interpreter",
    "Noise",
    "Observer",
    "Preprocessing",
    "Program",
    "compile_model",
    "evaluate_accuracy",
    "load_chip",
    "load_profile",
    "load_program",
    "load_target",
    "run",
    "save_program",
    "verify",
]

_HOMES = {
    "Author": "isa.author",
    "CimcError": "isa.errors",
    "CimcWarning": "isa.errors",
    "Interpreter": "backends.interpreter",
    "Noise": "backends.noise.sources",
    "Observer": "backends.machine.observer",
    "Preprocessing": "isa.preprocessing",
    "Program": "isa.program",
    "compile_model": "interface",
    "evaluate_accuracy": "interface",
    "load_chip": "driving.chip_files",
    "load_profile": "backends.noise.profiles",
    "load_program": "isa.container",
    "load_target": "targets",
    "run": "interface",
    "save_program": "isa.container",
    "verify": "interface",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cimc' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"cimc.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
