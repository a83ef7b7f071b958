"""The facts of a program beside its code and payload, as canonical JSON: ports, layers, locations, memory, meta."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from itertools import groupby
from typing import Any, NamedTuple, NoReturn

from cimc.isa.documents import json_value
from cimc.isa.errors import IsaError
from cimc.isa.layers import check_layers, layer_facts, layer_from
from cimc.isa.preprocessing import Preprocessing, fault_of
from cimc.isa.program import Layer, Port, Program
from cimc.isa.table import ELEMENT_TYPES

TEXT_VERSION = 1
"""Version of program text."""

Locations = tuple[tuple[str, ...], ...]
_OPTIONAL = ("preprocessing", "whole")
"""Members that a port leaves out where they say nothing."""
_KEYS = ("activation_bytes", "inputs", "layers", "locations", "meta", "outputs")


class Manifest(NamedTuple):
    """What the JSON facts say; `locations` has one entry for each instruction, `layers` may be left out."""

    activation_bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    locations: Locations
    meta: dict[str, Any]
    layers: tuple[Layer, ...]


def canonical(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces, ASCII. Raises IsaError CIM0425 on what JSON cannot say."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise IsaError("CIM0425", f"program facts cannot be written as JSON: {error}") from None


def from_json(text: str) -> Any:
    """Return the value of JSON text. Raises OverBudget; IsaError CIM0425 on malformed text, NaN, infinities."""
    try:
        return json_value(text, "program facts", parse_constant=_no_constant, parse_float=_finite)
    except ValueError as error:
        raise IsaError("CIM0425", f"malformed JSON: {error}") from None


def sha256(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def target_hash(meta: Mapping[str, Any]) -> str:
    """Return the hexadecimal SHA-256 of the canonical JSON of meta["target"] (of null where there is none)."""
    return sha256(canonical(meta.get("target")).encode())


def to_bytes(program: Program) -> bytes:
    """Return the manifest of a program. Raises IsaError CIM0425, CIM0428 if a part of it cannot be loaded again."""
    if len(program.locations) != len(program.instructions):
        raise IsaError("CIM0425", f"{len(program.locations)} locations for {len(program.instructions)} instructions")
    check_layers(program)
    facts = {
        "activation_bytes": check_activation_bytes(program.activation_bytes),
        "inputs": [port_facts(port) for port in program.inputs],
        **({"layers": [layer_facts(layer) for layer in program.layers]} if program.layers else {}),
        "locations": [[names, len(list(run))] for names, run in groupby(program.locations)],
        "meta": dict(program.meta),
        "outputs": [port_facts(port) for port in program.outputs],
    }
    return canonical(facts).encode()


def from_bytes(data: bytes, instructions: int) -> Manifest:
    """Return what the manifest of so many instructions says. Raises IsaError CIM0425 if malformed or not canonical."""
    try:
        facts = from_json(data.decode("ascii"))
    except UnicodeDecodeError:
        raise IsaError("CIM0425", "program facts are not ASCII") from None
    if not isinstance(facts, dict) or tuple(sorted({*facts, "layers"})) != _KEYS:
        raise IsaError("CIM0425", f"program facts have other members than {', '.join(_KEYS)}")
    if canonical(facts).encode() != data:
        raise IsaError("CIM0425", "program facts are not in canonical JSON")
    if not isinstance(facts["meta"], dict):
        raise IsaError("CIM0425", f"meta is {_short(facts['meta'])}, wanted a JSON object")
    activation_bytes = check_activation_bytes(facts["activation_bytes"])
    locations = _locations(facts["locations"], instructions)
    ports = (_ports(facts["inputs"]), _ports(facts["outputs"]))
    return Manifest(activation_bytes, *ports, locations, facts["meta"], _layers(facts.get("layers")))


def check_activation_bytes(value: Any) -> int:
    """Return the value. Raises IsaError CIM0425 unless it is an integer of at least 0."""
    if type(value) is not int or value < 0:
        raise IsaError("CIM0425", f"activation bytes are {_short(value)}, wanted an integer of at least 0")
    return value


def port_facts(port: Port) -> dict[str, Any]:
    """Return a port as JSON-able members. Raises IsaError CIM0425 if one is wrong."""
    facts = {**asdict(_checked(port)), "scale": float(port.scale)}
    del facts["preprocessing"]
    if port.preprocessing is not None:
        facts["preprocessing"] = port.preprocessing.facts()
    return facts if port.whole else {name: value for name, value in facts.items() if name != "whole"}


def port_from(facts: Any) -> Port:
    """Return the port of its JSON members. Raises IsaError CIM0425 if one is missing, unknown or wrong."""
    names = [field.name for field in fields(Port)]
    if not isinstance(facts, dict) or sorted({*facts, *_OPTIONAL}) != sorted(names) or facts.get("whole") is False:
        raise IsaError("CIM0425", f"port {_short(facts)} has other members than {', '.join(names)}")
    lists = {name: tuple(facts[name]) for name in ("shape", "model_shape", "order") if isinstance(facts[name], list)}
    steps = {"preprocessing": Preprocessing.of(facts["preprocessing"])} if "preprocessing" in facts else {}
    return _checked(Port(**{**facts, **lists, **steps}))


def _checked(port: Port) -> Port:
    for name, fits, wanted in _PORT_RULES:
        if not fits(getattr(port, name)):
            raise _port_error(port, name, wanted)
    if port.low > port.high:
        raise _port_error(port, "low", f"at most high, {port.high}")
    if sorted(port.order) != list(range(len(port.model_shape))):
        raise _port_error(port, "order", f"a permutation of 0..{len(port.model_shape) - 1}")
    if port.shape != tuple(port.model_shape[axis] for axis in port.order):
        raise _port_error(port, "shape", "model_shape in the order given")
    if fault := fault_of(port.preprocessing, port.model_shape):
        raise IsaError("CIM0425", f"preprocessing of port {port.name!r}: {fault}")
    return port


def _ports(facts: Any) -> tuple[Port, ...]:
    if not isinstance(facts, list):
        raise IsaError("CIM0425", f"ports are {_short(facts)}, wanted a list")
    return tuple(port_from(port) for port in facts)


def _layers(facts: Any) -> tuple[Layer, ...]:
    """Return the table of layers; empty for a program without one, which leaves it out."""
    if facts is None:
        return ()
    if not isinstance(facts, list) or not facts or not all(isinstance(layer, list) for layer in facts):
        raise IsaError("CIM0428", f"layers are {_short(facts)}, wanted a list of lists, or nothing at all")
    return tuple(layer_from(layer) for layer in facts)


def _locations(facts: Any, instructions: int) -> Locations:
    locations: list[tuple[str, ...]] = []
    previous = None
    for run in facts if isinstance(facts, list) else [facts]:
        if not _is_run(run) or run[0] == previous:
            raise IsaError(
                "CIM0425",
                f"location run {_short(run)}, wanted [[names], count] with a count of at least 1 and new names",
            )
        if run[1] > instructions - len(locations):
            raise IsaError("CIM0425", f"locations of more than the {instructions} instructions")
        previous = run[0]
        locations += [tuple(run[0])] * run[1]
    if len(locations) != instructions:
        raise IsaError("CIM0425", f"locations of {len(locations)} instructions, wanted {instructions}")
    return tuple(locations)


def _is_run(run: Any) -> bool:
    if not isinstance(run, list) or len(run) != 2 or not isinstance(run[0], list):
        return False
    return all(isinstance(name, str) for name in run[0]) and _is_int(run[1], 1)


def _is_int(value: Any, lowest: int | None = None) -> bool:
    return type(value) is int and (lowest is None or value >= lowest)


def _is_code(value: Any) -> bool:
    return _is_int(value) and -(1 << 63) <= value < 1 << 63


def _is_counts(values: Any) -> bool:
    return isinstance(values, tuple) and all(_is_int(value, 1) for value in values)


_PORT_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("name", lambda value: isinstance(value, str), "a string"),
    ("type", lambda value: isinstance(value, str) and value in ELEMENT_TYPES, f"one of {', '.join(ELEMENT_TYPES)}"),
    ("base", lambda value: _is_int(value, 0), "an integer of at least 0"),
    ("zero", lambda value: _is_code(value), "an integer of 64 bits"),
    ("low", lambda value: _is_code(value), "an integer of 64 bits"),
    ("high", lambda value: _is_code(value), "an integer of 64 bits"),
    ("whole", lambda value: isinstance(value, bool), "true, or absent"),
    ("scale", lambda value: isinstance(value, float) and 0 < value < math.inf, "a finite float above 0"),
    ("shape", _is_counts, "a list of integers of at least 1"),
    ("model_shape", _is_counts, "a list of integers of at least 1"),
    ("order", lambda value: isinstance(value, tuple) and all(_is_int(axis, 0) for axis in value), "a list of axes"),
)


def _port_error(port: Port, name: str, wanted: str) -> IsaError:
    return IsaError("CIM0425", f"{name} of port {port.name!r} is {_short(getattr(port, name))}, wanted {wanted}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is beyond the range of a double")
    return value


def _short(value: Any, limit: int = 80) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
