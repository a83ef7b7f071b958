"""The compiled library is of the sources beside it, and its structures are those that Python fills in."""

import ctypes
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from cimc.backends.kernels.library import STRUCTURES, Library, library

KERNELS = Path(__file__).parents[2] / "backends" / "kernels"
pytestmark = pytest.mark.skipif(library() is None, reason="the kernels were not built")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A copy of the library in a folder of its own, as a wheel has it."""
    found = find_spec("cimc.backends.kernels._native")
    assert found and found.origin
    return Path(shutil.copy(found.origin, tmp_path))


def lay_sources(folder: Path) -> None:
    for source in KERNELS.glob("*.[ch]"):
        shutil.copy(source, folder)


def test_structures_have_the_sizes_of_the_library():
    loaded = library()
    assert loaded
    assert loaded.sizes == {structure: ctypes.sizeof(structure) for structure in STRUCTURES}


def test_library_without_sources_beside_it_is_taken(built: Path):
    assert Library(built).current


def test_library_of_the_sources_beside_it_is_taken(built: Path):
    lay_sources(built.parent)
    assert Library(built).current


@pytest.mark.parametrize("name", ["native.h", "tiles.h", "native.c"])
def test_library_of_other_sources_is_refused(built: Path, name: str):
    """A comment is enough: what a change means to the structures' use no size tells."""
    lay_sources(built.parent)
    changed = built.parent / name
    changed.write_text(changed.read_text() + "/* changed */\n")
    assert not Library(built).current


def test_library_is_refused_beside_one_source_more(built: Path):
    lay_sources(built.parent)
    (built.parent / "more.h").touch()
    assert not Library(built).current
