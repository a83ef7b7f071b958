"""Errors below all layers: exit statuses, the layout, the base of every error and warning; and the codes of programs."""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from cimc.isa.limits import MULTIPLIER_BITS
from cimc.isa.names import shown, shown_lines

FAILED, USAGE, INVALID, UNSUPPORTED, BUDGET, VERSION, INTERNAL, INTERRUPTED = 1, 2, 3, 4, 5, 6, 70, 130
"""Exit statuses; 0 is success, FAILED a comparison that found a difference, INTERNAL a bug of ours."""


LONGEST_HINT = 4000
"""Characters beyond which the middle of a hint is left out."""


class Code(NamedTuple):
    """What a code stands for: a title, the exit status of the command line, and a paragraph for `cimc explain`.

    `hint` is the next step where an error of the code names none of its own.
    """

    title: str
    status: int
    explanation: str
    hint: str = ""


def render(head: str, message: str, hint: str = "", place: str = "", about: str = "") -> str:
    """Return what people read of an error, a trap or a warning.

    `head` is error[CIM0403] or the like, `place` where in a file (name:line:column, as editors find it), `about` the
    node, instruction or input at fault, `message` what was found and what was wanted, `hint` the next step.
    """
    place = f"{shown(place)}: " if place else ""
    about = f" {shown(about)}" if about else ""
    return f"{place}{head}{about}: {_with_hint(message, hint)}"


def _with_hint(message: str, hint: str) -> str:
    return f"{shown_lines(message)}\n  hint: {shown(hint, LONGEST_HINT)}" if hint else shown_lines(message)


