"""The activation functions that recurrent operators name by attribute."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.lowering import Lowering
from cimc.ir import build
from cimc.ir.nn import UNBOUNDED
from cimc.ir.types import shape_of

Activation = Callable[[Lowering, SSAValue, str], SSAValue]
"""Appends the function of a value under a label."""

Parameters = tuple[float, ...]

NAMED: dict[str, tuple[str, Parameters]] = {
    "elu": ("elu", (1.0,)),
    "hardsigmoid": ("hard_sigmoid", (0.2, 0.5)),
    "leakyrelu": ("leaky_relu", (0.01,)),
    "sigmoid": ("sigmoid", ()),
    "softplus": ("softplus", ()),
    "softsign": ("softsign", ()),
    "tanh": ("tanh", ()),
    "thresholdedrelu": ("thresholded_relu", (1.0,)),
}
"""Name in lower case -> function of `cimc.ir.functions`, and the defaults of alpha and beta."""

COMPOSED: dict[str, Parameters] = {"affine": (1.0, 0.0), "relu": (), "scaledtanh": (1.0, 1.0)}
"""Functions made of other operations, and the defaults of alpha and beta."""


def activations(at: Lowering, defaults: Sequence[str], directions: int) -> list[Activation]:
    """Return the functions of all directions, one direction after the other.

    The first two of a direction, which gates go through, are behind the node's clip; as in onnxruntime the third of an
    LSTM, which the cell goes through, is not.
    """
    given = at.node.attributes.get("activations", ())
    names = [one.decode() if isinstance(one, bytes) else str(one) for one in given] or [*defaults] * directions
    if len(names) != len(defaults) * directions:
        raise at.refuse("CIM0102", f"{len(names)} activations for {directions} x {len(defaults)} functions")
    alphas, betas = (list(at.node.attributes.get(f"activation_{which}", ())) for which in ("alpha", "beta"))
    clips = [at.node.real("clip", 0.0) if n % len(defaults) < 2 else 0.0 for n in range(len(names))]
    return [_function(at, name.lower(), alphas, betas, clip) for name, clip in zip(names, clips, strict=True)]


def _function(at: Lowering, name: str, alphas: list[float], betas: list[float], clip: float) -> Activation:
    """Return one function; it takes its parameters from the front of the lists."""
    if name not in COMPOSED and name not in NAMED:
        known = ", ".join(sorted([*COMPOSED, *NAMED]))
        raise at.refuse("CIM0104", f"activation {name!r}", hint=f"supported: {known}")
    function, defaults = NAMED.get(name) or (name, COMPOSED[name])
    lists = (alphas, betas)
    chosen = tuple(float(lists[n].pop(0)) if lists[n] else value for n, value in enumerate(defaults))
    return partial(_applied, function, chosen, clip)


def _applied(function: str, parameters: Parameters, clip: float, at: Lowering, x: SSAValue, label: str) -> SSAValue:
    if clip > 0.0:
        x = at.add(build.clamp(x, -clip, clip, at.builder.names.fresh(f"{label}.clipped")))
    if function == "relu":
        return at.add(build.clamp(x, 0.0, UNBOUNDED, label))
    if function == "affine":
        return _affine(at, x, parameters[0], parameters[1], label)
    if function == "scaledtanh":
        inner = _affine(at, x, parameters[1], 0.0, at.builder.names.fresh(f"{label}.scaled"))
        y = at.add(build.unary(inner, "tanh", (), at.builder.names.fresh(f"{label}.tanh")))
        return _affine(at, y, parameters[0], 0.0, label)
    return at.add(build.unary(x, function, parameters, label))


def _affine(at: Lowering, x: SSAValue, scale: float, bias: float, label: str) -> SSAValue:
    shape = (1,) * len(shape_of(x))
    refs = [at.weight(np.full(shape, value), f"{label}.{role}") for value, role in ((scale, "scale"), (bias, "bias"))]
    return at.add(build.affine(x, refs[0], refs[1], label))
