"""Files of older and newer versions get what docs/compatibility.md says, and its table says what cimc writes."""

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line.files import FILES, IMAGES

from cimc.bringup.files import read_image
from cimc.command_line import main
from cimc.isa.errors import CimcError

PAGE = Path(__file__).parents[1] / "docs" / "compatibility.md"
INPUT = ["--input", "images.npz", "--scale", "0.0625"]
Change = Callable[[bytes, int], bytes]


def binary(content: bytes, version: int) -> bytes:
    return content[:8] + version.to_bytes(4, "little") + content[12:]


def text(pattern: bytes, content: bytes, version: int) -> bytes:
    """Return a file with another version behind what matches."""
    changed, count = re.subn(rb"(%s)\d+" % pattern, rb"\g<1>%d" % version, content, count=1)
    assert count == 1
    return changed


def facts(content: bytes, version: int) -> bytes:
    arrays = dict(np.load(io.BytesIO(content)))
    arrays["facts"] = np.array(json.dumps(json.loads(str(arrays["facts"])) | {"format": version}))
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def image(arguments: Sequence[str]) -> int:
    """Read an image, which no command does."""
    try:
        read_image(Path(arguments[0]))
    except CimcError as error:
        print(error)
        return error.status
    return 0


@dataclass(frozen=True)
class Kind:
    """A row of the page: the file, what makes it of the sample program, what reads it, how its version is changed."""

    file: str
    making: Sequence[str]
    reading: Sequence[str]
    changed: Change
    read: Callable[[Sequence[str]], int] = main


KINDS: Mapping[str, Kind] = {
    "binary program, .cimb": Kind("digits.cimb", (), ["lint", "digits.cimb"], binary),
    "program text, .asm": Kind("digits.asm", (), ["lint", "digits.asm"], partial(text, rb"\.cimc ")),
    "trace": Kind(
        "r.trace",
        ["trace", "digits.cimb", *INPUT, "--samples", "0:1", "-o", "r.trace"],
        ["trace-diff", "r.trace", "r.trace"],
        partial(text, b"cimc-trace "),
    ),
    "measured chip, .npz": Kind(
        "chip.npz",
        ["chip", "digits.cimb", "--noise", "pcm", "-o", "chip.npz"],
        ["run", "digits.cimb", *INPUT, "--chip", "chip.npz", "-o", "y.npz"],
        facts,
    ),
    "ranges, .json": Kind(
        "digits.json",
        (),
        ["compile", "digits.onnx", "--no-float-check", "--ranges", "digits.json", "-o", "out.cimb"],
        partial(text, rb'"format": '),
    ),
    "bands, .npz": Kind(
        "bands.npz",
        ["bands", "digits.cimb", *INPUT, "--noise", "pcm", "--seeds", "2", "-o", "bands.npz"],
        ["check-silicon", "bands.npz", "images.npz"],
        facts,
    ),
    "image, manifest.json": Kind(
        "image/manifest.json",
        ["image", "digits.cimb", "--format", "raw", "-o", "image"],
        ["image"],
        partial(text, b'"format": "cimc-image '),
        image,
    ),
}


def rows() -> dict[str, list[str]]:
    """Return the table of the page: kind of file -> its other columns."""
    lines = (line.strip("| \n").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| "))
    return {cells[0]: cells[1:] for cells in lines if cells[0] not in ("file", "---")}


def test_the_page_has_a_row_for_each_kind() -> None:
    assert list(rows()) == list(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_another_version_gets_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, (_, written, known, refusal, _) = KINDS[name], rows()[name]
    code, status = re.fullmatch(r"(CIM\d+), status (\d)", refusal).groups()
    monkeypatch.chdir(tmp_path)
    for each in ("digits.cimb", "digits.asm", "digits.payload", "digits.json", "digits.onnx"):
        Path(each).write_bytes(FILES[each]())
    np.savez("images.npz", image=IMAGES)
    if kind.making:
        assert main(kind.making) == 0
    sound = Path(kind.file).read_bytes()
    assert kind.changed(sound, int(written)) == sound or kind.changed is facts, "written in another version"
    versions = [int(version) for version in known.split(", ")]
    assert int(written) == max(versions)
    for version in (min(versions) - 1, max(versions) + 1):
        Path(kind.file).write_bytes(kind.changed(sound, version))
        capsys.readouterr()
        assert kind.read(kind.reading) == int(status)
        assert code in "".join(capsys.readouterr())
    Path(kind.file).write_bytes(kind.changed(sound, int(written)))
    kind.read(kind.reading)
    assert code not in "".join(capsys.readouterr())
