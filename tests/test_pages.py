"""Pages for each job show what really comes out: every command is run, and Python whose packages are here."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_readme import INDENT, PROMPT, ROOT, masked, played

PAGES = ("own-model", "running", "noisy-chips", "silicon", "twin", "troubleshooting")
SLOW = PAGES[1:]
PYTHON = "<!-- python"
"""Marks a block of Python; behind it stand the packages that it needs, `-->` ends the line."""


def blocks(lines: list[str]) -> list[tuple[int, int]]:
    """Return where each indented block of a page starts and ends, blank lines within it included."""
    found, start = [], None
    for index, line in enumerate([*lines, "the end"]):
        if line.startswith(INDENT) and start is None:
            start = index
        elif line and not line.startswith(INDENT) and start is not None:
            found.append((start, index))
            start = None
    return found


def stripped(lines: list[str]) -> list[str]:
    """Return lines without blank ones at the end."""
    return lines if not lines or lines[-1] else stripped(lines[:-1])


def run_python(lines: list[str], start: int, end: int) -> bool:
    """Run a block of Python that is marked as such, if its packages are here; return whether it is one."""
    mark = next((line for line in reversed(lines[:start]) if line), "")
    if not mark.startswith(PYTHON):
        return False
    packages = mark.removeprefix(PYTHON).removesuffix("-->").split()
    if all(map(find_spec, packages)):
        exec("\n".join(line.removeprefix(INDENT) for line in lines[start:end]), {"__name__": "page"})
    return True


CASES = [pytest.param(name, marks=[pytest.mark.nightly] if name in SLOW else []) for name in PAGES]


@pytest.mark.parametrize("name", CASES)
def test_a_page_shows_what_comes_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bless: bool) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    (tmp_path / "pictures" / "page").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "images" / "report-phone.png", tmp_path / "pictures" / "page")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / f"{name}.md"
    lines = page.read_text().splitlines()
    for start, end in blocks(lines):
        shown = stripped(lines[start:end])
        if run_python(lines, start, end):
            continue
        assert shown[0].startswith(PROMPT), shown[0]
        found = stripped(list(played([line for line in shown if line.startswith(PROMPT)])))
        if bless:
            page.write_text(page.read_text().replace("\n".join(shown), "\n".join(found), 1))
        else:
            assert masked(shown) == masked(found), "run pytest --bless if the new output is right"


def test_pages_of_jobs_are_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in PAGES if f"(docs/{name}.md)" not in text] == []
