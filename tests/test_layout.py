"""The folders are the package list, the imports follow the layers, and `import cimc` stays light."""

import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from rooms import MAY_IMPORT, ROOT, arrows, floors, imports_of, module_name, room, sources, trespasses

HEAVY = (
    "onnx",
    "onnxruntime",
    "numpy",
    "xdsl",
    "networkx",
    "lark",
    "dask",
    "distributed",
    "pyarrow",
    "torch",
    "jax",
    "optax",
    "perfetto",
    "vcd",
)


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


def test_every_room_has_a_row():
    assert {room(module) for module in sources()} == set(MAY_IMPORT)


@pytest.mark.parametrize("importer", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(importer: str):
    assert [found for module in sources() if room(module) == importer for found in trespasses(module)] == []


@pytest.mark.parametrize("importer", MAY_IMPORT)
def test_the_walls_stand(importer: str):
    """An import from any room that has no arrow is refused, whichever form it has."""
    module = next(module for module in sources() if room(module) == importer)
    for other in set(MAY_IMPORT) - MAY_IMPORT[importer] - {importer}:
        target = next(module for module in sources() if room(module) == other)
        package, _, name = target.rpartition(".")
        forms = [f"import {target}", f"def late():\n    import {target} as made_up"]
        forms += [f"from {package} import {name}"] if package else []
        for form in forms:
            assert any(found.endswith(f"imports {target}") for found in trespasses(module, form)), (form, module)


def test_backends_has_few_rooms_floors_and_arrows():
    graph = arrows("backends")
    assert len(graph) <= 10
    assert max(floors(graph).values()) <= 6
    assert sum(map(len, graph.values())) <= 20


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
