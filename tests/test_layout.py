"""The folders are the package list, the imports follow the layers, and `import cimc` stays light."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The import name of each top-level folder.
FOLDERS = {"compiler": "cimc", "passes": "cimc.passes", "backends": "cimc.backends", "isa": "cimc.isa"}

# Which layer may import which others of ours; every layer may import itself. The command line, sweeps
# and the files directly in compiler/ other than diagnostics.py belong to the layer `driver`, which knows all.
MAY_IMPORT = {
    "isa": set(),
    "ir": set(),
    "diagnostics": set(),
    "evaluate": {"ir", "diagnostics"},
    "frontend": {"ir", "diagnostics"},
    "targets": {"diagnostics"},
    "passes": {"ir", "evaluate", "targets", "diagnostics"},
    "backends": {"isa", "ir"},
    "driver": {"isa", "ir", "diagnostics", "evaluate", "frontend", "targets", "passes", "backends"},
}

HEAVY = ("onnx", "onnxruntime", "numpy", "xdsl", "networkx", "lark", "dask", "distributed", "pyarrow", "torch")


def module_name(path: Path) -> str:
    """The import name of a source file: compiler/ir/types.py is cimc.ir.types."""
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS[folder], *(part for part in rest if part != "__init__")])


@cache
def sources() -> dict[str, Path]:
    """Every module of ours and its file."""
    return {module_name(path): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


def layer(module: str) -> str:
    """The row of MAY_IMPORT that a module belongs to."""
    parts = module.split(".")
    inside_package = len(parts) > 2 or sources()[module].name == "__init__.py"
    if len(parts) == 1 or parts[1] in ("command_line", "sweep"):
        return "driver"
    return parts[1] if inside_package or parts[1] == "diagnostics" else "driver"


def imported_names(module: str) -> Iterator[str]:
    """Every dotted name that a module imports, at its top or inside a function."""
    path = sources()[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imports_of(module: str) -> set[str]:
    """The modules of ours that a module imports; `from cimc.ir import Layer` is an import of cimc.ir."""
    ours = (name for name in imported_names(module) if name.split(".")[0] == "cimc")
    targets = {name if name in sources() else name.rpartition(".")[0] for name in ours}
    return targets - {module, ""}


def setuptools_table() -> dict[str, object]:
    """The [tool.setuptools] table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def package_folders() -> dict[str, Path]:
    """Every folder that holds source files, by package name."""
    return {module_name(path.parent / "__init__.py"): path.parent for path in sources().values()}


def test_every_package_folder_is_listed_in_pyproject():
    assert sorted(package_folders()) == sorted(setuptools_table()["packages"])


def test_every_package_folder_has_an_init_file():
    assert [name for name, folder in package_folders().items() if not (folder / "__init__.py").exists()] == []


def test_every_data_file_is_listed_in_pyproject():
    """C sources and what is built of them are no data."""
    patterns = setuptools_table()["package-data"]
    unlisted = [
        str(path.relative_to(ROOT))
        for name, folder in package_folders().items()
        for path in folder.iterdir()
        if path.is_file() and path.suffix not in {".py", ".pyc", ".so", ".c", ".h"} and not path.name.startswith(".")
        if not any(fnmatch(path.name, pattern) for pattern in patterns.get(name, []))
    ]
    assert unlisted == []


def test_every_module_of_ours_that_is_imported_exists():
    missing = [f"{module} imports {target}" for module in sources() for target in imports_of(module) - set(sources())]
    assert missing == []


def test_every_layer_has_a_row():
    assert {layer(module) for module in sources()} <= set(MAY_IMPORT)


@pytest.mark.parametrize("importer", MAY_IMPORT)
def test_a_layer_imports_only_what_it_may(importer: str):
    allowed = MAY_IMPORT[importer] | {importer}
    trespasses = [
        f"{sources()[module].relative_to(ROOT)} imports {target}"
        for module in sources()
        if layer(module) == importer
        for target in sorted(imports_of(module))
        if target in sources() and layer(target) not in allowed
    ]
    assert trespasses == []


def test_no_import_cycle_between_files():
    graph = {module: imports_of(module) & set(sources()) for module in sources()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " <- ".join(error.args[1]))


def test_import_cimc_is_light():
    report = f"import sys, cimc; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_raw_folder_name_is_refused():
    result = subprocess.run([sys.executable, "-c", "import compiler"], cwd=ROOT, capture_output=True, text=True)
    assert "import it as `cimc`" in result.stderr
