"""The rooms of the house, who may know whom, and what the imports say. `python tests/rooms.py` prints backends/."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent

FOLDERS = {"compiler": "cimc", "passes": "cimc.passes", "backends": "cimc.backends", "isa": "cimc.isa"}
"""The import name of each top-level folder."""

FILES = {"isa.budgets", "isa.documents", "isa.names", "isa.opening"}
"""How files of others are opened and parsed, and what they may cost: rooms of one file each, which all may know."""
NUMBERS = {"isa.limits", "isa.phases"}
"""Which numbers a chip has: rooms of one file each, which the compiler may know too."""
MACHINE = {"isa", "backends.machine"} | NUMBERS | FILES
"""What a chip's hardware is."""
CHIP = MACHINE | {"backends.noise"}
GRAPHS = {"ir", "diagnostics"} | FILES
BACKENDS = {
    f"backends.{name}"
    for name in (
        "emission",
        "machine",
        "noise",
        "reference",
        "plan",
        "kernels",
        "torch_device",
        "cost",
        "interpreter",
        "silicon",
    )
}
GROUND = {
    "isa",
    *NUMBERS,
    *FILES,
    "ir",
    "diagnostics",
    "tagged",
    "targets",
    "frontend",
    "inference",
    "evaluate",
    "passes",
    "passes.layout",
    "passes.digital",
}

MAY_IMPORT: dict[str, set[str]] = {
    "isa": NUMBERS | FILES,
    "isa.budgets": {"isa", "isa.names"},
    "isa.documents": {"isa.budgets"},
    "isa.names": set(),
    "isa.opening": {"isa.budgets"},
    "isa.limits": set(),
    "isa.phases": {"isa.limits"},
    "ir": set(),
    "diagnostics": {"isa"},
    "tagged": FILES,
    "targets": {"diagnostics", "tagged"} | NUMBERS | FILES,
    "frontend": GRAPHS | {"isa.limits"},
    "inference": {"isa.budgets"},
    "evaluate": GRAPHS | {"isa.limits", "inference"},
    "passes": GRAPHS | NUMBERS | {"evaluate", "targets", "passes.layout", "passes.digital"},
    "passes.layout": GRAPHS | {"passes"},
    "passes.digital": GRAPHS | {"isa.limits", "passes"},
    "backends": set(),
    "backends.emission": {"ir", "isa", "isa.limits"},
    "backends.machine": {"isa", "isa.budgets"} | NUMBERS,
    "backends.noise": MACHINE | {"tagged"},
    "backends.reference": CHIP,
    "backends.plan": CHIP,
    "backends.kernels": CHIP | {"backends.plan"},
    "backends.torch_device": CHIP | {"backends.plan"},
    "backends.interpreter": CHIP | {"backends.plan", "backends.kernels", "backends.torch_device"},
    "backends.cost": MACHINE | {"targets", "diagnostics"},
    "backends.silicon": CHIP | {"backends.plan", "backends.interpreter"},
    "cimc": MACHINE | {"targets", "backends.noise", "backends.interpreter", "driving", "interface"},
    "interface": GROUND | BACKENDS - {"backends.reference"} | {"driving", "proof"},
    "bringup": CHIP | {"backends.plan", "backends.kernels", "backends.interpreter", "backends.reference"},
    "driving": GROUND | BACKENDS - {"backends.reference"},
    "training": GROUND | BACKENDS - {"backends.reference"} | {"driving"},
    "tuning": GROUND | BACKENDS - {"backends.reference"} | {"driving"},
    "proof": GROUND | BACKENDS | {"driving"},
    "provenance": GROUND | BACKENDS | {"driving", "proof"},
    "report": GROUND | BACKENDS - {"backends.reference"} | {"driving"},
    "sweep": GROUND | BACKENDS | {"cimc", "driving"},
    "command_line": GROUND
    | BACKENDS
    | {"cimc", "bringup", "driving", "proof", "provenance", "report", "sweep", "training", "tuning"},
    "__main__": {"command_line"},
}
"""Which rooms a room may import; every room may import itself. A loose file of compiler/ or backends/ is a room."""


def module_name(path: Path) -> str:
    """Return the import name of a source file: compiler/ir/types.py is cimc.ir.types."""
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS[folder], *(part for part in rest if part != "__init__")])


@cache
def sources() -> dict[str, Path]:
    """Return every module of ours and its file."""
    return {module_name(path): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


@cache
def text_of(module: str) -> str:
    return sources()[module].read_text()


def room(module: str) -> str:
    """Return the row of MAY_IMPORT that a module belongs to."""
    parts = module.split(".")[1:]
    if not parts:
        return "cimc"
    two = ".".join(parts[:2])
    if parts[0] == "backends" or two in MAY_IMPORT:
        return two
    return parts[0]


def imported_names(module: str, text: str) -> Iterator[str]:
    """Yield every dotted name that the text of a module imports, at its top or inside a function."""
    package = module.split(".") if sources()[module].name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imports_of(module: str, text: str | None = None) -> set[str]:
    """Return the modules of ours that a module imports; `from cimc.ir import Layer` is an import of cimc.ir."""
    names = imported_names(module, text_of(module) if text is None else text)
    ours = (name for name in names if name.split(".")[0] == "cimc")
    targets = {name if name in sources() else name.rpartition(".")[0] for name in ours}
    return targets - {module, ""}


def trespasses(module: str, text: str | None = None) -> list[str]:
    """Return what a module imports that its room may not know."""
    allowed = MAY_IMPORT[room(module)] | {room(module)}
    known = sorted(target for target in imports_of(module, text) if target in sources())
    return [f"{sources()[module].relative_to(ROOT)} imports {x}" for x in known if room(x) not in allowed]


def arrows(within: str) -> dict[str, set[str]]:
    """Return each room of a top-level package and the other rooms of the package that it imports."""
    found: dict[str, set[str]] = {room(module): set() for module in sources() if room(module).startswith(f"{within}.")}
    for module in sources():
        if room(module) in found:
            known = {room(target) for target in imports_of(module) if target in sources()}
            found[room(module)] |= known & set(found) - {room(module)}
    return found


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return how high each room lies: one above the highest room that it knows. Raises CycleError."""
    height: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        height[name] = 1 + max((height[known] for known in graph[name]), default=0)
    return height


def main() -> None:
    graph = arrows("backends")
    height = floors(graph)
    print(f"{len(graph)} rooms, {max(height.values())} floors, {sum(map(len, graph.values()))} arrows")
    for name in sorted(graph, key=lambda name: (height[name], name)):
        print(f"  {height[name]}  {name:24} <- {' '.join(sorted(graph[name]))}".rstrip(" <-"))


if __name__ == "__main__":
    main()
