"""Slices: a layer's input in two digits that the DAC takes, its weights in two matrices, joined by one rounding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from cimc.diagnostics import fail
from cimc.ir.attributes import Integer, integers, text
from cimc.ir.graph import Graph, users
from cimc.ir.nn import Computed
from cimc.ir.types import MOST_BITS, CodeType, WeightRef, code_of, code_tensor, shape_of
from cimc.ir.xbar import AddOp, AffineOp, MvmOp
from cimc.passes.code_types import WIDE_BITS, bounds
from cimc.passes.requantise import Integers, clamp_of, multipliers, rounding_of

COARSE_TOP = 127
"""Steps a polarity of the coarse one of two matrices: the array holds each of them as a whole number of units."""
PARTIAL_TOP = (1 << (MOST_BITS - 1)) - 1
"""The largest partial sum that activation memory holds."""
PARTIAL_BITS = MOST_BITS - 2
"""Of partial sums in memory: one is the sign's, one is left for drift factors above 1."""
PARTIAL_SHIFT = 16
"""Bits behind the point of a partial sum before conductances say how many there are (passes/conductance.py)."""


@dataclass(frozen=True)
class Digits:
    """Codes x = radix h + l with |h| <= high and |l| <= low; an odd radix, so that x / radix is never a tie."""

    high: int
    low: int

    @property
    def radix(self) -> int:
        return 2 * self.low + 1

    @property
    def most(self) -> int:
        """The largest code."""
        return self.radix * self.high + self.low

    @property
    def inverse(self) -> tuple[Integers, int]:
        """M [1] and k with round(x M / 2^k) = round(x / radix) for every code x."""
        return multipliers(np.array([1.0 / self.radix]), "digits")

    def code(self, like: CodeType) -> CodeType:
        """Return codes with zero at zero that reach as far as others."""
        low, high = bounds(like)
        most = self.most
        reach = max(-low, high)
        return CodeType.of(most.bit_length() + 1, -most if low < 0.0 else 0, most if high > 0.0 else 0, 0, reach / most)


def digits_of(bits: int, each: int) -> Digits:
    """Return the two digits of codes of more than `each` bits, no digit of more. Raises CimcError CIM0305."""
    if not each < bits <= 2 * each:
        message = f"{bits} bits are not two slices of at most {each}"
        raise fail("CIM0305", message, hint=f"ask for {each + 1} to {2 * each} bits; ranges are for one target")
    return Digits((1 << (each - 1)) - 1, (1 << (bits - each - 1)) - 1)


def in_slices(graph: Graph, op: MvmOp, digits: Digits | None, coarse: bool) -> list[Computed]:
    """Return what computes a layer from the digits of its input, and with `coarse` from two matrices; the sum is last.

    Each digit is read by the blocks of the same matrix. The bias is in the first product, the zero point of the result
    and its clamp are in the sum.
    """
    split = _split(graph, op, digits) if digits else []
    inputs: list[SSAValue] = [one.out for one in split] or [op.x]
    products: list[Computed] = []
    for name, (weight, steps) in _matrices(graph, op, coarse).items():
        owner = ""
        for number, x in enumerate(inputs):
            label = f"{op.label.data}.{name}{'.low' if number else '.high' if digits else ''}"
            made = _product(graph, op, x, label, weight, steps)
            if number:
                made.properties["shares"] = text(owner)
            owner = owner or label
            products.append(made)
    products[0].properties["bias"] = op.properties["bias"]
    return [*split, *products, *_summed(op, products)]


def _split(graph: Graph, op: MvmOp, digits: Digits) -> list[Computed]:
    """Return the operations that give the high and the low digits of a layer's input."""
    code, shape, label = code_of(op.x), shape_of(op.x), op.label.data
    multiplier, shift = digits.inverse
    high = AffineOp.create(
        operands=[op.x],
        result_types=[code_tensor(shape, _digit(code, digits.high, code.scale.data * digits.radix))],
        properties={
            "label": text(f"{label}.digits.high"),
            **rounding_of(graph, f"{label}.digits", multiplier, np.zeros(1, np.int64), shift),
            **clamp_of(_digit(code, digits.high, 1.0)),
        },
    )
    low_code = CodeType.of(code_of(high.out).bits.data, -digits.low, digits.low, 0, code.scale.data)
    low = AddOp.create(
        operands=[op.x, high.out],
        result_types=[code_tensor(shape, low_code)],
        properties={
            "label": text(f"{label}.digits.low"),
            **integers(ma=1, mb=-digits.radix, bias=0, shift=0),
            **clamp_of(low_code),
        },
    )
    return [high, low]