class CimcError(Exception):
    """The base of all that cimc raises by intent: the fault of a user or of a program, with a code; never a bug of ours."""

    codes: ClassVar[Mapping[str, Code]]
    """The codes of the layer that raises it."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)
        self.code = code
        self.message = message
        self.hint = hint or self.codes[code].hint

    @property
    def status(self) -> int:
        """Exit status of a command that meets this error."""
        return self.codes[self.code].status

    def __str__(self) -> str:
        return render(f"error[{self.code}]", self.message, self.hint)


class CimcWarning(UserWarning):
    """What is probably not meant, but no error: given to `warnings.warn`; `code` and `hint` where there are any."""

    def __init__(self, message: str, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint, code)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return _with_hint(self.message, self.hint)

    def render(self) -> str:
        """Return the lines that the command line prints."""
        return render(f"warning[{self.code}]" if self.code else "warning", self.message, self.hint)


def _invalid(title: str, explanation: str, hint: str = "") -> Code:
    return Code(title, INVALID, explanation, hint)


CODES: Mapping[str, Code] = {
    "CIM0401": _invalid(
        "program text does not follow the grammar",
        "One directive or instruction stands on each line; operands are written name=value, separated by commas, in the order of the ISA manual. "
        "Comments start with a semicolon. The message names the line, the column, what stands there and what may stand there.",
    ),
    "CIM0402": _invalid(
        "unknown instruction or directive",
        "The first word of a line is neither an instruction of this instruction set nor a directive. `python -m cimc.isa.manual` lists all instructions.",
    ),
    "CIM0403": _invalid(
        "wrong operand",
        "An instruction carries exactly the operands of its table entry, in that order: one is missing, misspelt, given twice or out of order here.",
    ),
    "CIM0404": _invalid(
        "operand out of range",
        "The value does not fit the operand's bit field, or is not of its kind (a stream s0..s15, a block, an integer, a list, an enumeration member). "
        "The ISA manual gives the width and the sign of every field.",
    ),
    "CIM0405": _invalid(
        "wrong program header",
        "A directive of the header is missing, given twice, or its content is not what it has to be. `.cimc 1` is the first line; "
        "lines with hashes may be left out in text written by hand and are then not checked.",
    ),
    "CIM0410": _invalid(
        "unassigned opcode",
        "Bits 0 to 7 of the instruction word name no instruction. Either the file is damaged, or it is not a program of this instruction set.",
    ),
    "CIM0411": _invalid(
        "enumeration out of range",
        "An enumeration field of the instruction word holds a number that has no member. Unassigned encodings are refused, never ignored.",
    ),
    "CIM0412": _invalid(
        "unused bits are not zero",
        "Every bit of an instruction word that belongs to no operand has to be zero, so that each instruction has exactly one encoding.",
    ),
    "CIM0413": _invalid(
        "wrong size of an instruction word",
        "Instruction words have 32 bytes each; the code given is not a whole number of them.",
    ),
    "CIM0420": _invalid(
        "not a cimc program",
        "The file is neither a binary program (.cimb) nor program text, which starts with the line `.cimc 1`.",
        "`cimc compile` writes programs",
    ),
    "CIM0421": Code(
        "other format version",
        VERSION,
        "The program is written in a version of the file format that this cimc does not read. Compile the model again, or use the cimc that wrote it.",
    ),
    "CIM0422": Code(
        "other instruction set",
        VERSION,
        "The program states the hash of the instruction set it was made for, and that is not the one of this cimc: encodings or meanings may differ. "
        "Compile the model again, or use the cimc that wrote it.",
    ),
    "CIM0423": _invalid(
        "damaged program file",
        "The file's length and its section table do not fit together: bytes are missing, bytes follow the end, or a section lies where it must not.",
    ),
    "CIM0424": _invalid(
        "wrong checksum",
        "A part of the program does not have the SHA-256 that the file states: it was changed or damaged after it was written. "
        "Who means the change loads without the checksum (in text: remove the hash line) and saves again, which recomputes all of them.",
    ),
    "CIM0425": _invalid(
        "wrong program facts",
        "The JSON facts of a program (ports, locations, activation memory, meta) have a missing, unknown or malformed member.",
    ),
    "CIM0426": _invalid(
        "wrong payload file",
        "Program text keeps constants and conductances in a payload file beside it. That file is missing, has another size, or a name that is not a plain file name.",
    ),
    "CIM0427": _invalid(
        "program and payload would share a name",
        "Program text is saved as two files, NAME and its payload; the name chosen for the text is the payload's. Choose a name that ends in .asm.",
    ),
    "CIM0428": _invalid(
        "wrong table of layers",
        "A program's `.layer` lines name each layer with its ONNX nodes and its tensor, and `.loc` says which layer instructions belong to. "
        "Names and tensors are unique, every instruction on blocks belongs to one layer, every layer has instructions, and a block has one layer.",
    ),
    "CIM0430": _invalid(
        "access outside memory",
        "A stream or a table reaches below address 0 or beyond the end of activation memory, constants or conductances. Windows count with the taps that lie inside the tensor.",
    ),
    "CIM0431": _invalid(
        "stream used before it is defined", "Streams s0 to s15 hold nothing until a `tensor` instruction defines them."
    ),
    "CIM0432": _invalid(
        "block used before it is programmed",
        "Array reads need blocks that an earlier `program` instruction defined in this run.",
    ),
    "CIM0433": _invalid(
        "region outside the array",
        "A block, a pattern or a single cell lies outside the tile's rows and columns, or on a tile the target does not have (meta target.array).",
    ),
    "CIM0434": _invalid(
        "live blocks overlap",
        "A block was programmed onto devices that another block still uses. Programming a block number again frees its old region.",
    ),
    "CIM0435": _invalid(
        "shapes of streams do not match",
        "The vectors and elements of an instruction's streams do not fit together, or do not fit the blocks or tables: the ISA manual gives the rule of each instruction.",
    ),
    "CIM0436": _invalid(
        "wrong window",
        "A window reads a tensor of shape (1, height, width, channels), its kernel, stride and dilation are at least 1, its fill code fits the element type; "
        "windows are read only.",
    ),
    "CIM0437": _invalid(
        "multiplier out of range",
        f"Multipliers M are stored as 32-bit integers with |M| < 2^{MULTIPLIER_BITS}, so that every sum stays exact.",
    ),
    "CIM0438": _invalid(
        "wrong loop", "Each `loop` has its `endloop`, counts at least 1, and loops nest at most four deep."
    ),
    "CIM0439": _invalid("no halt at the end", "The last instruction of a program is `halt`, and no other is."),
    "CIM0440": _invalid(
        "memory read before it is written",
        "Activation memory holds nothing but the inputs until an instruction writes it.",
    ),
    "CIM0441": _invalid("output never written", "Some bytes of an output port are written by no instruction."),
    "CIM0442": _invalid(
        "overlapping write",
        "Within one instruction, an element is written twice, or memory is written that the same instruction reads at another position: the result would depend on the order.",
    ),
    "CIM0443": _invalid(
        "capacity exceeded",
        "The program needs more activation or constant memory than its target has (meta target.memory).",
    ),
    "CIM0444": _invalid(
        "constants written", "The constant memory is read only: no instruction may have it as its output stream."
    ),
    "CIM0445": _invalid(
        "wrong table or range", "A table is too short or has impossible entries, low is above high, or a count is zero."
    ),
    "CIM0446": _invalid(
        "tables do not cover the codes",
        "A look-up table has no entry for some codes that the element type of its input can hold.",
    ),
    "CIM0447": _invalid(
        "lint stopped early",
        "The program runs more steps, or uses more memory, than the linter walks; what lies beyond was not checked.",
    ),
    "CIM0448": _invalid("wrong gain", "An ADC gain has a normalised multiplier: m is 2^15 or more."),
}


class IsaError(CimcError):
    """A fault in the text or bytes of a program; `place` says where."""

    codes = CODES

    def __init__(self, code: str, message: str, hint: str = "", place: str = "") -> None:
        super().__init__(code, message, hint)
        self.place = place

    def at(self, place: str) -> "IsaError":
        """Return the same error at another place."""
        return IsaError(self.code, self.message, self.hint, place)

    def __str__(self) -> str:
        return render(f"error[{self.code}]", self.message, self.hint, self.place)
