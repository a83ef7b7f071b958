"""The mutation run judges nothing that it cannot judge."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "samples" / "bench" / "mutants.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mutants", module)
    spec.loader.exec_module(module)
    return module


def test_kernels_are_not_judged_without_the_compiled_library(script: ModuleType, tmp_path: Path) -> None:
    script.lay(tmp_path)
    for library in (tmp_path / "cimc" / "backends" / "kernels").glob("_native*"):
        library.unlink()
    with pytest.raises(SystemExit, match=r"backends/kernels/layout\.py cannot be judged: .* build it"):
        script.require_kernels(tmp_path, script.every("backends/kernels/layout.py"))


def test_other_files_are_judged_without_the_compiled_library(script: ModuleType, tmp_path: Path) -> None:
    script.require_kernels(tmp_path, script.every("isa/phases.py"))


def test_kernels_are_judged_with_the_compiled_library(script: ModuleType, tmp_path: Path) -> None:
    if not list((SCRIPT.parents[2] / "backends" / "kernels").glob("_native*.so")):
        pytest.skip("the compiled library was not built here")
    script.lay(tmp_path)
    script.require_kernels(tmp_path, script.every("backends/kernels/layout.py"))