def _digit(code: CodeType, top: int, scale: float) -> CodeType:
    """Return the codes of the high digit: of the signs that the codes have which it is of."""
    low, high = -top if code.low.data < 0 else 0, top if code.high.data > 0 else 0
    return CodeType.of(top.bit_length() + 1, low, high, 0, scale)


def _matrices(graph: Graph, op: MvmOp, coarse: bool) -> dict[str, tuple[WeightRef, WeightRef | None]]:
    """Return the matrices that a layer's is the sum of, with the steps of their weights: one, or steps and rest."""
    assert op.weight is not None
    if not coarse:
        return {"product": (op.weight, op.steps)}
    label, weight = op.label.data, graph.weights.reals(op.weight)
    largest = np.abs(weight).max(axis=1)
    steps = np.where(largest > 0.0, largest, 1.0) / COARSE_TOP
    whole = (np.rint(weight / steps[:, np.newaxis]) * steps[:, np.newaxis]).astype(np.float32)
    return {
        "coarse": (graph.weights.add(f"{label}.coarse", whole), graph.weights.add(f"{label}.steps", steps)),
        "fine": (graph.weights.add(f"{label}.fine", (weight - whole).astype(np.float32)), None),
    }


def _product(graph: Graph, op: MvmOp, x: SSAValue, label: str, weight: WeightRef, steps: WeightRef | None) -> MvmOp:
    """Return the product of a digit and a matrix as a partial sum without bias."""
    partial = partial_code(code_of(op.out), PARTIAL_SHIFT)
    none = np.zeros(op.matrix[0] * op.matrix[2])
    kept = {name: value for name in ("window", "skip_zeros") if (value := op.properties.get(name)) is not None}
    bias = graph.weights.add(f"{label}.bias", none)
    properties = {"label": text(label), "weight": weight, "bias": bias, **clamp_of(partial), **kept}
    if steps is not None:
        properties["steps"] = steps
    return MvmOp.create(operands=[x], result_types=[code_tensor(shape_of(op.out), partial)], properties=properties)


def partial_code(code: CodeType, shift: int) -> CodeType:
    """Return codes of partial sums with so many bits behind the point of the codes that they are rounded to."""
    return CodeType.of(MOST_BITS, -PARTIAL_TOP, PARTIAL_TOP, 0, code.scale.data * 2.0**-shift)


def _summed(op: MvmOp, products: Sequence[Computed]) -> list[AddOp]:
    """Return the additions of all products; the last one rounds, adds the zero point and clamps."""
    total, sums = products[0].out, list[AddOp]()
    for number, product in enumerate(products[1:-1], 2):
        label = text(f"{op.label.data}.sum.{number}")
        made = AddOp.create(
            operands=[total, product.out],
            result_types=[product.out.type],
            properties={"label": label, **integers(ma=1, mb=1, bias=0, shift=0), **clamp_of(code_of(product.out))},
        )
        total = made.out
        sums.append(made)
    clamp = {"low": op.low, "high": op.high}
    return [*sums, rounded_sum(op.label.data, total, products[-1].out, code_of(op.out), PARTIAL_SHIFT, clamp)]


def rounded_sum(
    label: str, a: SSAValue, b: SSAValue, code: CodeType, shift: int, clamp: Mapping[str, Integer]
) -> AddOp:
    """Return the addition of two partial sums that rounds them to codes, of which it adds the zero point."""
    return AddOp.create(
        operands=[a, b],
        result_types=[code_tensor(shape_of(a), code)],
        properties={"label": text(label), **integers(ma=1, mb=1, bias=code.zero.data << shift, shift=shift), **clamp},
    )


def additions_behind(op: MvmOp) -> list[AddOp]:
    """Return the additions that a partial sum goes through; the last one rounds. None where a product has no part."""
    found: list[AddOp] = []
    value = op.out
    while code_of(value).bits.data > WIDE_BITS:
        (user,) = users(value)
        assert isinstance(user, AddOp)
        found.append(user)
        value = user.out
    return found
