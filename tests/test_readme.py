"""The README shows what really comes out, and the documents name what really is there."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line.test_cases import run, without_hashes

from cimc.command_line.commands import BY_NAME
from cimc.isa.errors import FAILED
from cimc.passes.pipeline import DEFAULT, STAGES
from cimc.targets import built_in_names

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PROMPT, INDENT = "    $ ", "    "
MAY_FAIL = " || true"
"""Behind a command whose answer may be no."""
LAYER = "<!-- first layer -->"


def first_screen(text: str) -> list[str]:
    """Return the lines of the first block of commands and output."""
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(PROMPT))
    end = next(index for index, line in enumerate(lines) if index > start and line[:1] not in ("", " "))
    return lines[start:end]


def played(commands: list[str]) -> Iterator[str]:
    for command in commands:
        yield command
        words = command.removeprefix(PROMPT).removesuffix(MAY_FAIL)
        status, output = run(words.split()[1:])
        assert status == 0 or (status == FAILED and command.endswith(MAY_FAIL)), output
        yield from (f"{INDENT}{line}".rstrip() for line in output.splitlines())
        yield ""


def first_layer(program: str) -> list[str]:
    """Return the block of instructions that ends in the first matrix-vector product."""
    lines = program.splitlines()
    end = next(index for index, line in enumerate(lines) if line.lstrip().startswith("mvm"))
    start = max(index for index, line in enumerate(lines[:end]) if line.startswith(".loc") or "calibrate" in line)
    return [f"{INDENT}{line}" for line in lines[start + (not lines[start].startswith(".loc")) : end + 1]]


def masked(lines: list[str]) -> list[str]:
    """Return lines without numbers and hashes: those may differ in the last digit from machine to machine."""
    return [re.sub(r"-?\d+(\.\d+)?", "#", without_hashes(line)) for line in lines]


def test_the_first_screen_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bless: bool) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    text = README.read_text()
    shown = first_screen(text)
    found = list(played([line for line in shown if line.startswith(PROMPT)]))
    layer = first_layer((tmp_path / "digits.asm").read_text())
    before, mark, after = text.partition(f"{LAYER}\n\n")
    assert mark
    shown_layer = after.partition("\n\n")[0].splitlines()
    if bless:
        text = before + mark + after.replace("\n".join(shown_layer), "\n".join(layer), 1)
        README.write_text(text.replace("\n".join(shown), "\n".join(found), 1))
    else:
        assert masked(shown) == masked(found), "run pytest --bless if the new output is right"
        assert masked(shown_layer) == masked(layer), "run pytest --bless if the new output is right"


def test_the_lines_of_python_print_what_is_shown(tmp_path: Path, bless: bool) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    text = README.read_text()
    before, code, printed, after = re.split(r"<!-- python -->\n\n|\n\n<!-- prints -->\n\n|(?<=proved True)\n", text)
    lines = "\n".join(line.removeprefix(INDENT) for line in code.splitlines())
    done = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [f"{INDENT}{line}" for line in done.stdout.splitlines()]
    if bless:
        shown = "\n".join(found)
        README.write_text(f"{before}<!-- python -->\n\n{code}\n\n<!-- prints -->\n\n{shown}\n{after}")
    else:
        assert printed.splitlines() == found, "run pytest --bless if the new output is right"


def test_the_architecture_page_has_every_pass_and_stage_in_order() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE)
    assert rows == [*STAGES, *DEFAULT.split(",")]


def test_the_readme_names_every_command_and_target() -> None:
    text = README.read_text()
    assert [name for name in BY_NAME if f"cimc {name}" not in text] == []
    assert [name for name in built_in_names() if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    "path", [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_page_is_linked() -> None:
    """From the README, or from another page."""
    pages = [README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    links = {
        (page.parent / link).resolve()
        for page in pages
        for link in re.findall(r"\]\(([^):#]+)", page.read_text())
        if (page.parent / link).resolve() != page.resolve()
    }
    assert [page.name for page in pages[1:] if page.resolve() not in links] == []
