"""The options that say what data are: --offset, --scale, --normalise, --feed and --limit."""

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cimc.command_line.numbers import count, factor, finite
from cimc.diagnostics import fail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cimc.driving.feeding import Feeding
    from cimc.isa.program import Program

Named = tuple[str, Any]
"""The name of an input, "" for all of them, and what is said of it."""

OPTIONS = ("offset", "scale", "normalise")
MEMBERS = ("mean", "std")


def add_feeding_options(parser: argparse.ArgumentParser, codes: bool = True) -> None:
    """Add the options that say what data are, and how they become what a model takes. `codes`: there is a program."""
    group = parser.add_argument_group("feeding", "real value = (((x + O) * S) - mean) / std, as kept in the program")
    group.add_argument("--offset", action="append", type=_named(finite), metavar="[INPUT=]O", help="added first")
    group.add_argument("--scale", action="append", type=_named(factor), metavar="[INPUT=]S", help="multiplied next")
    group.add_argument(
        "--normalise",
        action="append",
        nargs=2,
        type=_normalisation,
        metavar=("[INPUT=]mean=M,...", "std=D,..."),
        help="one number each, or one for each channel",
    )
    kinds = {"raw": "to be preprocessed (default)", "model": "what the float model takes"}
    kinds |= {"codes": "integer codes of the program's ports"} if codes else {}
    told = "; ".join(f"{kind}: {meaning}" for kind, meaning in kinds.items())
    group.add_argument("--feed", choices=list(kinds), default="raw", help=f"what the data are: {told}")
    group.add_argument("--limit", type=count, metavar="N", help="take the first N rows only")


def feeding_of(options: argparse.Namespace) -> "Feeding":
    """Return what the options say of the data. Raises CimcError CIM0003."""
    from cimc.driving.feeding import Feeding

    return Feeding(stated_of(options), options.feed, options.limit)


def inputs_of(program: "Program", options: argparse.Namespace) -> "dict[str, NDArray[Any]]":
    """Return the real values of --input for every port. Raises CimcError CIM0003, CIM0201 to CIM0203."""
    from cimc.driving.arrays import load_arrays
    from cimc.driving.scoring import program_inputs

    return program_inputs(program, load_arrays(options.input), feeding_of(options), options.input)


def stated_of(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what is stated of the preprocessing, by input. Raises CimcError CIM0003 for what is stated twice."""
    stated: dict[str, dict[str, Any]] = {}
    for name, member, value in _stated(options):
        if member in stated.setdefault(name, {}):
            found = f"{member} is given twice{f' for {name}' if name else ''}"
            raise fail("CIM0003", found, hint="INPUT=VALUE says it for one input")
        stated[name][member] = value
    return stated


def _stated(options: argparse.Namespace) -> Iterator[tuple[str, str, Any]]:
    for option in OPTIONS[:2]:
        for name, value in getattr(options, option) or ():
            yield name, option, value
    for pair in options.normalise or ():
        yield from _pair(pair)


def _pair(pair: list[tuple[str, str, Any]]) -> Iterator[tuple[str, str, Any]]:
    """Yield mean and std of one --normalise; the input may be named at one of them or at both."""
    names = {name for name, _, _ in pair if name}
    if sorted(member for _, member, _ in pair) != list(MEMBERS) or len(names) > 1:
        hint = "--normalise mean=0.485,0.456,0.406 std=0.229,0.224,0.225"
        raise fail("CIM0003", "--normalise takes one mean and one std of one input", hint=hint)
    for _, member, values in pair:
        yield "".join(names), member, values


def _named(number: Callable[[str], float]) -> Callable[[str], Named]:
    def value(text: str) -> Named:
        name, _, digits = text.rpartition("=")
        return name, number(digits)

    return value


def _normalisation(text: str) -> tuple[str, str, tuple[float, ...]]:
    """Return (input, "mean" or "std", numbers) of `[INPUT=]mean=M,...`."""
    name, _, numbers = text.rpartition("=")
    name, _, member = name.rpartition("=")
    if member not in MEMBERS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither mean=... nor std=...")
    return name, member, tuple((factor if member == "std" else finite)(one) for one in numbers.split(","))
