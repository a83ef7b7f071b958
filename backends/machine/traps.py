"""Traps, which are a program's own faults, and refusals of what the user asks of the machine; their codes."""

from collections.abc import Mapping, Sequence
from typing import Self

from cimc.isa.errors import BUDGET, INVALID, UNSUPPORTED, USAGE, VERSION, CimcError, Code, render
from cimc.isa.limits import ACCUMULATOR_BITS, SUM_BITS

CODES: Mapping[str, Code] = {
    "CIM0500": Code(
        "unusable target",
        INVALID,
        "The program's target lacks a fact that the machine needs, or gives it an impossible value.",
    ),
    "CIM0501": Code(
        "address out of bounds", INVALID, "A stream, a table or a port reaches outside the memory it lies in."
    ),
    "CIM0502": Code("stream undefined", INVALID, "An instruction uses a stream that no `tensor` has defined."),
    "CIM0503": Code("stream is read only", INVALID, "Windows and streams over constant memory cannot be written."),
    "CIM0504": Code(
        "window expected",
        INVALID,
        "Pooling and depthwise convolution read windows, and a window needs a tensor whose first count is 1.",
    ),
    "CIM0505": Code(
        "counts differ", INVALID, "The elements that an instruction reads, computes and writes do not match."
    ),
    "CIM0506": Code(
        "value does not fit", INVALID, "A result lies outside the element type it is written to. Nothing wraps."
    ),
    "CIM0507": Code("loops do not match", INVALID, "A loop runs zero times, nests too deep, or ends without a start."),
    "CIM0508": Code("end of program reached", INVALID, "The machine ran past the last instruction without a `halt`."),
    "CIM0509": Code(
        "nothing to compute", INVALID, "A table, a window or a list of blocks is empty where one entry is the least."
    ),
    "CIM0510": Code("outside the array", INVALID, "A tile, row or column does not exist in the target."),
    "CIM0511": Code("block not programmed", INVALID, "An instruction names a block that no `program` has defined."),
    "CIM0512": Code(
        "gain not loaded", INVALID, "The ADCs of a tile are used before a `gain` instruction has set them."
    ),
    "CIM0513": Code(
        "input outside the DAC's range", INVALID, "An element streamed to the array is no code of the DAC."
    ),
    "CIM0514": Code("array sum too large", INVALID, f"The magnitude of a sum at an ADC's input reaches 2^{SUM_BITS}."),
    "CIM0515": Code(
        "accumulator too large", INVALID, f"The magnitude of a sum of the digital unit reaches 2^{ACCUMULATOR_BITS}."
    ),
    "CIM0516": Code("conductance too large", INVALID, "A device is asked for more than the target's highest level."),
    "CIM0517": Code(
        "operand out of range",
        INVALID,
        "A multiplier, a gain or a table entry lies outside the range that the instruction allows, or `low` is above `high`.",
    ),
    "CIM0518": Code(
        "table index out of range",
        INVALID,
        "`lut` meets a code that its table does not hold, or `pick` picks a vector that its group does not have.",
    ),
    "CIM0519": Code(
        "program runs too long",
        BUDGET,
        "Its loops unroll to more instructions than the fast interpreter plans for: those that change the chip, or whose "
        "turns do not move on evenly, are planned turn by turn.",
    ),
    "CIM0520": Code(
        "read phases not supported",
        UNSUPPORTED,
        "A product is read in one, two or four phases, each rounded by the ADC on its own; unsigned ADC codes need four.",
    ),
    "CIM0521": Code(
        "too much memory needed", BUDGET, "The program needs more memory than the interpreters allow themselves."
    ),
    "CIM0530": Code(
        "unusable noise profile",
        INVALID,
        "A noise profile must follow the schema: every constant with value, unit and source. The built-in files are complete examples.",
        "`cimc noise show pcm` prints a complete one",
    ),
    "CIM0531": Code("unknown noise", USAGE, "The noise profile, a source or a constant asked for does not exist."),
    "CIM0532": Code(
        "time not covered",
        USAGE,
        "The profile knows its devices at other times only. Times count from the first read, in whole seconds, none negative.",
    ),
    "CIM0533": Code(
        "noise out of range",
        UNSUPPORTED,
        "The target or a gain has more digits than the number formats of the noise machine hold.",
    ),
    "CIM0534": Code(
        "the chip does not say this",
        UNSUPPORTED,
        "A chip file holds its devices as they were read: of the tiles that were read, each written once, from that time on. Later times need a profile that says how devices drift on from a value; one that draws them anew at each time does not.",
    ),
    "CIM0535": Code(
        "measured codes do not fit",
        INVALID,
        "Measured codes go by the layers of the program, as `cimc run --layers` writes them: whole numbers [samples, vectors, columns] that the layer can give, for the inputs that are given.",
    ),
    "CIM0540": Code(
        "no such device",
        USAGE,
        "A device is named `cpu`, `torch:cpu`, `cuda` or `cuda:N`, and the last two need one that torch finds.",
    ),
    "CIM0541": Code(
        "torch is missing", USAGE, "Devices other than `cpu` need torch; the extra `gpu` of the distribution brings it."
    ),
    "CIM0542": Code(
        "device is not exact",
        UNSUPPORTED,
        "A device must multiply integers within the bounds of float32 and double without an error, or no bit can be promised.",
    ),
    "CIM0550": Code(
        "input missing or unknown", INVALID, "The arrays given do not go by the names of the program's inputs."
    ),
    "CIM0551": Code("input has the wrong shape", INVALID, "An array's size does not match the port it is given to."),
    "CIM0552": Code("input is not a number", INVALID, "An input holds NaN or an infinity: it has no code."),
    "CIM0553": Code("input code out of range", INVALID, "An input holds something else than the port's integer codes."),
    "CIM0560": Code(
        "not a whole trace",
        INVALID,
        "A trace has a head, the samples one behind the other, and for each its records up to `end` or `trap`. The file has something else, or ends early.",
    ),
    "CIM0561": Code("other trace format", VERSION, "The trace is written in a form that this cimc does not read."),
    "CIM0562": Code(
        "traces of different things",
        INVALID,
        "Records can be compared only where both traces are of one program, target and instruction set; the hash that differs is named.",
    ),
    "CIM0563": Code(
        "no image of this",
        UNSUPPORTED,
        "An image holds what conducts the same whenever it is read. Noise that is fresh in each product, several times of one program and cells programmed anew in between are more than one image.",
    ),
    "CIM0564": Code(
        "not a whole image", INVALID, "The folder has no manifest.json of an image, or a file is another than it says."
    ),
    "CIM0565": Code("nothing of this name", USAGE, "The program has no tensor or layer of the name asked for."),
}


class Trap(CimcError):
    """A fault of the program: where it happened, what was found and the next step."""

    codes = CODES

    def __init__(
        self, code: str, message: str, hint: str = "", index: int | None = None, locations: tuple[str, ...] = ()
    ) -> None:
        super().__init__(code, message, hint)
        self.index = index
        self.locations = locations

    def at(self, index: int, locations: Sequence[tuple[str, ...]]) -> Self:
        """Return the trap placed at an instruction of a program with these locations, unless it has a place already."""
        if self.index is None:
            self.index = index
            self.locations = locations[index] if index < len(locations) else ()
        return self

    def __str__(self) -> str:
        place = f"at instruction {self.index}" if self.index is not None else ""
        nodes = f" ({', '.join(self.locations)})" if self.locations else ""
        return render(f"trap[{self.code}]", self.message, self.hint, about=place + nodes)


class Refusal(CimcError):
    """A wish that cannot be met, such as an unknown noise profile: the program is not at fault."""

    codes = CODES
