"""CONTRIBUTING's lists are true: an example of each is added to a copy of the tree, in the files that the lists name.

An example in contributing/ begins with the headings that it follows and the tests of the copy that it must pass. Then
come its edits, `--- FILE before TEXT` each: what follows goes before that text of the file (`\\n` in it ends a line),
or is a new file where there is no text. NAME is the example's own name.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "CONTRIBUTING.md"
FOLDERS = ("compiler", "passes", "backends", "isa")
EXAMPLES = sorted((Path(__file__).parent / "contributing").glob("*.txt"))
EDIT = re.compile(r"^--- (\S+)(?: before (.+))?\n", re.MULTILINE)
SOURCE = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w/-]+\.\w+)`")

MOST = {
    "negate": 4,
    "trilu": 2,
    "square": 5,
    "tile_square": 7,
    "merge_clamps": 2,
    "tiny": 1,
    "jump": 3,
    "hum": 3,
}
"""Example -> the most files of the four folders that it may touch."""


@dataclass(frozen=True)
class Edit:
    """A text that goes before another one in a file, or with no other one is all of a new file."""

    file: str
    before: str
    text: str

    def apply(self, tree: Path, name: str) -> None:
        path = tree / self.file.replace("NAME", name)
        if self.before:
            source = path.read_text()
            assert source.count(self.before) == 1, (self.file, self.before)
            path.write_text(source.replace(self.before, self.text + self.before))
        else:
            path.write_text(self.text)


@dataclass(frozen=True)
class Example:
    """What is added, by which headings of the page, and the arguments of the pytest that shows that it works."""

    name: str
    headings: list[str]
    tests: list[str]
    edits: list[Edit]

    @property
    def sources(self) -> set[str]:
        return {edit.file for edit in self.edits if edit.file.startswith(FOLDERS)}


def read(path: Path) -> Example:
    head, *parts = EDIT.split(path.read_text())
    *headings, tests = head.strip().splitlines()
    edits = [
        Edit(file, (before or "").replace("\\n", "\n"), text)
        for file, before, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]
    arguments = shlex.split(tests.removeprefix("$ pytest ").replace("NAME", path.stem))
    return Example(path.stem, headings, arguments, edits)


def named_on_the_page(headings: list[str]) -> Iterator[str]:
    """Yield the files of the four folders that the lists below some headings name."""
    text = PAGE.read_text()
    for heading in headings:
        _, mark, rest = text.partition(f"\n{heading}\n")
        assert mark, f"the page has no heading {heading!r}"
        yield from SOURCE.findall(rest.partition("\n#")[0])


def lay(example: Example, tree: Path) -> None:
    """Lay a copy of the tree with an example's edits, and the link tree that makes one package of its folders."""
    for folder in (*FOLDERS, "tests", "docs"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / file, tree)
    for edit in example.edits:
        edit.apply(tree, example.name)
    package = tree / "links" / "cimc"
    package.mkdir(parents=True)
    for entry in (*(tree / "compiler").iterdir(), *(tree / folder for folder in FOLDERS[1:])):
        (package / entry.name).symlink_to(entry)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_touches_the_files_that_its_list_names(path: Path) -> None:
    example = read(path)
    assert example.sources == set(named_on_the_page(example.headings))
    assert len(example.sources) <= MOST[example.name]


def test_every_list_has_an_example() -> None:
    lists = re.findall(r"^##+ (?:Add|Give) .*$", PAGE.read_text(), re.MULTILINE)
    assert {heading for path in EXAMPLES for heading in read(path).headings} == set(lists)


@pytest.mark.nightly
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_works_in_a_copy(path: Path, tmp_path: Path) -> None:
    example = read(path)
    lay(example, tmp_path)
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *example.tests],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "links")},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout
