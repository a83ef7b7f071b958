"""Files appear whole or not at all: killed writers, writers at the same time, links laid where a temporary would be."""

import dataclasses
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from cimc.isa import container
from cimc.isa.atomic import require_places, write_files
from cimc.isa.author import Author
from cimc.isa.container import load_program, save_binary, save_text
from cimc.isa.program import Program

OLD = dataclasses.replace(Author({"name": "t"}, 64).program(), constants=bytes(8), conductances=bytes(4))
NEW = dataclasses.replace(OLD, constants=b"12345678" * 9)

KILLED = """
import os, pathlib, signal, sys
from cimc.isa.container import load_program, save_text
real, left = pathlib.Path.replace, [int(sys.argv[3])]
def replace(self, target):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return real(self, target)
program = load_program(sys.argv[1])
pathlib.Path.replace = replace
save_text(program, sys.argv[2])
"""


def written_by_a_victim(program: Program, path: Path, renames: int) -> None:
    """Save a program over another in a process that is killed before it renames once more than `renames` times."""
    source = path.with_name("source.cimb")
    save_binary(program, source)
    ended = subprocess.run([sys.executable, "-c", KILLED, source, path, str(renames)], check=False).returncode
    assert ended == -signal.SIGKILL
    source.unlink()


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_killed_writer_leaves_the_old_pair_or_the_new_one_and_the_next_cleans_up(
    renames: int, tmp_path: Path
) -> None:
    path = tmp_path / "p.asm"
    save_text(OLD, path)
    written_by_a_victim(NEW, path, renames)
    assert load_program(path).constants == (NEW if renames == 2 else OLD).constants
    save_text(NEW, path)
    assert load_program(path).constants == NEW.constants
    assert sorted(file.name for file in tmp_path.iterdir()) == ["p.asm", "p.payload"]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_rename_that_fails_leaves_one_pair(failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real, done = tmp_path / "p.asm", Path.replace, []
    save_text(OLD, path)

    def replace(self: Path, target: Path) -> Path:
        if self.suffix in (".tmp", ".pending") and (done.append(target) or len(done) == failing):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="No space left"):
        save_text(NEW, path)
    assert load_program(path).constants == (NEW if failing == 3 else OLD).constants


@pytest.mark.parametrize("name", ["p.asm", "p.cimb"])
def test_writers_at_the_same_time_leave_one_whole_program(name: str, tmp_path: Path) -> None:
    path, save = tmp_path / name, save_text if name.endswith("asm") else save_binary
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: save((OLD, NEW)[n % 2], path), range(80)))
        seen = list(pool.map(lambda n: load_program(path) if n % 2 else save((OLD, NEW)[n // 2 % 2], path), range(80)))
    assert {found.constants for found in seen if found} <= {OLD.constants, NEW.constants}
    assert {file.name for file in tmp_path.iterdir()} <= {"p.asm", "p.payload", "p.cimb"}


def test_a_text_that_is_there_again_behind_another_pair_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The payload read is that of the pair in between, though the text is what it was."""
    path, opened, turns = tmp_path / "p.asm", container._payload, iter([NEW])

    def late(folder: Path, name: str, text: str) -> BinaryIO:
        for between in turns:
            save_text(between, path)
            file = opened(folder, name, text)
            save_text(OLD, path)
            return file
        return opened(folder, name, text)

    save_text(OLD, path)
    monkeypatch.setattr(container, "_payload", late)
    assert load_program(path).constants == OLD.constants


def test_a_link_is_not_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    monkeypatch.setattr("cimc.isa.atomic.secrets.token_hex", lambda _: "0" * 16)
    (tmp_path / f".p.cimb.{'0' * 16}.tmp").symlink_to(victim)
    save_binary(OLD, tmp_path / "p.cimb")
    assert load_program(tmp_path / "p.cimb").constants == OLD.constants
    assert victim.read_text() == "kept"


def test_a_link_where_the_output_goes_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "p.cimb").symlink_to("victim")
    save_binary(OLD, tmp_path / "p.cimb")
    assert (tmp_path / "victim").read_text() == "kept"
    assert not (tmp_path / "p.cimb").is_symlink()


def test_what_is_no_temporary_is_left_alone(tmp_path: Path) -> None:
    """A name that only looks like one: a writer removes nothing that a writer has not made."""
    own, stale = tmp_path / ".p.cimb.notes.tmp", tmp_path / f".p.cimb.{'0' * 16}.tmp"
    own.write_text("kept")
    stale.write_text("left by a writer that was killed")
    save_binary(OLD, tmp_path / "p.cimb")
    assert {path.name for path in tmp_path.iterdir()} == {"p.cimb", own.name}


def test_without_locks_files_are_written_and_temporaries_of_others_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may belong to a writer at work. Such a system has no module fcntl, which this one is made to lack."""
    monkeypatch.setattr("cimc.isa.atomic.HAS_LOCKS", False)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    other = tmp_path / f".p.asm.{'0' * 16}.tmp"
    other.write_text("being written")
    save_text(OLD, tmp_path / "p.asm")
    assert load_program(tmp_path / "p.asm").constants == OLD.constants
    assert {path.name for path in tmp_path.iterdir()} == {"p.asm", "p.payload", other.name}


def test_of_several_files_none_is_new_where_one_cannot_take_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = Path.replace, list[Path]()

    def replace(self: Path, target: Path) -> Path:
        done.append(target)
        if len(done) == 3:
            raise OSError(28, "No space left on device")
        return real(self, target)

    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="No space left"):
        write_files({tmp_path / name: (b"new",) for name in "abc"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("place", ["no/where", "file/x", ".", "n" * 250])
def test_a_place_that_takes_no_file_is_told_beforehand(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError, match=r"No such file|Not a directory|Is a directory|too long"):
        require_places([tmp_path / "new", tmp_path / place])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    require_places([tmp_path / "new", tmp_path / "file"])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "kept")]


STANDARD = """
import os, pathlib, sys
from cimc.isa.atomic import require_places
stream = int(sys.argv[1])
os.close(stream)
assert os.open(sys.argv[2], os.O_RDWR) == stream
if stream:
    os.close(0)  # a closed stream is none of a file
try:
    require_places([pathlib.Path(sys.argv[2])])
except OSError as error:
    sys.exit(f"{error.strerror}" if stream != 2 else 7)
"""


@pytest.mark.parametrize(
    ("stream", "said"),
    [(0, "it is where standard input comes from\n"), (1, "it is where standard output goes\n"), (2, "")],
)
def test_files_of_the_standard_streams_are_not_replaced(stream: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    command = [sys.executable, "-c", STANDARD, str(stream), str(tmp_path / "file")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7 if stream == 2 else 1, said)
    assert (tmp_path / "file").read_text() == "kept"
