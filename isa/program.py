"""A program: instructions with provenance, constants, conductance targets and the facts that make it self-contained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cimc.isa.table import BY_NAME, Spec

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
        for spec_field, value in zip(self.spec.fields, self.operands, strict=True):
            if spec_field.name == field_name:
                return value
        raise KeyError(f"{self.name} has no operand {field_name}")

    def choice(self, field_name: str) -> str:
        """Return the member name of an enumeration operand."""
        index: int = self[field_name]
        return self.spec.field(field_name).names[index]


def instruction(name: str, **operands: Operand | str) -> Instruction:
    """Build an instruction from operands by name, enumeration members too. Raises KeyError on a missing operand."""
    values: list[Operand] = []
    for spec_field in BY_NAME[name].fields:
        value = operands.pop(spec_field.name if spec_field.name != "in" else "in_")
        values.append(spec_field.names.index(value) if isinstance(value, str) else value)
    if operands:
        raise KeyError(f"{name} has no operand {sorted(operands)[0]}")
    return Instruction(name, tuple(values))


@dataclass(frozen=True)
class Port:
    """A model input or output in activation memory: `shape` per sample, real value = scale * (code - zero).

    Codes lie in low..high. `whole`: the input takes whole numbers, which are the codes; others are refused.
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


@dataclass(frozen=True)
class Program:
    """Everything a machine needs. `locations[i]` names the ONNX nodes of instruction i; `meta` is JSON-able.

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
