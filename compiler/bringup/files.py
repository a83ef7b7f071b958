"""Memories as files, in the forms that test benches load, with a manifest that says what each is; and back."""

import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.traps import Refusal
from cimc.bringup.image import Memory
from cimc.isa import manifest
from cimc.isa.encode import decode_all
from cimc.isa.layers import check_layers
from cimc.isa.program import Program

Array = NDArray[Any]

FORMAT = "cimc-image 1"
"""What the manifest calls its own form."""


def words_of(memory: Memory, width: int | None) -> tuple[Array, int]:
    """Return a memory's words as bytes [n, size], little-endian, and the bits of each.

    Bytes are joined to words of `width` bits, the last of which is filled with zeros.
    """
    if memory.bits != 8 or width is None:
        raw = memory.words if memory.bits > 64 else np.ascontiguousarray(memory.words).view(np.uint8)
        count = len(memory.words)
        return raw.reshape(count, raw.size // max(count, 1))[:, : memory.bits // 8], memory.bits
    size = width // 8
    padded = np.zeros(-(-len(memory.words) // size) * size, np.uint8)
    padded[: len(memory.words)] = memory.words
    return padded.reshape(-1, size), width


def _readmemh(words: Array) -> bytes:
    return words[:, ::-1].tobytes().hex("\n", words.shape[1]).encode() + b"\n" if words.size else b""


def _raw(words: Array) -> bytes:
    return words.tobytes()


def _npy(words: Array) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, words, allow_pickle=False)
    return buffer.getvalue()


FORMS: Mapping[str, tuple[str, Callable[[Array], bytes]]] = {
    "readmemh": (".hex", _readmemh),
    "raw": (".bin", _raw),
    "npy": (".npy", _npy),
}
"""Form -> the suffix of its files, and what writes words [n, bytes]."""


def image_files(
    program: Program, found: Iterable[Memory], form: str, width: int | None, facts: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return the content of every file of an image by name; `facts` are what the manifest says beside the memories."""
    suffix, write = FORMS[form]
    files, listed = dict[str, bytes](), []
    for memory in found:
        words, bits = words_of(memory, width)
        name = f"{memory.name}{suffix}"
        files[name] = write(words)
        listed.append({"file": name, "memory": memory.name, "words": len(words), "bits": bits, "holds": memory.about,
                       "elements": len(memory.words), "sha256": manifest.sha256(files[name])})  # fmt: skip
    about = {
        "format": FORMAT,
        "form": form,
        **facts,
        "memories": listed,
        "program": manifest.to_bytes(program).decode(),
    }
    files["manifest.json"] = (json.dumps(about, indent=1) + "\n").encode()
    return files


def read_image(folder: Path) -> Program:
    """Return the program of an image in a folder. Raises Refusal CIM0564 where it is none, or damaged; OSError."""
    about = _manifest(folder)
    content = {one["memory"]: _bytes(folder, one, about["form"]) for one in about["memories"]}
    instructions = decode_all(content["code"])
    facts = manifest.from_bytes(about["program"].encode(), len(instructions))
    program = Program(
        instructions, facts.locations, facts.inputs, facts.outputs, content["constants"], content["conductances"],
        facts.activation_bytes, facts.meta, facts.layers,
    )  # fmt: skip
    check_layers(program)
    return program


def _manifest(folder: Path) -> dict[str, Any]:
    from cimc.isa.documents import json_value

    try:
        found = json_value((folder / "manifest.json").read_text(), "manifest.json")
        if found["format"] != FORMAT or found["form"] not in FORMS:
            raise _no_image(f"manifest.json is of the form {found['format']!r:.40}, wanted {FORMAT!r}")
        return dict(found)
    except (ValueError, TypeError, KeyError) as error:
        raise _no_image(f"manifest.json: {error}") from None


def _bytes(folder: Path, one: Mapping[str, Any], form: str) -> bytes:
    """Return the bytes of a memory, without what fills its last word. Raises Refusal CIM0564."""
    data = (folder / Path(one["file"]).name).read_bytes()
    if manifest.sha256(data) != one["sha256"]:
        raise _no_image(f"{one['file']} does not have the checksum that manifest.json states")
    size = one["bits"] // 8
    if form == "readmemh":
        data = b"".join(bytes.fromhex(line)[::-1] for line in data.decode().split())
    elif form == "npy":
        data = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False).tobytes()
    is_joined = one["elements"] != one["words"]
    return data[: one["elements"]] if is_joined else data[: one["words"] * size]


def _no_image(message: str) -> Refusal:
    return Refusal("CIM0564", message, "write the image again with `cimc image`")
