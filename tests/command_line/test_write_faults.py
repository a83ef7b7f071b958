"""Every step of every write fails in turn, in every way: what was there stays whole, and the status says why.

A command runs once. As it is about to write, a child is forked for each fault at each step, and goes on with it.
"""

import errno
import io
import os
import signal
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command_line.conftest import Command

CALIBRATED = "--calib digits_calib.npz --scale 0.0625"
WRITING = {
    f"compile digits.onnx {CALIBRATED} -o out.asm": "out.asm out.payload",
    f"compile digits.onnx {CALIBRATED} -o out.cimb": "out.cimb",
    f"compile digits.onnx {CALIBRATED} --compile-to tile -o out.mlir": "out.mlir out.safetensors",
    f"export-onnx digits.onnx {CALIBRATED} -o out.onnx": "out.onnx",
    "run digits.asm --input images.npz -o out.npz": "out.npz",
    "asm digits.asm -o out.cimb": "out.cimb",
    "objdump digits.cimb -o out.asm": "out.asm out.payload",
    "opt graph.mlir -o out.mlir": "out.mlir",
    "trace digits.cimb --input images.npz --samples 0:1 -o out.trace": "out.trace",
    "report digits.cimb --input images.npz -o out.json": "out.json",
    "report digits.cimb --input images.npz -o out.html": "out.html",
    "image digits.cimb --input images.npz --samples 0:1 --only 39 -o out": "out/manifest.json out/bench.sv",
}
"""Command -> files that it replaces."""

KILLED = "killed"
FAULTS: Mapping[str, tuple[Callable[[], BaseException], int]] = {
    "full": (lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 3),
    "denied": (lambda: PermissionError(errno.EACCES, os.strerror(errno.EACCES)), 3),
    "broken": (lambda: OSError(errno.EIO, os.strerror(errno.EIO)), 3),
    "interrupted": (KeyboardInterrupt, 130),
    "memory": (MemoryError, 5),
    KILLED: (KeyboardInterrupt, -signal.SIGKILL),
}
"""Fault -> what a step raises, and the status that the command ends with."""
BEYOND = 99
"""How a child ends that had fewer steps to take."""


class Outcome(NamedTuple):
    """What a fault at a step came to."""

    step: int
    fault: str
    status: int
    files: Mapping[str, bytes]


class Walk:
    """Steps of writing in this process and its children, in each of which one step fails."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.owner = folder, os.getpid()
        self.outcomes: list[Outcome] = []
        self.taken = self.failing = -1
        self.fault = ""

    @property
    def is_child(self) -> bool:
        return os.getpid() != self.owner

    @property
    def has_failed(self) -> bool:
        return self.taken >= self.failing

    def step(self) -> None:
        """Take a step: before the first, every child is forked; in a child, the failing one raises or kills."""
        if not self.outcomes and not self.is_child:
            self._fork_all()
        self.taken += 1
        if self.is_child and self.taken == self.failing:
            if self.fault == KILLED:
                os.kill(os.getpid(), signal.SIGKILL)
            raise FAULTS[self.fault][0]()

    def _fork_all(self) -> None:
        before = contents(self.folder)
        for step in count():
            for fault in FAULTS:
                if not (child := os.fork()):
                    self.failing, self.fault = step, fault
                    return
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                if status == BEYOND:
                    return
                self.outcomes.append(Outcome(step, fault, status, contents(self.folder)))
                restore(self.folder, before)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def restore(folder: Path, before: Mapping[str, bytes]) -> None:
    """Put files back as they were, without what a killed child has left: all children have its name for a temporary."""
    for name in contents(folder).keys() - before.keys():
        (folder / name).unlink()
    for name, content in before.items():
        (folder / name).write_bytes(content)


def walk_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Walk:
    """Return a walk over what happens from now on to files that are written: opened, written, synced, renamed."""
    walk = Walk(folder)

    class Written(io.FileIO):
        def write(self, data: Any, /) -> int:
            walk.step()
            return super().write(data)

    def stepping(real: Callable[..., Any], is_step: Callable[..., bool]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            if is_step(*arguments, **named):
                walk.step()
            return real(*arguments, **named)

        return called

    def creates(_: object, flags: int, *_rest: object, **_named: object) -> bool:
        return bool(flags & os.O_CREAT)

    monkeypatch.setattr(os, "open", stepping(os.open, creates))
    monkeypatch.setattr(os, "fsync", stepping(os.fsync, lambda _: True))
    monkeypatch.setattr(os, "replace", stepping(os.replace, lambda *_, **__: True))
    written = lambda descriptor, _: io.BufferedWriter(Written(descriptor, "w"))  # noqa: E731
    monkeypatch.setattr("cimc.isa.atomic.open", written, raising=False)
    return walk


def is_whole(found: Mapping[str, bytes], name: str, old: bytes, new: Mapping[str, bytes]) -> bool:
    """Return whether a file is the old one or the new one; a payload may wait for its name, with its text in place."""
    waits = [content for other, content in found.items() if name in other and other.endswith(".pending")]
    return found.get(name) in (old, new[name]) or waits == [new[name]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.parametrize(
    "words", [pytest.param(words, marks=pytest.mark.nightly if "image " in words else ()) for words in WRITING]
)
def test_a_fault_at_any_step_leaves_whole_files_and_the_status_says_why(
    words: str, cimc: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cimc(f"explain {words}")  # lays the files that are named
    outputs = WRITING[words].split()
    for name in outputs:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"old")
    walk = walk_of(folder, monkeypatch)
    status, output = cimc(words)
    if walk.is_child:
        os._exit(status if walk.has_failed else BEYOND)
    new = contents(folder)
    assert (status, [name for name in new if Path(name).name.startswith(".")]) == (0, []), output
    assert len(walk.outcomes) >= 4 * len(FAULTS), "a file is opened, written, synced and renamed"
    for at in walk.outcomes:
        assert at.status == FAULTS[at.fault][1], at[:3]
        assert all(is_whole(at.files, name, b"old", new) for name in outputs), at[:3]
        assert at.fault == KILLED or not [name for name in at.files if name.endswith(".tmp")], at[:3]
        assert Path(words.split()[1]).name in at.files
