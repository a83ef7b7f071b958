"""Checks of a program's static facts, which both interpreters make in operand order."""

from collections.abc import Iterable, Mapping

from cimc.backends.machine.traps import Trap
from cimc.isa.budgets import require
from cimc.isa.limits import MULTIPLIER_BITS, MULTIPLIER_LIMIT, ROOT_BITS, ROOT_LIMIT
from cimc.isa.operands import Fault, operand_faults
from cimc.isa.program import Instruction, Program
from cimc.isa.streams import StreamState
from cimc.isa.table import LOOP_DEPTH

MEMORY_BUDGET = 1 << 32
"""Bytes that an interpreter allocates for one purpose at most."""

MEMORIES = {"act": "activation memory", "const": "constant memory"}


def operands(program: Program) -> None:
    """Trap at the first instruction whose operands are wrong by themselves: nothing has run then."""
    for index, instruction in enumerate(program.instructions):
        for fault in operand_faults(instruction):
            raise Trap(_trap_code(instruction, fault), fault.message).at(index, program.locations)


def few_enough(program: Program) -> None:
    """Raise OverBudget where the loops of a program retire more instructions than a sample is granted."""
    require("instructions", retired(program), "instructions that the program retires for each sample")


def retired(program: Program) -> int:
    """Return how many instructions are executed at most: each as often as the loops around it turn."""
    turns, total = [1], 0
    for instruction in program.instructions:
        total += turns[-1]
        if instruction.name == "loop":
            turns.append(turns[-1] * instruction["count"])
        elif instruction.name == "endloop" and len(turns) > 1:
            turns.pop()
    return total


def _trap_code(instruction: Instruction, fault: Fault) -> str:
    if instruction.name == "loop":
        return "CIM0507"
    return "CIM0509" if fault.is_empty else "CIM0517"


def inside(low: int, high: int, size: int, memory: str) -> None:
    """Trap unless bytes low..high - 1 lie in a memory of `size` bytes."""
    if low < 0 or high > size:
        raise Trap("CIM0501", f"bytes {low} to {high - 1} of {memory} are named, it has {size} bytes")


def defined(streams: Mapping[int, StreamState], number: int) -> StreamState:
    """Return a stream; trap where no `tensor` has defined it."""
    if number not in streams:
        raise Trap("CIM0502", f"stream s{number} has not been defined", "a `tensor` instruction comes first")
    return streams[number]


def readable(state: StreamState, sizes: Mapping[str, int]) -> None:
    """Trap unless everything within the stream's extent lies in its memory."""
    inside(*state.extent(), sizes[state.space], MEMORIES[state.space])


def writable(state: StreamState, sizes: Mapping[str, int]) -> None:
    """Trap unless the stream can be written and lies in activation memory."""
    if state.space != "act" or state.window:
        kind = "a window" if state.window else "over constant memory"
        raise Trap("CIM0503", f"the stream written is {kind}", "write through a plain tensor in activation memory")
    readable(state, sizes)


def windowable(state: StreamState) -> None:
    """Trap unless the tensor reads as (1, height, width, channels)."""
    if state.shape[0] != 1:
        raise Trap("CIM0504", f"a window is laid over a tensor of shape {state.shape}, the first count must be 1")


def windowed(state: StreamState) -> None:
    """Trap unless the stream is a window."""
    if state.window is None:
        raise Trap("CIM0504", "the stream read is no window", "a `window` instruction comes first")


def plain(state: StreamState) -> None:
    """Trap unless the stream is a tensor, which has matrices, without a window."""
    if state.window:
        raise Trap("CIM0504", "the stream read is a window, matrices are read from a plain tensor")


def products(a: StreamState, b: StreamState, out: StreamState) -> None:
    """Trap unless a (.., rows, K), b (.., columns, K) and out (.., rows, columns) fit as matrix products."""
    plain(a)
    plain(b)
    for axis in (0, 1, 3):
        count(f"axis {axis} of the second operand", b.shape[axis], a.shape[axis])
    for axis, wanted in enumerate((*a.shape[:3], b.shape[2])):
        count(f"axis {axis} of the output", out.shape[axis], wanted)


def variance(value: int) -> None:
    """Trap unless a normalisation's sum W stays below its limit."""
    if value >= ROOT_LIMIT:
        found = f"the sum under the root holds {value}, below 2^{ROOT_BITS} is needed"
        raise Trap("CIM0515", found, "narrower input codes")


def epsilon(value: int) -> None:
    """Trap unless a normalisation's E is 0 or more."""
    if value < 0:
        raise Trap("CIM0517", f"epsilon is {value}, 0 is the least")


def count(what: str, found: int, wanted: int) -> None:
    """Trap unless two counts agree; `what` names the one found."""
    if found != wanted:
        raise Trap("CIM0505", f"{what} has {found} elements, {wanted} are needed")


def fits(state: StreamState, low: int, high: int) -> None:
    """Trap unless values low..high fit the stream's element type."""
    if low < state.lowest or high > state.highest:
        value = low if low < state.lowest else high
        raise Trap(
            "CIM0506",
            f"the value {value} does not fit {state.type} ({state.lowest} to {state.highest})",
            "tighten the clamp",
        )


def loop(depth: int) -> None:
    """Trap unless a loop with `depth` loops around it nests no deeper than the machine can."""
    if depth >= LOOP_DEPTH:
        raise Trap("CIM0507", f"a loop lies in {depth} others, {LOOP_DEPTH - 1} are the most")


def endloop(depth: int) -> None:
    """Trap unless there is a loop to end."""
    if not depth:
        raise Trap("CIM0507", "`endloop` has no `loop` before it")


def multipliers(values: Iterable[int]) -> None:
    """Trap unless every multiplier M is below its limit in magnitude."""
    for value in values:
        if abs(value) >= MULTIPLIER_LIMIT:
            raise Trap("CIM0517", f"the multiplier {value} reaches 2^{MULTIPLIER_BITS} in magnitude")


def exponentials(values: Iterable[int]) -> None:
    """Trap unless a softmax table is all >= 0 with its first entry above 0."""
    for position, value in enumerate(values):
        if value < (position == 0):
            raise Trap(
                "CIM0517",
                f"entry {position} of the table of exponentials is {value}, {int(position == 0)} is the least",
            )


def targets(values: Iterable[int], highest: int) -> None:
    """Trap unless every device target is within the target's levels."""
    for value in values:
        if abs(value) > highest:
            raise Trap(
                "CIM0516",
                f"a device is asked for {abs(value)}, the highest level is {highest}",
                "values are in units of 2^-F levels",
            )


def entry(code: int, first: int, entries: int) -> None:
    """Trap unless a look-up table that starts at code `first` holds the code."""
    if not first <= code < first + entries:
        raise Trap("CIM0518", f"the code {code} is looked up, the table holds {first} to {first + entries - 1}")


def picks(values: Iterable[int], group: int) -> None:
    """Trap unless every vector number of a `pick` lies within its group."""
    for value in values:
        if not 0 <= value < group:
            raise Trap("CIM0518", f"vector {value} of a group is picked, it has 0 to {group - 1}")


def affordable(what: str, size: int) -> None:
    """Trap unless `size` bytes are within the budget."""
    if size > MEMORY_BUDGET:
        raise Trap("CIM0521", f"{what} would take {size} bytes, the interpreters allow {MEMORY_BUDGET}")
