"""Where, and choices that hide scores from a softmax."""

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.lowering import Lowering
from cimc.ir import build
from cimc.ir.nn import HIDDEN


def where(at: Lowering) -> SSAValue:
    """Operands may be constants, infinite ones too: the passes see whether a softmax hides them."""
    c, a, b = (at.operand(index) for index in range(3))
    return at.add(build.select(c, a, b, at.label))


def hidden(at: Lowering, keep: SSAValue, x: SSAValue, suffix: str) -> SSAValue:
    """Return x where `keep` is not zero, elsewhere what a softmax gives no weight."""
    nothing = at.add(build.constant(at.weight(np.array(HIDDEN), f"{at.label}.hidden"), at.helper(f"{suffix}.hidden")))
    return at.add(build.select(keep, x, nothing, at.helper(suffix), hides=True))
