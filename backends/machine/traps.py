"""Traps: a program's own faults, each with a code, the instruction and the ONNX nodes it came from."""

from collections.abc import Mapping, Sequence
from typing import Self

from cimc.isa.errors import Code

CODES: Mapping[str, Code] = {
    "CIM0500": Code(
        "unusable target",
        3,
        "The program's target lacks a fact that the machine needs, or gives it an impossible value.",
    ),
    "CIM0501": Code("address out of bounds", 3, "A stream, a table or a port reaches outside the memory it lies in."),
    "CIM0502": Code("stream undefined", 3, "An instruction uses a stream that no `tensor` has defined."),
    "CIM0503": Code("stream is read only", 3, "Windows and streams over constant memory cannot be written."),
    "CIM0504": Code(
        "window expected",
        3,
        "Pooling and depthwise convolution read windows, and a window needs a tensor whose first count is 1.",
    ),
    "CIM0505": Code("counts differ", 3, "The elements that an instruction reads, computes and writes do not match."),
    "CIM0506": Code("value does not fit", 3, "A result lies outside the element type it is written to. Nothing wraps."),
    "CIM0507": Code("loops do not match", 3, "A loop runs zero times, nests too deep, or ends without a start."),
    "CIM0508": Code("end of program reached", 3, "The machine ran past the last instruction without a `halt`."),
    "CIM0509": Code(
        "nothing to compute", 3, "A table, a window or a list of blocks is empty where one entry is the least."
    ),
    "CIM0510": Code("outside the array", 3, "A tile, row or column does not exist in the target."),
    "CIM0511": Code("block not programmed", 3, "An instruction names a block that no `program` has defined."),
    "CIM0512": Code("gain not loaded", 3, "The ADCs of a tile are used before a `gain` instruction has set them."),
    "CIM0513": Code("input outside the DAC's range", 3, "An element streamed to the array is no code of the DAC."),
    "CIM0514": Code("array sum too large", 3, "The magnitude of a sum at an ADC's input reaches 2^32."),
    "CIM0515": Code("accumulator too large", 3, "The magnitude of a sum of the digital unit reaches 2^52."),
    "CIM0516": Code("conductance too large", 3, "A device is asked for more than the target's highest level."),
    "CIM0517": Code(
        "operand out of range",
        3,
        "A multiplier, a gain or a table entry lies outside the range that the instruction allows.",
    ),
    "CIM0518": Code(
        "table index out of range",
        3,
        "`lut` meets a code that its table does not hold, or `pick` picks a vector that its group does not have.",
    ),
    "CIM0519": Code(
        "program runs too long", 5, "Its loops unroll to more instructions than the fast interpreter plans for."
    ),
    "CIM0520": Code(
        "read phases not supported",
        4,
        "The target reads its array in several phases, each rounded by the ADC on its own.",
    ),
    "CIM0521": Code(
        "too much memory needed", 5, "The program needs more memory than the interpreters allow themselves."
    ),
    "CIM0530": Code(
        "unusable noise profile",
        3,
        "A noise profile must follow the schema: every constant with value, unit and source. The built-in files are complete examples.",
    ),
    "CIM0531": Code("unknown noise", 2, "The noise profile, a source or a constant asked for does not exist."),
    "CIM0532": Code(
        "time not covered",
        2,
        "The profile knows its devices at other times only. Times count from the first read, in whole seconds, none negative.",
    ),
    "CIM0533": Code(
        "noise out of range",
        4,
        "The target or a gain has more digits than the number formats of the noise machine hold.",
    ),
    "CIM0540": Code(
        "no such device",
        2,
        "A device is named `cpu`, `torch:cpu`, `cuda` or `cuda:N`, and the last two need one that torch finds.",
    ),
    "CIM0541": Code(
        "torch is missing", 2, "Devices other than `cpu` need torch; the extra `gpu` of the distribution brings it."
    ),
    "CIM0542": Code(
        "device is not exact",
        4,
        "A device must multiply integers within the bounds of float32 and double without an error, or no bit can be promised.",
    ),
    "CIM0550": Code("input missing or unknown", 3, "The arrays given do not go by the names of the program's inputs."),
    "CIM0551": Code("input has the wrong shape", 3, "An array's size does not match the port it is given to."),
    "CIM0552": Code("input is not a number", 3, "An input holds NaN or an infinity: it has no code."),
    "CIM0553": Code("input code out of range", 3, "An input holds something else than the port's integer codes."),
}


class Trap(Exception):
    """A fault of the program: where it happened, what was found and the next step."""

    def __init__(
        self, code: str, sentence: str, hint: str = "", index: int | None = None, locations: tuple[str, ...] = ()
    ) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence
        self.hint = hint
        self.index = index
        self.locations = locations

    @property
    def status(self) -> int:
        """Exit status of a command that meets this trap."""
        return CODES[self.code].status

    def at(self, index: int, locations: Sequence[tuple[str, ...]]) -> Self:
        """Return the trap placed at an instruction of a program with these locations, unless it has a place already."""
        if self.index is None:
            self.index = index
            self.locations = locations[index] if index < len(locations) else ()
        return self

    def __str__(self) -> str:
        place = f" at instruction {self.index}" if self.index is not None else ""
        nodes = f" ({', '.join(self.locations)})" if self.locations else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"trap[{self.code}]{place}{nodes}: {self.sentence}{hint}"


class Refusal(Trap):
    """A wish that cannot be met, such as an unknown noise profile: the program is not at fault."""

    def __str__(self) -> str:
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"error[{self.code}]: {self.sentence}{hint}"
