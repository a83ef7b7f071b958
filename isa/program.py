"""A program: instructions with provenance, constants, conductance targets and the facts that make it self-contained."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from cimc.isa.errors import IsaError
from cimc.isa.names import did_you_mean
from cimc.isa.preprocessing import Preprocessing
from cimc.isa.table import BY_NAME, Field, Spec

Operand = int | tuple[int, ...]


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name and operands in table order (enumerations as their index, lists as tuples)."""

    name: str
    operands: tuple[Operand, ...] = ()

    @property
    def spec(self) -> Spec:
        return BY_NAME[self.name]

    def __getitem__(self, field_name: str) -> Any:
        places = self.spec.places
        if field_name not in places:
            raise KeyError(f"{self.name} has no operand {field_name}")
        return self.operands[places[field_name]]

    def changed(self, **operands: "Operand | str") -> "Instruction":
        """Return the instruction with some operands replaced (`in_` for `in`). Raises IsaError CIM0403."""
        names = (field.name if field.name != "in" else "in_" for field in self.spec.fields)
        return instruction(self.name, **(dict(zip(names, self.operands, strict=True)) | operands))

    def choice(self, field_name: str) -> str:
        """Return the member name of an enumeration operand."""
        index: int = self[field_name]
        return self.spec.field(field_name).names[index]


def instruction(name: str, **operands: Operand | str) -> Instruction:
    """Build an instruction from operands by name (`in_` for `in`), enumeration members too.

    Raises IsaError CIM0402 for an unknown instruction, CIM0403 for operands that are not those of its table entry.
    """
    if name not in BY_NAME:
        raise IsaError("CIM0402", f"unknown instruction {name!r}", did_you_mean(name, BY_NAME))
    fields = _fields(name)
    for operand in (*fields, *operands) if fields.keys() != operands.keys() else ():
        if operand not in operands or operand not in fields:
            found = f"operand {operand!r} is missing" if operand in fields else f"there is no operand {operand!r}"
            raise IsaError("CIM0403", f"{name}: {found}", f"its operands are {', '.join(fields)}")
    given = ((field, operands[key]) for key, field in fields.items())
    return Instruction(name, tuple(_member(name, to, one) if isinstance(one, str) else one for to, one in given))


@cache
def _fields(name: str) -> Mapping[str, Field]:
    """Return the fields of an instruction by the names that Python can take for them."""
    return {field.name if field.name != "in" else "in_": field for field in BY_NAME[name].fields}


def _member(name: str, field: Field, value: str) -> int:
    """Return the number of an enumeration's member. Raises IsaError CIM0404 for one that does not exist."""
    if value not in field.names:
        raise IsaError("CIM0404", f"{name}: {field.name}={value}, wanted one of {', '.join(field.names)}")
    return field.names.index(value)


@dataclass(frozen=True)
class Port:
    """A model input or output in activation memory: `shape` per sample, real value = scale * (code - zero).

    Codes lie in low..high. `whole`: the input takes whole numbers, which are the codes; others are refused.
    `preprocessing` makes the real values of raw data; None where nothing was said of it.
    """

    name: str
    base: int
    type: str
    shape: tuple[int, ...]
    model_shape: tuple[int, ...]
    order: tuple[int, ...]
    scale: float
    zero: int
    low: int
    high: int
    whole: bool = False
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True)
class Layer:
    """What some instructions compute: one tensor of the compiled model, for the ONNX nodes that it stands for.

    `name` is what every command calls it: `nodes[0]`, with a part behind it where that node makes several layers. The
    instructions around the body of a loop compute no tensor of their own: it is "".
    """

    name: str
    tensor: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class ArrayBlock:
    """Where a `program` instruction puts block `number`: a region of a tile, in rows and columns of its array."""

    number: int
    layer: str
    tile: int
    row: int
    col: int
    rows: int
    cols: int


@dataclass(frozen=True)
class Program:
    """Everything a machine needs. `locations[i]` says what instruction i belongs to; `meta` is JSON-able.

    With `layers`, a location is the name of one of them, or empty where an instruction serves all. Text written by hand
    may do without: then a location names anything, such as ONNX nodes.
    Port fields: `shape` is the layout in memory (channels last); the model's own per-sample shape is `model_shape`,
    and memory axis a is model axis order[a]. `meta` keys: model, target, options, ranges (written by the compiler,
    opaque here except meta["target"]).
    """

    instructions: tuple[Instruction, ...]
    locations: tuple[tuple[str, ...], ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    constants: bytes = b""
    conductances: bytes = b""
    activation_bytes: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)

    layers: tuple[Layer, ...] = ()

    @cached_property
    def payload_hashes(self) -> tuple[str, str]:
        """The SHA-256 (hexadecimal) of constants and of conductances, which may be hundreds of megabytes."""
        constants, conductances = hashlib.sha256(self.constants), hashlib.sha256(self.conductances)
        return constants.hexdigest(), conductances.hexdigest()

    @property
    def block_columns(self) -> dict[int, int]:
        """The number of columns of every block."""
        return {one["block"]: one["cols"] for one in self.instructions if one.name == "program"}

    @cached_property
    def layer_names(self) -> Mapping[str, str]:
        """The name of each layer, by the tensor that it computes."""
        return {layer.tensor: layer.name for layer in self.layers}

    @cached_property
    def _layers(self) -> Mapping[tuple[str, ...], Layer]:
        return {(layer.name,): layer for layer in self.layers}

    def layer_at(self, index: int) -> Layer | None:
        """Return the layer that an instruction belongs to; None where it serves all, or there is no table of layers."""
        return self._layers.get(self.locations[index])

    def layer_name(self, index: int) -> str:
        """Return the name of an instruction's layer; where it has none, its location or mnemonic @ its number."""
        layer = self.layer_at(index)
        return layer.name if layer else f"{(*self.locations[index], self.instructions[index].name)[0]}@{index}"

    def instructions_of(self, layer: Layer) -> tuple[int, ...]:
        """Return the numbers of the instructions of a layer, in order."""
        return tuple(index for index, location in enumerate(self.locations) if location == (layer.name,))

    @property
    def blocks(self) -> tuple[ArrayBlock, ...]:
        """Return what is programmed into the arrays, in order."""
        return tuple(self._blocks())

    @property
    def origin(self) -> Mapping[str, Any]:
        """What the program says of its making: "model" and "options"; empty for one written by hand."""
        return {key: self.meta[key] for key in ("model", "options") if key in self.meta}

    def _blocks(self) -> Iterator[ArrayBlock]:
        for index, one in enumerate(self.instructions):
            if one.name == "program":
                place = (one[name] for name in ("tile", "row", "col", "rows", "cols"))
                yield ArrayBlock(one["block"], self.layer_name(index), *place)
