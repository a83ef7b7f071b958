"""ADC, epilogue and integer division on tensors: the operations of exact.py, in the same types."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cimc.backends.plan.exact import FLOAT32, FLOAT32_LIMIT, OBJECT, Converter, Epilogue
from cimc.backends.torch_device.memory import Layout, Unsuitable
from cimc.isa.limits import ACCUMULATOR_LIMIT

FLOATS = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


def float_type(dtype: np.dtype[np.generic]) -> torch.dtype:
    """Return torch's type of the same numbers; raise Unsuitable for Python integers."""
    if dtype == OBJECT:
        raise Unsuitable
    return FLOATS[dtype]


@dataclass(frozen=True)
class TensorEpilogue:
    """An epilogue whose tables [..., 1] broadcast against terms [..., images]."""

    dtype: torch.dtype
    multipliers: tuple[Tensor, ...]
    offsets: Tensor
    low: int
    high: int

    def __call__(self, terms: Sequence[Tensor]) -> Tensor:
        """Return the results; no partial sum is rounded, in whatever order, so fused operations are welcome."""
        total = self.offsets
        for term, multiplier in zip(terms, self.multipliers, strict=True):
            total = torch.addcmul(total, term.to(self.dtype), multiplier)
        return total.round_().clamp_(self.low, self.high)


def tensor_epilogue(e: Epilogue, layout: Layout) -> TensorEpilogue:
    """Return an epilogue on the device."""
    dtype = float_type(e.dtype)
    limit = FLOAT32_LIMIT if e.dtype == FLOAT32 else ACCUMULATOR_LIMIT
    low, high = (min(max(value, -limit), limit) for value in (e.rounding.low, e.rounding.high))
    multipliers = tuple(layout.tensor(table[..., None]) for table in e.multipliers)
    return TensorEpilogue(dtype, multipliers, layout.tensor(e.offsets[..., None]), low, high)


def converted(adc: Converter, sums: Tensor) -> Tensor:
    """Return the ADC's codes of sums, which are overwritten where their type is the converter's."""
    scaled = sums.to(float_type(adc.dtype)).mul_(adc.factor)
    return (scaled.floor_() if adc.floor else scaled.round_()).clamp_(adc.low, adc.high)


def half_even(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return quotients of int64 rounded half to even; denominators are positive."""
    quotient = torch.div(numerator, denominator, rounding_mode="floor")
    twice = 2 * (numerator - quotient * denominator)
    return quotient + ((twice > denominator) | ((twice == denominator) & (quotient % 2 == 1)))


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return a matrix product, exact where sums of magnitudes stay within the bound of its type: see exactness.py."""
    return a @ b


def square_root(values: Tensor) -> Tensor:
    """Return square roots of doubles in place, rounded as IEEE 754 asks. What torch calls on processors does not so."""
    if values.device.type != "cpu":
        return values.sqrt_()
    np.sqrt(values.numpy(), out=values.numpy())
    return values
