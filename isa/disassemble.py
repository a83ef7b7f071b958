"""Programs as canonical text: header, locations, one instruction a line."""

from collections.abc import Iterator

from cimc.isa.encode import encode_all, isa_hash
from cimc.isa.errors import IsaError
from cimc.isa.grammar import positional
from cimc.isa.layers import layer_facts
from cimc.isa.manifest import TEXT_VERSION, canonical, port_facts, sha256, target_hash, to_bytes
from cimc.isa.program import Instruction, Operand, Program
from cimc.isa.table import WORD_BYTES, Field


def render(program: Program, payload_name: str = "") -> str:
    """Return the text of a program whose constants and conductances lie in the file `payload_name` beside it.

    Raises IsaError on a program that cannot be encoded, and CIM0426 on payload without a name.
    """
    return "\n".join((*_header(program, payload_name), *_body(program), ""))


def listing(program: Program) -> Iterator[str]:
    """Yield the instructions as text, each behind its number and its byte address in the code section."""
    index = 0
    for line in _body(program):
        if line.startswith(".loc"):
            yield line
            continue
        yield f"{index:5}  {index * WORD_BYTES:05x}  {line.strip()}"
        index += 1


def render_instruction(instruction: Instruction) -> str:
    """Return one instruction as text, without indentation."""
    spec = instruction.spec
    operands = [
        f"{field.name}={_value(field, operand)}"
        for field, operand in zip(spec.fields, instruction.operands, strict=True)
    ]
    if positional(spec):
        operands[0] = operands[0].partition("=")[2]
    return f"{spec.name} {', '.join(operands)}" if operands else spec.name


def _header(program: Program, payload_name: str) -> Iterator[str]:
    if (program.constants or program.conductances) and not payload_name:
        raise IsaError("CIM0426", "program with constants or conductances, and no name for its payload file")
    code, facts = encode_all(program.instructions), to_bytes(program)
    yield f".cimc {TEXT_VERSION}"
    yield f".isa {_hash(isa_hash())}"
    yield f".target {_hash(target_hash(program.meta))}"
    yield f".manifest {_hash(sha256(facts))}"
    for key in sorted(program.meta):
        yield f".meta {canonical(key)} {canonical(program.meta[key])}"
    for port in program.inputs:
        yield f".input {canonical(port_facts(port))}"
    for port in program.outputs:
        yield f".output {canonical(port_facts(port))}"
    for layer in program.layers:
        yield " ".join((".layer", *map(canonical, layer_facts(layer))))
    yield f".activation {program.activation_bytes}"
    if program.constants or program.conductances:
        yield f".payload {canonical(payload_name)}"
        constants, conductances = program.payload_hashes
        yield f".constants {len(program.constants)} {_hash(constants)}"
        yield f".conductances {len(program.conductances)} {_hash(conductances)}"
    yield f".code {_hash(sha256(code))}"


def _body(program: Program) -> Iterator[str]:
    previous: tuple[str, ...] = ()
    for instruction, location in zip(program.instructions, program.locations, strict=True):
        if location != previous:
            yield " ".join((".loc", *map(canonical, location)))
        previous = location
        yield f"    {render_instruction(instruction)}"


def _hash(hexadecimal: str) -> str:
    return f'"sha256:{hexadecimal}"'


def _value(field: Field, operand: Operand) -> str:
    if isinstance(operand, tuple):
        return f"[{', '.join(map(str, operand))}]"
    if field.names:
        return field.names[operand]
    return f"0x{operand:x}" if field.hexadecimal else f"{field.prefix}{operand}"
