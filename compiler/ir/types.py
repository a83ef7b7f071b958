"""Types of the IR: integer codes with a scale, references to weights, and small readers of tensor types."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

from xdsl.dialects.builtin import Float32Type, FloatData, IntAttr, StringAttr, TensorType, f32
from xdsl.ir import Attribute, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from cimc.ir.attributes import KEPT, whole

MOST_BITS = 32
"""Of codes in memory."""
ELEMENTS = {
    "i8": (-(1 << 7), (1 << 7) - 1),
    "u8": (0, (1 << 8) - 1),
    "i16": (-(1 << 15), (1 << 15) - 1),
    "u16": (0, (1 << 16) - 1),
    "i32": (-(1 << 31), (1 << 31) - 1),
}
"""Memory element type -> its lowest and highest integer, the one to take first in front."""

Element = TypeVar("Element", bound=Attribute)


@irdl_attr_definition
class CodeType(ParametrizedAttribute, TypeAttribute):
    """Integer codes low..high, stored in `bits` bits; the real value is scale * (code - zero).

    More than 16 bits are of partial sums, which an addition takes together before the one rounding.
    """

    name = "cim.code"
    bits: IntAttr
    low: IntAttr
    high: IntAttr
    zero: IntAttr
    scale: FloatData

    @staticmethod
    def of(bits: int, low: int, high: int, zero: int, scale: float) -> "CodeType":
        return CodeType(whole(bits), whole(low), whole(high), whole(zero), FloatData(scale))

    def verify(self) -> None:
        low, high, zero, bits = self.low.data, self.high.data, self.zero.data, self.bits.data
        if not (2 <= bits <= MOST_BITS and -(1 << (bits - 1)) <= low < high < (1 << bits)):
            raise VerifyException(f"codes {low}..{high} do not fit {bits} bits (2 to {MOST_BITS})")
        if low < 0 and high >= 1 << (bits - 1):
            raise VerifyException(f"codes {low}..{high} do not fit {bits} signed bits")
        if not low <= zero <= high:
            raise VerifyException(f"zero point {zero} is outside the codes {low}..{high}")
        if not 0.0 < self.scale.data < float("inf"):
            raise VerifyException(f"scale {self.scale.data} is not a positive number")

    @property
    def element_type(self) -> str:
        """The memory element type of the instruction set: the first of ELEMENTS that holds all codes."""
        low, high = self.low.data, self.high.data
        return next(name for name, (least, most) in ELEMENTS.items() if least <= low and high <= most)

    @property
    def element_bytes(self) -> int:
        return int(self.element_type[1:]) // 8

    @property
    def dtype(self) -> str:
        """numpy's name of the element type."""
        return f"{self.element_type[0]}{self.element_bytes}"

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            bits = parser.parse_integer()
            parser.parse_punctuation(":")
            low = parser.parse_integer()
            parser.parse_punctuation(",")
            high = parser.parse_integer()
            parser.parse_punctuation(",")
            zero = parser.parse_integer()
            parser.parse_punctuation(",")
            scale = float(parser.parse_number())
        return (IntAttr(bits), IntAttr(low), IntAttr(high), IntAttr(zero), FloatData(scale))

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            parts = (self.low.data, self.high.data, self.zero.data, self.scale.data)
            printer.print_string(f"{self.bits.data} : " + ", ".join(repr(part) for part in parts))


def integer_type(low: int, high: int) -> CodeType:
    """Return codes that are the whole numbers low..high themselves, in as many bits as they need."""
    bits = max(max(high, -1 - low).bit_length() + (low < 0), 2)
    return CodeType.of(bits, low, high, min(max(0, low), high), 1.0)


@irdl_attr_definition
class WeightRef(ParametrizedAttribute):
    """A constant array beside the IR: name in the weight store, numpy dtype, shape, and in text its content hash."""

    name = "cim.weight"
    key: StringAttr
    dtype: StringAttr
    shape: StringAttr
    digest: StringAttr

    @property
    def dims(self) -> tuple[int, ...]:
        return dims_of(self.shape.data)


def dims_of(text: str) -> tuple[int, ...]:
    """Return the sizes that a shape in text says: "3x3" is (3, 3), "" a scalar. Raises ValueError."""
    return tuple(int(part) for part in text.split("x")) if text else ()


def float_tensor(shape: Sequence[int]) -> TensorType[Float32Type]:
    return tensor(f32, tuple(shape))


def code_tensor(shape: Sequence[int], code: CodeType) -> TensorType[CodeType]:
    return tensor(code, tuple(shape))


@lru_cache(KEPT)
def tensor(element: Element, shape: tuple[int, ...]) -> TensorType[Element]:
    """Return the type of a tensor per sample; equal ones are made once."""
    return TensorType(element, list(shape))


def tensor_of(value: SSAValue) -> TensorType[Attribute]:
    """Return the tensor type of a value; every value of our IR has one."""
    if not isinstance(value.type, TensorType):
        raise VerifyException(f"{value} is not a tensor")
    return value.type


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """Return the per-sample shape: the batch is never part of a type."""
    return tensor_of(value).get_shape()


def code_of(value: SSAValue) -> CodeType:
    """Return the code type of a quantised value; raises VerifyException for a float one."""
    element = tensor_of(value).element_type
    if not isinstance(element, CodeType):
        raise VerifyException(f"{value} carries {element}, not codes")
    return element


def is_quantised(value: SSAValue) -> bool:
    return isinstance(tensor_of(value).element_type, CodeType)
