"""Integer parameters of matmul, norm and embed on the digital unit."""

import math

import numpy as np
from xdsl.ir import Attribute, Operation

from cimc.diagnostics import fail
from cimc.ir import nn, xbar
from cimc.ir.attributes import float_value, int_value, integer, integers, text
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.types import CodeType, code_of, shape_of
from cimc.isa.limits import ACCUMULATOR_BITS, ACCUMULATOR_LIMIT, MULTIPLIER_BITS, NORM_BITS, ROOT_BITS
from cimc.passes.requantise import clamp_of, multipliers_and_offsets, stored

MOST_FRACTION = 15
"""Bits of fraction that epsilon has under the root: 4^-15 of a squared step is far below what 16-bit codes can tell."""
FEWEST_MULTIPLIER_BITS = 8
"""A product of matrices keeps at least so many bits of its scale: an error of 2^-8 of the result, alike for all."""

Made = list[Operation]


def matmul(graph: Graph, op: nn.MatMulOp) -> Made:
    """Return the product with as many bits of its multiplier as the accumulator has room for."""
    a, b, y, label = code_of(op.a), code_of(op.b), code_of(op.out), op.label.data
    ratio = np.array([a.scale.data * b.scale.data / y.scale.data])
    zero = np.array(float(y.zero.data))
    reach = shape_of(op.a)[-1] * _largest(a) * _largest(b)
    for bits in range(MULTIPLIER_BITS, FEWEST_MULTIPLIER_BITS - 1, -1):
        factors, offset, shift = multipliers_and_offsets(ratio, zero, label, bits)
        bias = int(offset)
        if reach * int(factors[0]) + abs(bias) < ACCUMULATOR_LIMIT:
            properties = integers(za=a.zero.data, zb=b.zero.data, m=int(factors[0]), bias=bias, shift=shift)
            return _made(xbar.MatMulOp, op, **properties)
    rule = f"sums of {shape_of(op.a)[-1]} products reach {reach}, with a multiplier 2^{ACCUMULATOR_BITS} is exceeded"
    raise _broken(op, rule, "shorter rows, or fewer bits for the factors")


def _largest(code: CodeType) -> int:
    """Return the largest |element - zero point|, whatever the element type holds."""
    held = 8 * code.element_bytes - code.element_type.startswith("i")
    return (1 << held) + abs(code.zero.data)


def norm(graph: Graph, op: nn.NormOp) -> Made:
    """Return the normalisation; epsilon becomes round(4^f n^2 epsilon / scale^2), f as large as the root allows."""
    x, y, n, label = code_of(op.x), code_of(op.out), shape_of(op.x)[-1], op.label.data
    epsilon = n * n * float_value(op.epsilon) / x.scale.data**2
    total = (n * _largest(x)) ** 2 + epsilon
    fraction = min((ROOT_BITS - 1 - math.frexp(total)[1]) // 2, MOST_FRACTION)
    if fraction < 0:
        rule = f"the sum under the root can reach {total:g}, the rule is below 2^{ROOT_BITS}"
        raise _broken(op, rule, "shorter vectors, or values that are large against epsilon")
    scale, bias = (graph.weights.reals(ref) for ref in (op.scale, op.bias))
    added = bias / y.scale.data + y.zero.data
    factors, offset, shift = multipliers_and_offsets(scale / y.scale.data / (1 << NORM_BITS), added, label)
    tables: dict[str, Attribute] = {
        "epsilon": graph.weights.add(f"{label}.epsilon", np.array([round(epsilon * 4**fraction)], np.int64)),
        "scale": graph.weights.add(f"{label}.scale", factors.astype(np.int32)),
        "offset": graph.weights.add(f"{label}.offset", offset),
    }
    numbers = integers(centred=int_value(op.centred), zero=x.zero.data, fraction=fraction, shift=shift)
    return _made(xbar.NormOp, op, **tables, **numbers)


def embed(graph: Graph, op: nn.EmbedOp) -> Made:
    """Return the look-up of rows quantised to the result's codes; the index is its own code less the zero point."""
    code, label = code_of(op.out), op.label.data
    table = stored(graph.weights.get(op.table), code)
    ref = graph.weights.add(f"{label}.table", table)
    properties = {"label": text(label), "table": ref, "first": integer(code_of(op.x).zero.data)}
    return [xbar.EmbedOp.create(operands=[op.x], result_types=[op.out.type], properties=properties)]


def _made(kind: type[xbar.Clamped], op: nn.Computed, **properties: Attribute) -> Made:
    limits = {"label": text(op.label.data), **clamp_of(code_of(op.out))}
    return [kind.create(operands=list(op.operands), result_types=[op.out.type], properties={**properties, **limits})]


def _broken(op: nn.Computed, rule: str, hint: str) -> Exception:
    node = ", ".join(names_of(op.location))
    return fail("CIM0304", f"in '{op.label.data}', {rule}", node=node, operator=op.name, hint=hint)
