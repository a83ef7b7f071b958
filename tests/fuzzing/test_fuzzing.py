"""Damaged files are taken or refused: no internal error, none that takes 10 s of a thread or a GiB of memory.

Each kind of file is tried for FUZZ_SECONDS (default: half a second; `make nightly` a minute, `make deep` ten), from
the seed FUZZ_SEED. What broke a rule once lies in corpus/, and is tried first.
"""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from command_line.files import FILES
from fuzzing.targets import TARGETS, Target

from cimc.isa.errors import INTERNAL

SECONDS, SEED = float(os.environ.get("FUZZ_SECONDS", "0.5")), os.environ.get("FUZZ_SEED", "0")
MOST_SECONDS, MOST_KIB = 10, 1 << 20
CORPUS = Path(__file__).parent / "corpus"


def damaged(target: Target, sound: bytes) -> Iterator[bytes]:
    """Yield what once broke a rule, then damaged files without end."""
    for path in sorted(CORPUS.glob(f"*.{target.name}")):
        yield path.read_bytes()
    random = Random(f"{SEED} {target.name}")
    while True:
        yield target.damage(sound, random)


def broken(target: Target, content: bytes) -> Iterator[str]:
    """Try a file; yield each rule that a command broke."""
    Path(target.name).write_bytes(content)
    for command in target.commands:
        started, before = time.thread_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        status, output = command(target.name)
        if status == INTERNAL:
            yield output
        if time.thread_time() - started > MOST_SECONDS:
            yield f"more than {MOST_SECONDS} s: {output}"
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > MOST_KIB:
            yield f"more than {MOST_KIB} KiB: {output}"


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_taken_or_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = TARGETS[name]
    files = damaged(target, target.sound())
    until = time.process_time() + SECONDS
    monkeypatch.chdir(tmp_path)
    for beside in target.beside:
        Path(beside).write_bytes(FILES[beside]())
    tried = 0
    while time.process_time() < until:
        content = next(files)
        found, tried = list(broken(target, content)), tried + 1
        if found:
            Path(f"broke.{name}").write_bytes(content)
        assert not found, f"{tried} files tried; {tmp_path}/broke.{name} broke a rule, copy it to tests/fuzzing/corpus"
    print(f"{name}: {tried} files")
