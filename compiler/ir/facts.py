"""Facts that a pass finds and leaves for later ones: attributes of operations and of the module, each of one type."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr, UnitAttr
from xdsl.ir import Attribute, Operation
from xdsl.utils.exceptions import VerifyException

from cimc.ir.attributes import floats, int_value, integer, ints, text
from cimc.ir.types import WeightRef

Value = TypeVar("Value")
Kind = TypeVar("Kind", bound=Attribute)


@dataclass(frozen=True)
class Fact(Generic[Value]):
    """A fact by the name of its attribute; `read` undoes `written` and raises VerifyException for anything else."""

    name: str
    written: Callable[[Value], Attribute]
    read: Callable[[Attribute], Value]

    def note(self, op: Operation, value: Value) -> None:
        op.attributes[self.name] = self.written(value)

    def get(self, op: Operation) -> Value | None:
        """Return the fact about an operation; None where no pass has left it."""
        found = op.attributes.get(self.name)
        return None if found is None else self.read(found)

    def of(self, op: Operation) -> Value:
        """Return the fact about an operation. Raises VerifyException where no pass has left it."""
        found = self.get(op)
        if found is None:
            raise VerifyException(f"no pass has left {self.name} on {op.name}")
        return found

    def drop(self, op: Operation) -> None:
        op.attributes.pop(self.name, None)


def _as(kind: type[Kind], attribute: Attribute) -> Kind:
    if not isinstance(attribute, kind):
        raise VerifyException(f"{attribute} is no {kind.__name__}")
    return attribute


def _numbers(attribute: Attribute) -> tuple[int | float, int | float]:
    first, second = _as(DenseArrayBase, attribute).get_values()
    return first, second


def _reals(attribute: Attribute) -> tuple[float, float]:
    low, high = _numbers(attribute)
    return float(low), float(high)


def _whole(attribute: Attribute) -> tuple[int, int]:
    first, second = _numbers(attribute)
    return int(first), int(second)


def _mark(holds: bool) -> Attribute:
    return UnitAttr()


RANGE = Fact[tuple[float, float]]("cim.range", floats, _reals)
"""On a value: the lowest and the highest real value it takes. Calibrate finds it, quantise and im2col use it up."""
WIDE_RANGE = Fact[tuple[float, float]]("cim.wide_range", floats, _reals)
"""On a value: the range of its codes where they have more bits than the DAC. Quantise uses it up."""
BITS = Fact[tuple[int, int]]("cim.bits", ints, _whole)
"""On a layer that is lowered or raised: the bits of its input and of its weights, which codes and weights say too."""
MEANS = Fact[WeightRef]("cim.means", lambda ref: ref, lambda attribute: _as(WeightRef, attribute))
"""On a depthwise layer whose taps are lowered: the mean of each channel that it reads, which its bias allows for."""
SKIP_ZEROS = Fact[bool]("cim.skip_zeros", _mark, lambda attribute: True)
"""On a layer: devices with target zero stay unprogrammed. Weight mapping asks for it, im2col makes it a property."""
AVERAGED = Fact[str]("cim.averaged", text, lambda attribute: _as(StringAttr, attribute).data)
"""On a layer whose columns stand several times: the label of their means, which was its own before weight mapping."""
APART = Fact[int]("cim.apart", integer, lambda attribute: int_value(_as(IntegerAttr, attribute)))
"""On a layer, then on its mvm with a constant row: how many copies of each column round apart (passes/dither.py)."""
ROWS = Fact[int]("cim.rows", integer, lambda attribute: int_value(_as(IntegerAttr, attribute)))
"""On a layer, then on its mvm: how often each row stands, the input's code spread over them (passes/row_copies.py)."""
EXACT = Fact[bool]("cim.exact", _mark, lambda attribute: True)
"""On a function whose results jump: its operand has the model's own codes, no approximation. Digital uses it up."""
PEAKS = Fact[WeightRef]("cim.peaks", lambda ref: ref, lambda attribute: _as(WeightRef, attribute))
"""On an mvm: the largest |array sum| of each (group, row block, column), codes x conductance, for conductance."""
SHARED_RANGE = Fact[bool]("cim.shared_range", _mark, lambda attribute: True)
"""On an mvm: all columns of a block have one conductance range."""
GAIN = Fact[tuple[int, int]]("cim.gain", ints, _whole)
"""On the module, or on each mvm where tiles have their own: the ADC's gain m / 2^k as (m, k), for conductance."""
ACTIVATION_BYTES = Fact[int]("cim.activation_bytes", integer, lambda attribute: int_value(_as(IntegerAttr, attribute)))
"""On the module: the activation memory that the schedule needs."""
