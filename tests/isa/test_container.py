"""Program files: what is refused, with which exit status, and what is left behind when writing fails."""

import dataclasses
import errno
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cimc.isa import container, manifest
from cimc.isa.binary import HEADER_BYTES, SECTIONS, read, to_parts
from cimc.isa.container import MOST_RACES, _parse, load_program, save_binary, save_text
from cimc.isa.errors import CODES, IsaError
from cimc.isa.program import Layer, Port, Program, instruction

PORT = Port("x", 0, "i8", (2, 3), (3, 2), (1, 0), 0.25, 0, -128, 127)
PROGRAM = Program(
    (instruction("nop"), instruction("loop", count=3), instruction("endloop"), instruction("halt")),
    (("a",), ("a",), (), ("b", "c")),
    (PORT,),
    (dataclasses.replace(PORT, name="y", base=6),),
    bytes(range(40)),
    bytes(range(100)),
    12,
    {"model": {"name": "m"}, "target": {"name": "t"}},
)
CHECKSUM = 32


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """A saved binary program."""
    path = tmp_path / "p.cimb"
    save_binary(PROGRAM, path)
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A saved text program, with its payload."""
    path = tmp_path / "p.asm"
    save_text(PROGRAM, path)
    return path


def _refused(path: Path) -> IsaError:
    with pytest.raises(IsaError) as caught:
        load_program(path)
    assert str(path) in caught.value.place
    return caught.value


def _resealed(parts: Sequence[bytes], alignment: int = 64) -> bytes:
    """Join a header and sections, aligned, with the section table and the header checksum made anew."""
    header, content = bytearray(parts[0]), b""
    for number, section in enumerate(parts[1:]):
        entry = HEADER_BYTES - CHECKSUM - (len(SECTIONS) - number) * 56
        digest = bytes.fromhex(manifest.sha256(section))
        content += bytes(-(HEADER_BYTES + len(content)) % alignment)
        header[entry + 8 : entry + 56] = struct.pack("<QQ32s", HEADER_BYTES + len(content), len(section), digest)
        content += section
    header[-CHECKSUM:] = bytes.fromhex(manifest.sha256(bytes(header[:-CHECKSUM])))
    return bytes(header) + content


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    save_binary(PROGRAM, tmp_path / "binary.asm")
    save_text(PROGRAM, tmp_path / "text.cimb")
    assert load_program(tmp_path / "binary.asm") == load_program(tmp_path / "text.cimb") == PROGRAM


def test_every_flipped_byte_is_noticed(binary: Path) -> None:
    good = binary.read_bytes()
    for at in range(len(good)):
        binary.write_bytes(good[:at] + bytes((good[at] ^ 0x10,)) + good[at + 1 :])
        assert _refused(binary).code in ("CIM0420", "CIM0421", "CIM0424")


@pytest.mark.parametrize("number", range(len(SECTIONS)), ids=[name.decode() for name in SECTIONS])
def test_a_changed_section_is_named(binary: Path, number: int) -> None:
    parts = list(to_parts(PROGRAM))
    at = 2 * (number + 1)
    parts[at] = parts[at][:-1] + bytes((parts[at][-1] ^ 1,))
    binary.write_bytes(b"".join(parts))
    error = _refused(binary)
    assert (error.code, error.status) == ("CIM0424", 3)
    assert error.place.endswith(SECTIONS[number].decode())


@pytest.mark.parametrize("layers", [b"[]", b"{}", b'[{"name":"a"}]', b'[["a"]]', b'[["b",""]]', b'[["a",7]]'])
def test_a_wrong_table_of_layers_is_refused(binary: Path, layers: bytes) -> None:
    parts = list(to_parts(PROGRAM)[::2])
    parts[1] = parts[1].replace(b'"locations":', b'"layers":' + layers + b',"locations":')
    binary.write_bytes(_resealed(parts))
    assert (_refused(binary).code, _refused(binary).status) == ("CIM0428", 3)


def test_every_truncation_is_noticed(binary: Path) -> None:
    good = binary.read_bytes()
    for length in range(len(good)):
        binary.write_bytes(good[:length])
        assert _refused(binary).code in ("CIM0420", "CIM0423")


def test_bytes_after_the_end_are_refused(binary: Path) -> None:
    binary.write_bytes(binary.read_bytes() + b"\0")
    assert _refused(binary).code == "CIM0423"


def test_a_version_of_tomorrow_is_incompatible(binary: Path) -> None:
    good = binary.read_bytes()
    binary.write_bytes(good[:8] + struct.pack("<I", 3) + good[12:])
    assert (_refused(binary).code, _refused(binary).status) == ("CIM0421", 6)


def test_version_1_is_read_where_sections_follow_without_gaps(binary: Path) -> None:
    header, *sections = to_parts(PROGRAM)[::2]
    old = header[:8] + struct.pack("<I", 1) + header[12:]
    binary.write_bytes(_resealed([old, *sections], alignment=1))
    assert load_program(binary) == PROGRAM
    binary.write_bytes(_resealed([old, *sections]))
    assert _refused(binary).code == "CIM0423"


def test_sections_are_aligned(binary: Path) -> None:
    content = binary.read_bytes()
    starts = [struct.unpack_from("<Q", content, 80 + 56 * number + 8)[0] for number in range(len(SECTIONS))]
    assert [start % 64 for start in starts] == [0, 0, 0, 0]


def test_another_instruction_set_is_incompatible(binary: Path) -> None:
    parts = list(to_parts(PROGRAM)[::2])
    parts[0] = parts[0][:16] + bytes(32) + parts[0][48:]
    binary.write_bytes(_resealed(parts))
    assert (_refused(binary).code, _refused(binary).status) == ("CIM0422", 6)


def test_another_target_hash_is_refused(binary: Path) -> None:
    parts = list(to_parts(PROGRAM)[::2])
    parts[0] = parts[0][:48] + bytes(32) + parts[0][80:]
    binary.write_bytes(_resealed(parts))
    assert _refused(binary).code == "CIM0424"


def test_resealing_nothing_changes_nothing(binary: Path) -> None:
    assert _resealed(to_parts(PROGRAM)[::2]) == binary.read_bytes()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"activation_bytes":12', b'"activation_bytes":-1'),
        (b'"activation_bytes":12', b'"activation_bytes": 12'),
        (b'"activation_bytes":12', b'"activation_bytes":true'),
        (b'"activation_bytes":12', b'"activation_byte":12'),
        (b'[["a"],2]', b'[["a"],3]'),
        (b'[["a"],2]', b'[["a"],1]'),
        (b'[["a"],2]', b'[["a"],99999999999]'),
        (b'[["a"],2]', b'[["a"],1],[["a"],1]'),
        (b'[["a"],2]', b'["a",2]'),
        (b'"scale":0.25', b'"scale":1'),
        (b'"scale":0.25', b'"scale":NaN'),
        (b'"scale":0.25', b'"scale":1e999'),
        (b'"scale":0.25', b'"scale":-0.25'),
        (b'"order":[1,0]', b'"order":[1,1]'),
        (b'"shape":[2,3]', b'"shape":[3,2]'),
        (b'"shape":[2,3]', b'"shape":7'),
        (b'"type":"i8"', b'"type":"i9"'),
        (b'"type":"i8"', b'"type":[]'),
        (b'"low":-128', b'"low":128'),
        (b'"zero":0', b'"zero":"0"'),
        (b'"meta":{', b'"meta":{"model":{},'),
        (b"{", b"[" * 100_000 + b"{"),
        (b"{", b"\xff{"),
    ],
)
def test_wrong_facts_are_refused(binary: Path, old: bytes, new: bytes) -> None:
    head, facts, *rest = to_parts(PROGRAM)[::2]
    assert old in facts
    binary.write_bytes(_resealed([head, facts.replace(old, new, 1), *rest]))
    assert (_refused(binary).code, _refused(binary).status) == ("CIM0425", 3)


@pytest.mark.parametrize(("key", "value"), [("meta", []), ("inputs", {}), ("outputs", 7)])
def test_facts_of_another_kind_are_refused(binary: Path, key: str, value: object) -> None:
    head, facts, *rest = to_parts(PROGRAM)[::2]
    changed = manifest.canonical(manifest.from_json(facts.decode()) | {key: value})
    binary.write_bytes(_resealed([head, changed.encode(), *rest]))
    assert _refused(binary).code == "CIM0425"


@pytest.mark.parametrize(("word", "code"), [(b"\0" * 32, "CIM0410"), (b"\1" * 32, "CIM0412"), (b"\1", "CIM0413")])
def test_wrong_code_is_refused(binary: Path, word: bytes, code: str) -> None:
    head, facts, words, *rest = to_parts(PROGRAM)[::2]
    binary.write_bytes(_resealed([head, facts, words + word, *rest]))
    assert _refused(binary).code == code


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hello", b"\xff\xfe", b"\x08\x07model", b"{}", b"; only a comment"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    assert (_refused(path).code, _refused(path).status) == ("CIM0420", 3)


def test_every_flipped_byte_of_the_payload_is_noticed(text: Path) -> None:
    payload = text.with_suffix(".payload")
    good = payload.read_bytes()
    for at in range(len(good)):
        payload.write_bytes(good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :])
        assert _refused(text).code == "CIM0424"


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b""])
def test_payload_of_another_size_is_refused(text: Path, change: object) -> None:
    payload = text.with_suffix(".payload")
    payload.write_bytes(change(payload.read_bytes()))  # type: ignore[operator]
    assert _refused(text).code == "CIM0426"


def test_a_missing_payload_is_named(text: Path) -> None:
    text.with_suffix(".payload").unlink()
    error = _refused(text)
    assert error.code == "CIM0426"
    assert "p.payload" in error.message


def test_a_payload_that_is_no_file_is_told(text: Path) -> None:
    payload = text.with_suffix(".payload")
    payload.unlink()
    payload.mkdir()
    assert _refused(text).message == "payload file 'p.payload': Is a directory"


def test_every_lost_line_of_code_is_noticed(text: Path) -> None:
    lines = text.read_text().splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.startswith(("    ", ".loc", ".input", ".output", ".meta", ".activation")):
            text.write_text("".join(lines[:number] + lines[number + 1 :]))
            assert _refused(text).code in ("CIM0424", "CIM0425")


def test_a_file_that_is_not_there_is_the_callers() -> None:
    with pytest.raises(FileNotFoundError):
        load_program("no/such/file")


def _fail_fsync(monkeypatch: pytest.MonkeyPatch, calls_that_work: int) -> None:
    outcomes: Iterator[bool] = iter([True] * calls_that_work + [False])

    def fsync(descriptor: int) -> None:
        if not next(outcomes):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("calls_that_work", [0, 1])
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls_that_work: int) -> None:
    _fail_fsync(monkeypatch, calls_that_work)
    with pytest.raises(OSError, match="No space left"):
        save_text(PROGRAM, tmp_path / "p.asm")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_old_files(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in text.parent.iterdir()}
    _fail_fsync(monkeypatch, 1)
    with pytest.raises(OSError, match="No space left"):
        save_text(dataclasses.replace(PROGRAM, constants=b"other"), text)
    assert {path: path.read_bytes() for path in text.parent.iterdir()} == before


def test_a_missing_folder_and_a_folder_as_name_are_the_callers(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_binary(PROGRAM, tmp_path / "no" / "p.cimb")
    (tmp_path / "p.asm").mkdir()
    with pytest.raises(IsADirectoryError):
        save_text(PROGRAM, tmp_path / "p.asm")
    assert [path.name for path in tmp_path.iterdir()] == ["p.asm"]


def test_a_device_is_not_replaced() -> None:
    with pytest.raises(OSError, match="not a regular file"):
        save_binary(PROGRAM, os.devnull)


def test_text_and_payload_need_two_names(tmp_path: Path) -> None:
    with pytest.raises(IsaError) as caught:
        save_text(PROGRAM, tmp_path / "p.payload")
    assert caught.value.code == "CIM0427"


def test_programs_that_cannot_be_loaded_are_not_saved(tmp_path: Path) -> None:
    for bad in (
        dataclasses.replace(PROGRAM, locations=()),
        dataclasses.replace(PROGRAM, activation_bytes=-1),
        dataclasses.replace(PROGRAM, layers=(Layer("a", "", ("a",)),)),
        dataclasses.replace(PROGRAM, meta={"a": {1, 2}}),
        dataclasses.replace(PROGRAM, meta={"a": float("nan")}),
        dataclasses.replace(PROGRAM, inputs=(dataclasses.replace(PORT, scale=float("inf")),)),
    ):
        for save in (save_binary, save_text):
            with pytest.raises(IsaError) as caught:
                save(bad, tmp_path / "p.asm")
            assert CODES[caught.value.code].status == 3
    assert list(tmp_path.iterdir()) == []


def test_the_reader_of_binary_files_refuses_others(text: Path) -> None:
    with text.open("rb") as file, pytest.raises(IsaError, match="CIM0420"):
        read(file)


def test_another_number_of_sections_is_refused(binary: Path) -> None:
    parts = list(to_parts(PROGRAM)[::2])
    parts[0] = parts[0][:12] + struct.pack("<I", 5) + parts[0][16:]
    binary.write_bytes(_resealed(parts))
    assert "5 sections, wanted 4" in _refused(binary).message


def test_a_text_that_is_replaced_without_end_is_given_up(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading finds a payload of another text, since a writer was faster."""
    text.with_suffix(".payload").write_bytes(b"")
    versions = list[str]()

    def parsed(found: str, path: Path) -> Program:
        versions.append(found)
        path.write_text(f"{found}; once more\n")
        return _parse(found, path)

    monkeypatch.setattr(container, "_parse", parsed)
    assert _refused(text).code == "CIM0426"
    assert len(set(versions)) == MOST_RACES + 1
