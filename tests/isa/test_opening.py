"""Opening at its edges: standard input that ends in an error, links in circles, a file that becomes another."""

import io
import os
import sys
from pathlib import Path

import pytest

from cimc.isa.opening import open_named, open_regular, root, set_root


class Broken(io.RawIOBase):
    """A stream that fails behind its first bytes."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        raise OSError(5, "Input/output error")


def test_standard_input_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"all of it")))
    with open_regular("-") as file:
        assert (file.read(), file.seek(0), file.read(3)) == (b"all of it", 0, b"all")


def test_standard_input_that_breaks_off_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open file that nobody closes would be a warning, which is an error here."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Broken())))
    with pytest.raises(OSError, match="Input/output error"):
        open_regular("-")


def test_links_in_circles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="its links go in circles"):
        open_named(tmp_path, "a")


def test_a_file_that_becomes_a_fifo_on_being_opened_is_refused_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, opened = tmp_path / "file", os.open, list[int]()
    path.write_text("x")

    def swapped(name: str | Path, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        opened.append(real(name, flags))
        return opened[0]

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(OSError, match="it is a FIFO, a regular file is needed"):
        open_regular(path)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_the_root_is_where_its_links_lead(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    try:
        set_root(tmp_path / "link")
        assert root() == tmp_path.resolve()
    finally:
        set_root(None)
    assert root() is None
