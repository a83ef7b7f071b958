"""What an operation is: facts that passes ask for, so that they need not know the operation by name.

Every operation of `nn` and `loop` declares one record `NATURE`. What depends on more than the kind of the operation is
a method here that a few operations override.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar

from xdsl.ir import Operation

from cimc.ir.types import CodeType, WeightRef


class Reads(Enum):
    """Which codes an operation wants its operands to have."""

    WIDE = auto()
    """16 bits: the digital unit reads them at no cost but memory."""
    WEIGHTS = auto()
    """As WIDE, but what comes of them only weighs other values, for which fewer bits do."""
    TABLE = auto()
    """As NARROW, but with as many bits at least as a table needs that is steep or runs again and again."""
    NARROW = auto()
    """The bits of the target's DAC; in the digital unit those of a byte at least."""
    INDEX = auto()
    """As NARROW, but more bits stay as they are: rounded numbers would mean other rows."""
    PASSED = auto()
    """What the readers of the result want."""
    NOTHING = auto()
    """It has no operands of its own."""


class Passes(Enum):
    """Which codes the result has that the operands have."""

    NO = auto()
    """The result has codes of its own."""
    PARTS = auto()
    """The result's codes are given to all parts that it is made of."""
    CODES = auto()
    """The result has the codes of the one operand, but where the model fixes those, it does not fix these."""
    CODES_AND_FIXED = auto()
    """The result has the codes of the one operand, those that the model fixes as well."""


class AxisOrder(Enum):
    """What becomes of an operation whose operands have their axes in another order."""

    ANY = auto()
    """It is the same operation: it works element by element."""
    TURNED = auto()
    """It is the same with its constants and axes turned (passes/layout/movable.py)."""
    LAST_STAYS = auto()
    """It is the same as long as the last axis stays the last."""
    NO = auto()
    """Its axes mean something."""


@dataclass(frozen=True, kw_only=True)
class Nature:
    """What an operation is, whatever its operands and properties are.

    `writes_any_codes`: the result can be computed in any codes. `tied`: the codes of operands and result cannot be
    changed for one of them alone.
    """

    reads: Reads
    writes_any_codes: bool
    passes: Passes
    order: AxisOrder
    tied: bool

    @property
    def hands_codes_on(self) -> bool:
        """Whether operands and result have the same codes."""
        return self.passes is not Passes.NO

    @property
    def keeps_codes(self) -> bool:
        """Whether the result has the codes of the one operand, whatever they are."""
        return self.passes in (Passes.CODES, Passes.CODES_AND_FIXED)


class Described:
    """An operation that says what it is; its class is refused where it does not."""

    NATURE: ClassVar[Nature]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in vars(cls) and "NATURE" not in vars(cls):
            raise TypeError(f"{cls.__name__} does not say what it is: it needs a NATURE (compiler/ir/nature.py)")

    def reads(self, in_loop: bool, only_weighs: bool) -> Reads:
        """Return what operands it wants where it stands, in the body of a loop or not.

        `only_weighs`: its result, moved, is read by products with matrices alone.
        """
        return self.NATURE.reads

    @property
    def is_tied(self) -> bool:
        return self.NATURE.tied

    @property
    def is_whole(self) -> bool:
        """Whether every result is an integer."""
        return False

    @property
    def is_no_finer(self) -> bool:
        """Whether the result is a sum or a cut of the operands: codes much finer than theirs hold nothing more."""
        return False

    @property
    def can_hide(self) -> bool:
        """Whether the result may hold what stands for minus infinity; a softmax gives that no weight."""
        return False

    @property
    def known_range(self) -> tuple[float, float] | None:
        """The real values that the result lies between, whatever the data are; None where they decide."""
        return None

    @property
    def known_values(self) -> WeightRef | None:
        """The constant that holds every value which the result can have."""
        return None

    @property
    def own_code(self) -> CodeType | None:
        """The codes that the model fixes for the result."""
        return None

    @property
    def asked_code(self) -> CodeType | None:
        """The codes that the model fixes for the operand."""
        return None

    def can_write(self, code: CodeType) -> bool:
        """Say whether the result can have codes that the model fixes."""
        return True


def described(op: Operation) -> Described:
    """Return an operation as one that says what it is. Raises TypeError for those of the tile IR."""
    if not isinstance(op, Described):
        raise TypeError(f"{op.name} has no nature: it stands for one way of the machine to compute")
    return op
