"""What every operation says that it is: a table that `--bless` rewrites; one that says nothing is refused."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import ClassVar

import pytest
from xdsl.irdl import IRDLOperation

from cimc.ir.loop import Loops
from cimc.ir.nature import AxisOrder, Described, Nature, Passes, Reads
from cimc.ir.nn import Activated, Nn

TABLE = Path(__file__).parent / "natures.txt"
RULES = [name for name, part in vars(Described).items() if callable(part) or isinstance(part, property)]
KINDS = [kind for dialect in (Nn, Loops) for kind in dialect.operations]
NATURE = Nature(reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False)


def words(value: object) -> str:
    """Return what a cell of the table says."""
    if isinstance(value, Enum):
        return value.name.lower().replace("_", " ")
    return {True: "yes", False: "-"}.get(value, str(value))  # type: ignore[call-overload,no-any-return]


def rules(kind: type[object]) -> Iterator[str]:
    """Yield the methods of Described that an operation has its own of."""
    return (name for name in RULES if not name.startswith("_") and getattr(kind, name) is not getattr(Described, name))


def row(kind: type[object]) -> list[str]:
    assert issubclass(kind, Described) and issubclass(kind, IRDLOperation)
    told = [words(getattr(kind.NATURE, name)) for name in vars(NATURE)]
    return [kind.name, *told, words(issubclass(kind, Activated)), ", ".join(rules(kind))]


def table() -> str:
    """Return all operations, one a line, in columns."""
    head = ["operation", *(name.replace("_", " ") for name in vars(NATURE)), "clamps", "rules of its own"]
    rows = [head, *map(row, KINDS)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def test_the_table_of_all_operations(bless: bool) -> None:
    if bless:
        TABLE.write_text(table())
    assert table() == TABLE.read_text(), "run pytest --bless if the new natures are right"


def test_every_value_of_every_field_is_some_operation_s() -> None:
    told = {value for kind in KINDS if issubclass(kind, Described) for value in vars(kind.NATURE).values()}
    by_method = {Reads.WEIGHTS, Reads.TABLE}
    assert told == {*Reads, *Passes, *AxisOrder, True, False} - by_method


def test_who_reads_nothing_has_no_operands() -> None:
    nothing = {kind for kind in KINDS if issubclass(kind, Described) and kind.NATURE.reads is Reads.NOTHING}
    assert nothing == {kind for kind in KINDS if not kind.get_irdl_definition().operands}  # type: ignore[attr-defined]


def test_an_operation_that_does_not_say_what_it_is_is_refused() -> None:
    with pytest.raises(TypeError, match="Mute does not say what it is: it needs a NATURE"):

        class Mute(Described):
            name = "nn.mute"


def test_an_operation_speaks_for_itself() -> None:
    class Loud(Described):
        name = "nn.loud"
        NATURE: ClassVar[Nature] = NATURE

    with pytest.raises(TypeError, match="Heir does not say"):

        class Heir(Loud):
            name = "nn.heir"


def test_a_field_left_out_is_refused() -> None:
    with pytest.raises(TypeError, match="'tied'"):
        Nature(reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO)  # type: ignore[call-arg]
