"""What one instruction says that no machine can do, whatever its streams, blocks and tables are."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from cimc.isa.encode import check_operands
from cimc.isa.errors import IsaError
from cimc.isa.limits import GAIN_LIMIT, GAIN_LOWEST, MULTIPLIER_LIMIT
from cimc.isa.program import Instruction


class Fault(NamedTuple):
    """A wrong operand: its code, the sentence, and whether it is a count of 0 where 1 is the least."""

    code: str
    message: str
    is_empty: bool = False


def operand_faults(instruction: Instruction) -> list[Fault]:
    """Return what is wrong with an instruction's operands by themselves, in the order in which machines refuse it."""
    try:
        check_operands(instruction)
    except IsaError as error:
        return [Fault(error.code, error.message)]
    return [*RULES.get(instruction.name, _nothing)(instruction), *_multipliers(instruction), *_range(instruction)]


def _nothing(_: Instruction) -> Iterator[Fault]:
    return iter(())


def _loop(at: Instruction) -> Iterator[Fault]:
    if not at["count"]:
        yield Fault("CIM0438", "loop counts 0, wanted at least 1", True)


def _tensor(at: Instruction) -> Iterator[Fault]:
    if 0 in at["shape"]:
        yield Fault("CIM0435", f"tensor of shape {at['shape']}, wanted counts of at least 1", True)


def _window(at: Instruction) -> Iterator[Fault]:
    for name in ("kernel", "stride", "dilation", "out"):
        if 0 in at[name]:
            yield Fault("CIM0436", f"window with {name} {at[name]}, wanted at least 1", True)


def _gain(at: Instruction) -> Iterator[Fault]:
    if at["multiplier"] < GAIN_LOWEST:
        yield Fault("CIM0448", f"gain multiplier {at['multiplier']}, wanted {GAIN_LOWEST}..{GAIN_LIMIT - 1}")
    if at.choice("scope") == "all" and at["tile"]:
        yield Fault("CIM0448", f"gain of every tile names tile {at['tile']}, wanted tile 0")


def _region(at: Instruction) -> Iterator[Fault]:
    if not at["rows"] or not at["cols"]:
        yield Fault("CIM0433", f"region of {at['rows']} x {at['cols']} cells, wanted at least one", True)


def _blocks(at: Instruction) -> Iterator[Fault]:
    if not at["blocks"]:
        yield Fault("CIM0445", f"{at.name} with 0 blocks, wanted at least 1", True)


def _affine(at: Instruction) -> Iterator[Fault]:
    if not at["period"]:
        yield Fault("CIM0445", "affine with period 0, wanted at least 1", True)


def _entries(at: Instruction) -> Iterator[Fault]:
    if not at["entries"]:
        yield Fault("CIM0445", f"{at.name} with a table of 0 entries, wanted at least 1", True)


def _pick(at: Instruction) -> Iterator[Fault]:
    if not at["entries"] or not at["group"]:
        yield Fault(
            "CIM0445", f"pick with {at['entries']} entries from groups of {at['group']}, wanted at least 1", True
        )


def _embed(at: Instruction) -> Iterator[Fault]:
    if not at["rows"]:
        yield Fault("CIM0445", "embed with a table of 0 rows, wanted at least 1", True)


RULES: Mapping[str, Callable[[Instruction], Iterator[Fault]]] = {
    "loop": _loop,
    "tensor": _tensor,
    "window": _window,
    "gain": _gain,
    "program": _region,
    "pattern": _region,
    "calibrate": _blocks,
    "mvm": _blocks,
    "affine": _affine,
    "lut": _entries,
    "softmax": _entries,
    "embed": _embed,
    "pick": _pick,
}
"""Instruction -> the faults that only its operands can have."""

MULTIPLIERS: Mapping[str, tuple[str, ...]] = {"add": ("ma", "mb"), "mul": ("m",), "matmul": ("m",)}
"""Instruction -> its operands that multiply sums; `div` has one that does not."""


def _multipliers(at: Instruction) -> Iterator[Fault]:
    for name in MULTIPLIERS.get(at.name, ()):
        if abs(at[name]) >= MULTIPLIER_LIMIT:
            yield Fault("CIM0437", f"multiplier {name} is {at[name]}, wanted |{name}| < {MULTIPLIER_LIMIT}")


def _range(at: Instruction) -> Iterator[Fault]:
    """Every instruction that clamps has `low` and `high`, and the empty range clamps to nothing."""
    if any(field.name == "low" for field in at.spec.fields) and at["low"] > at["high"]:
        yield Fault("CIM0445", f"low is {at['low']}, above high, {at['high']}")
