"""The operator Attention, written out: two products, a softmax, and masks as choices."""

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.choice import hidden
from cimc.frontend.site import Site
from cimc.ir import build
from cimc.ir.types import shape_of

REFUSED = {
    4: "a cache of past keys",
    5: "a cache of past values",
    6: "counted keys (nonpad_kv_seqlen)",
}
"""Optional inputs that change from token to token."""


def attention(at: Site) -> SSAValue:
    """Attention of opset 23 and 24: 3-D or 4-D operands, masks, causal, grouped queries, softcap."""
    _require_plain(at)
    flat = len(at.full_shape(at.node.inputs[0])) == 3
    q, k, v = (_heads(at, index, flat) for index in range(3))
    heads, queries = shape_of(q)[0], shape_of(q)[1]
    group = heads // shape_of(k)[0]
    if group > 1:
        q = at.reshaped(q, (heads // group, group * queries, shape_of(q)[2]), "groups")
    scores = at.add(build.matmul(q, k, at.helper("products")))
    if group > 1:
        scores = at.reshaped(scores, (heads, queries, shape_of(k)[1]), "scores")
    scale = at.node.real("scale", shape_of(q)[-1] ** -0.5)
    weights = at.add(build.softmax(_masked(at, _capped(at, at.scaled(scores, scale, "scaled"))), at.helper("weights")))
    if group > 1:
        weights = at.reshaped(weights, (heads // group, group * queries, shape_of(k)[1]), "weights_of_groups")
    columns = at.transposed(v, (0, 2, 1), "columns")
    y = at.add(build.matmul(weights, columns, at.label if not flat and group == 1 else at.helper("values")))
    y = at.reshaped(y, (heads, queries, shape_of(v)[2]), "heads")
    if not flat:
        return y
    return at.reshaped(at.transposed(y, (1, 0, 2), "rows"), at.result_shape(), "joined")


def _require_plain(at: Site) -> None:
    for index, what in REFUSED.items():
        if at.node.has(index):
            raise at.refuse("CIM0104", what, hint="export without a cache: one run sees the whole sequence")
    if [name for name in at.node.outputs[1:] if name]:
        raise at.refuse("CIM0104", "an output besides Y is used", hint="export without these outputs")
    for name in ("left_window_size", "right_window_size"):
        if at.node.integer(name, -1) >= 0:
            raise at.refuse("CIM0104", f"{name} {at.node.integer(name, -1)}", hint="give the window as a mask")


def _heads(at: Site, index: int, flat: bool) -> SSAValue:
    """Return an operand as (heads, rows, size)."""
    x = at.operand(index)
    if not flat:
        return x
    name = "q_num_heads" if index == 0 else "kv_num_heads"
    count = at.node.integer(name, 1)
    rows, width = shape_of(x)
    if width % count:
        raise at.refuse("CIM0104", f"{width} columns in {count} heads")
    return at.transposed(at.reshaped(x, (rows, count, width // count), f"split{index}"), (1, 0, 2), f"heads{index}")


def _capped(at: Site, scores: SSAValue) -> SSAValue:
    cap = at.node.real("softcap", 0.0)
    if cap <= 0.0:
        return scores
    bent = build.unary(at.scaled(scores, 1.0 / cap, "softcap"), "tanh", (), at.helper("bent"))
    return at.scaled(at.add(bent), cap, "capped")


def _masked(at: Site, scores: SSAValue) -> SSAValue:
    """Hide what the mask hides, and with is_causal every key behind the query's own place."""
    if at.node.has(3):
        scores = _with_mask(at, scores)
    if at.node.integer("is_causal", 0):
        rows, columns = shape_of(scores)[-2:]
        before = np.tril(np.ones((rows, columns)))
        ahead = at.add(build.constant(at.weight(before, f"{at.label}.causal"), at.helper("causal")))
        scores = hidden(at, ahead, scores, "before")
    return scores


def _with_mask(at: Site, scores: SSAValue) -> SSAValue:
    kind = at.canvas.facts.types[at.node.inputs[3]].tensor_type.elem_type
    mask = at.operand(3)
    columns = shape_of(scores)[-1]
    if shape_of(mask)[-1] not in (1, columns):
        raise at.refuse("CIM0104", f"a mask of {shape_of(mask)[-1]} columns for {columns} keys")
    if kind == at.BOOL:
        return hidden(at, mask, scores, "masked")
    return at.add(build.add(scores, mask, at.helper("masked")))
