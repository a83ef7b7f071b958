"""Drift compensation of a program: as compiled (a factor per column), a factor per block, or none."""

from cimc.backends.silicon.rewriting import Rewriter, block_columns, changed
from cimc.isa.program import Program, instruction
from cimc.isa.table import BY_NAME

MODES = ("none", "block", "column")


def compensated(program: Program, mode: str) -> Program:
    """Return the program with its `calibrate` instructions working per column, per block, or replaced by `nop`."""
    rewriter, columns = Rewriter(program), block_columns(program)
    per_block = BY_NAME["calibrate"].field("per").names.index("block")
    for index, one in enumerate(program.instructions):
        if one.name != "calibrate" or mode == "column":
            continue
        if mode == "none":
            rewriter.instructions[index] = instruction("nop")
            continue
        count, cols = one["blocks"], columns[one["block"]]
        sums = rewriter.read(one["reference"], "i8", count * cols).reshape(count, cols).sum(axis=1)
        rewriter.instructions[index] = changed(one, per=per_block, reference=rewriter.table(sums, "i8"))
    return rewriter.result()
