"""The command line in this process, and one at a time in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line.files import FILES, lay
from command_line.test_cases import run

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cimc(folder: Path) -> Command:
    """Run a command given as words; files of files.py that it names are laid into the folder first."""

    def command(words: str) -> tuple[int, str]:
        for name in words.split():
            if name in FILES and not (folder / name).exists():
                lay(name, folder)
        return run(words.split())

    return command
