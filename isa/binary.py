"""The bytes of a binary program `.cimb`: a checked header, a section table, the sections META, CODE, CONST, COND."""

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from cimc.isa import manifest
from cimc.isa.encode import check_isa, decode_all, encode_all, isa_hash
from cimc.isa.errors import IsaError
from cimc.isa.layers import check_layers
from cimc.isa.program import Program

MAGIC = b"\x89CIMB\r\n\x1a"
SECTIONS = (b"META", b"CODE", b"CONST", b"COND")
VERSION = 2
"""Format version that is written."""
ALIGNMENT = {1: 1, 2: 64}
"""Bytes to which a format version that can be read aligns sections: memories of any width can map them."""

_HEAD = struct.Struct("<8sII32s32s")
"""Magic, format version, number of sections, ISA hash, target hash."""
_ENTRY = struct.Struct("<8sQQ32s")
"""Section name padded with zeros, offset from the start of the file, length, SHA-256."""
_TABLE_BYTES = len(SECTIONS) * _ENTRY.size
_CHECKSUM_BYTES = 32
HEADER_BYTES = _HEAD.size + _TABLE_BYTES + _CHECKSUM_BYTES


class Section(NamedTuple):
    """One entry of the section table."""

    name: bytes
    offset: int
    length: int
    sha256: bytes


def is_container(start: bytes) -> bool:
    """Return whether a file that starts with these bytes is a binary program."""
    return start.startswith(MAGIC)


def program_digest(program: Program) -> str:
    """Return the hexadecimal SHA-256 of a program as a binary file. Raises IsaError on what cannot be encoded."""
    found = hashlib.sha256()
    for part in to_parts(program):
        found.update(part)
    return found.hexdigest()


def to_parts(program: Program) -> tuple[bytes, ...]:
    """Return the header and the four sections, the zeros that align each before it.

    Raises IsaError on what cannot be encoded.
    """
    sections = (manifest.to_bytes(program), encode_all(program.instructions), program.constants, program.conductances)
    head = _HEAD.pack(
        MAGIC,
        VERSION,
        len(SECTIONS),
        bytes.fromhex(isa_hash()),
        bytes.fromhex(manifest.target_hash(program.meta)),
    )
    table = _table(sections, (*map(manifest.sha256, sections[:2]), *program.payload_hashes))
    header = head + b"".join(_ENTRY.pack(*section) for section in table)
    return header + bytes.fromhex(manifest.sha256(header)), *_aligned(table, sections)


def read(file: BinaryIO) -> Program:
    """Return the program of a binary file. Raises IsaError CIM0420 to CIM0428 on damage, and as `decode_all` does."""
    header = file.read(HEADER_BYTES)
    table = _check_header(header)
    file_bytes = os.fstat(file.fileno()).st_size
    end = table[-1].offset + table[-1].length
    if end != file_bytes:
        missing = f"{end - file_bytes} missing" if end > file_bytes else f"{file_bytes - end} too many"
        raise IsaError("CIM0423", f"file has {file_bytes} bytes, its section table says {end}: {missing}")
    meta, code, constants, conductances = _read_sections(file, table)
    instructions = decode_all(code)
    facts = manifest.from_bytes(meta, len(instructions))
    if bytes.fromhex(manifest.target_hash(facts.meta)) != header[_HEAD.size - 32 : _HEAD.size]:
        raise IsaError("CIM0424", "the target inside the program does not have the hash that the header states")
    program = Program(
        instructions,
        facts.locations,
        facts.inputs,
        facts.outputs,
        constants,
        conductances,
        facts.activation_bytes,
        facts.meta,
        facts.layers,
    )
    check_layers(program)
    return program


def _table(sections: Sequence[bytes], hashes: Sequence[str]) -> list[Section]:
    table, offset = [], HEADER_BYTES
    for name, data, stated in zip(SECTIONS, sections, hashes, strict=True):
        offset = _aligned_to(ALIGNMENT[VERSION], offset)
        table.append(Section(name, offset, len(data), bytes.fromhex(stated)))
        offset += len(data)
    return table


def _aligned_to(alignment: int, offset: int) -> int:
    return -(-offset // alignment) * alignment


def _aligned(table: Sequence[Section], sections: Sequence[bytes]) -> Iterator[bytes]:
    """Yield zeros and a section in turn."""
    end = HEADER_BYTES
    for section, data in zip(table, sections, strict=True):
        yield bytes(section.offset - end)
        yield data
        end = section.offset + section.length


def _check_header(header: bytes) -> list[Section]:
    if not is_container(header):
        raise IsaError("CIM0420", "the file does not start as a binary program")
    if len(header) < HEADER_BYTES:
        raise IsaError("CIM0423", f"file ends within the header: {len(header)} bytes, wanted {HEADER_BYTES}")
    _, version, sections, isa, _ = _HEAD.unpack_from(header)
    if version not in ALIGNMENT:
        known = " and ".join(map(str, ALIGNMENT))
        raise IsaError("CIM0421", f"binary program of format version {version}, this cimc reads versions {known}")
    if manifest.sha256(header[:-_CHECKSUM_BYTES]) != header[-_CHECKSUM_BYTES:].hex():
        raise IsaError("CIM0424", "the header does not have the checksum that it states")
    check_isa(isa.hex())
    if sections != len(SECTIONS):
        raise IsaError("CIM0423", f"{sections} sections, wanted {len(SECTIONS)}")
    return _check_table(header[_HEAD.size : -_CHECKSUM_BYTES], ALIGNMENT[version])


def _check_table(table: bytes, alignment: int) -> list[Section]:
    sections, offset = [], HEADER_BYTES
    for wanted, entry in zip(SECTIONS, _ENTRY.iter_unpack(table), strict=True):
        section = Section(entry[0].rstrip(b"\0"), *entry[1:])
        offset = _aligned_to(alignment, offset)
        if section.name != wanted or section.offset != offset:
            found = f"section {section.name.decode('latin-1')!r} at byte {section.offset}"
            raise IsaError("CIM0423", f"{found}, wanted {wanted.decode()} at byte {offset}")
        sections.append(section)
        offset += section.length
    return sections


def _read_sections(file: BinaryIO, table: Sequence[Section]) -> Iterator[bytes]:
    """Yield the content of each section. Raises IsaError CIM0424 where it, or what is between, is not what it was."""
    end = HEADER_BYTES
    for section in table:
        if any(file.read(section.offset - end)):
            raise IsaError("CIM0424", f"the bytes before section {section.name.decode()} are not zero")
        yield _read_section(file, section)
        end = section.offset + section.length


def _read_section(file: BinaryIO, section: Section) -> bytes:
    data = file.read(section.length)
    if manifest.sha256(data) != section.sha256.hex():
        raise IsaError(
            "CIM0424",
            f"section {section.name.decode()} does not have the checksum that the header states",
            place=section.name.decode(),
        )
    return data
