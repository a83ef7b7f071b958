"""Drift compensation of a program: as compiled (a factor per column), a factor per block, or none.

Its modes are options of the command line, so what a program is made with is imported where it is used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cimc.isa.program import Program

MODES = ("none", "block", "column")


def compensated(program: "Program", mode: str) -> "Program":
    """Return the program with its `calibrate` instructions working per column, per block, or replaced by `nop`."""
    from cimc.isa.author import Author
    from cimc.isa.program import instruction

    author, columns = Author.of(program), program.block_columns
    for index, one in enumerate(program.instructions):
        if one.name != "calibrate" or mode == "column":
            continue
        if mode == "none":
            author.instructions[index] = instruction("nop")
            continue
        count, cols = one["blocks"], columns[one["block"]]
        sums = author.constants.read(one["reference"], "i64", count * cols).reshape(count, cols).sum(axis=1)
        author.amend(index, per="block", reference=author.table(sums, "i64"))
    return author.program()
