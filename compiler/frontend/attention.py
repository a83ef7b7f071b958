"""The operator Attention, written out: two products, a softmax, and masks as choices."""

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.choice import hidden
from cimc.frontend.elementary import scaled
from cimc.frontend.lowering import Lowering
from cimc.ir import build
from cimc.ir.types import shape_of

REFUSED = {
    4: "a cache of past keys",
    5: "a cache of past values",
    6: "counted keys (nonpad_kv_seqlen)",
}
"""Optional inputs that change from token to token."""


def attention(at: Lowering) -> SSAValue:
    """Attention of opset 23 and 24: 3-D or 4-D operands, masks, causal, grouped queries, softcap."""
    _require_plain(at)
    flat = len(at.full_shape(at.node.inputs[0])) == 3
    q, k, v = (_heads(at, index, flat) for index in range(3))
    *lead, heads, queries, size = shape_of(q)
    keys = shape_of(k)[-2]
    group = heads // shape_of(k)[-3]
    q = at.reshaped(q, (*lead, heads // group, group * queries, size), "groups")
    scores = at.add(build.matmul(q, k, at.helper("products")))
    scores = at.reshaped(scores, (*lead, heads, queries, keys), "scores")
    scale = at.node.real("scale", size**-0.5)
    scores, shown = _masked(at, _capped(at, _times(at, scores, scale, "scaled")))
    weights = at.add(build.softmax(scores, at.helper("weights")))
    for number, keep in enumerate(shown):
        weights = _where_shown(at, keep, weights, number)
    weights = at.reshaped(weights, (*lead, heads // group, group * queries, keys), "weights_of_groups")
    columns = at.transposed(v, _swapped(len(lead) + 3, -2, -1), "columns")
    y = at.add(build.matmul(weights, columns, at.label if not flat and group == 1 else at.helper("values")))
    y = at.reshaped(y, (*lead, heads, queries, shape_of(v)[-1]), "heads")
    if not flat:
        return y
    return at.reshaped(at.transposed(y, _swapped(len(lead) + 3, -3, -2), "rows"), at.result_shape(), "joined")


def _swapped(rank: int, a: int, b: int) -> list[int]:
    """Return the order of axes with two of them exchanged."""
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return order


def _require_plain(at: Lowering) -> None:
    for index, what in REFUSED.items():
        if at.node.has(index):
            raise at.refuse("CIM0104", what, hint="export without a cache: one run sees the whole sequence")
    if [name for name in at.node.outputs[1:] if name]:
        raise at.refuse("CIM0104", "an output besides Y is used", hint="export without these outputs")
    for name in ("left_window_size", "right_window_size"):
        if at.node.integer(name, -1) >= 0:
            raise at.refuse("CIM0104", f"{name} {at.node.integer(name, -1)}", hint="give the window as a mask")


def _heads(at: Lowering, index: int, flat: bool) -> SSAValue:
    """Return an operand as (..., heads, rows, size); in a model without a batch its first axis is one more."""
    x = at.operand(index)
    if not flat:
        return x
    name = "q_num_heads" if index == 0 else "kv_num_heads"
    count = at.node.integer(name, 1)
    *lead, rows, width = shape_of(x)
    if width % count:
        raise at.refuse("CIM0104", f"{width} columns in {count} heads")
    split = at.reshaped(x, (*lead, rows, count, width // count), f"split{index}")
    return at.transposed(split, _swapped(len(lead) + 3, -3, -2), f"heads{index}")


def _capped(at: Lowering, scores: SSAValue) -> SSAValue:
    cap = at.node.real("softcap", 0.0)
    if cap <= 0.0:
        return scores
    bent = build.unary(_times(at, scores, 1.0 / cap, "softcap"), "tanh", (), at.helper("bent"))
    return _times(at, at.add(bent), cap, "capped")


def _times(at: Lowering, x: SSAValue, factor: float, suffix: str) -> SSAValue:
    return x if factor == 1.0 else scaled(at, x, factor, suffix=suffix)


def _masked(at: Lowering, scores: SSAValue) -> tuple[SSAValue, list[SSAValue]]:
    """Hide what the mask hides, and with is_causal every key behind the query's own place.

    Where a boolean mask may hide everything, return also what is shown: ONNX then wants weights of zero.
    """
    shown = []
    if at.node.has(3):
        mask = _mask(at, shape_of(scores)[-1])
        if at.builder.facts.types[at.node.inputs[3]].tensor_type.elem_type == at.BOOL:
            scores = hidden(at, mask, scores, "masked")
            shown.append(mask)
        else:
            scores = at.add(build.add(scores, mask, at.helper("masked")))
    if at.node.integer("is_causal", 0):
        before = np.tril(np.ones(shape_of(scores)[-2:]))
        ahead = at.add(build.constant(at.weight(before, f"{at.label}.causal"), at.helper("causal")))
        scores = hidden(at, ahead, scores, "before")
        shown += [ahead] if shown else []
    return scores, shown


def _mask(at: Lowering, columns: int) -> SSAValue:
    mask = at.operand(3)
    if shape_of(mask)[-1] not in (1, columns):
        raise at.refuse("CIM0104", f"a mask of {shape_of(mask)[-1]} columns for {columns} keys")
    return mask


def _where_shown(at: Lowering, keep: SSAValue, weights: SSAValue, number: int) -> SSAValue:
    zero = at.add(build.constant(at.weight(np.zeros(()), f"{at.label}.zero"), at.helper(f"zero{number}")))
    return at.add(build.select(keep, weights, zero, at.helper(f"shown{number}")))
