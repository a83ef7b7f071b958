"""Activation functions and softmax."""

from collections.abc import Callable

import numpy as np
from onnx import TensorProto
from xdsl.ir import SSAValue

from cimc.frontend.preparation import WHOLE
from cimc.frontend.site import Site
from cimc.ir import build
from cimc.ir.nn import UNBOUNDED
from cimc.ir.types import shape_of


def relu(at: Site) -> SSAValue:
    return at.add(build.clamp(at.activation(0), 0.0, UNBOUNDED, at.label))


def clip(at: Site) -> SSAValue:
    low, high = _bound(at, 1, -UNBOUNDED), _bound(at, 2, UNBOUNDED)
    return at.add(build.clamp(at.activation(0), low, high, at.label))


def _bound(at: Site, index: int, default: float) -> float:
    if not at.node.has(index):
        return default
    value = float(at.constant(index).reshape(-1)[0])
    if np.isnan(value):
        raise at.refuse("CIM0106", f"bound '{at.node.inputs[index]}' is NaN")
    return value


def unary(function: str, **defaults: float) -> Callable[[Site], SSAValue]:
    """Return the translation to `nn.unary`; its parameters are the node's attributes of the given names."""

    def translate(at: Site) -> SSAValue:
        parameters = [at.node.real(name, default) for name, default in defaults.items()]
        return at.add(build.unary(at.activation(0), function, parameters, at.label))

    return translate


def cast(at: Site) -> SSAValue:
    """To FLOAT, and from whole numbers and truth values, nothing changes."""
    given = at.canvas.facts.types[at.node.inputs[0]].tensor_type.elem_type
    wanted = at.node.integer("to", TensorProto.FLOAT)
    if wanted != TensorProto.FLOAT and not (given in WHOLE and wanted in WHOLE and wanted != TensorProto.BOOL):
        name = TensorProto.DataType.Name(wanted)
        raise at.refuse("CIM0104", f"a cast to {name}", hint="values are reals; only FLOAT can be cast to")
    return at.activation(0)


def gelu(at: Site) -> SSAValue:
    kind = "gelu_tanh" if at.node.text("approximate", "none") == "tanh" else "gelu"
    return at.add(build.unary(at.activation(0), kind, (), at.label))


def softmax(at: Site) -> SSAValue:
    x = at.activation(0)
    rank = len(shape_of(x))
    axis = at.axis(at.node.integer("axis", -1))
    order = [other for other in range(rank) if other != axis] + [axis]
    y = at.add(build.softmax(at.transposed(x, order, "last"), at.label))
    return at.transposed(y, [order.index(other) for other in range(rank)], "back")


def same(at: Site) -> SSAValue:
    """Identity and inference-time Dropout: the value itself."""
    if at.node.has(2) and (not at.is_constant(2) or bool(at.constant(2))):
        raise at.refuse("CIM0104", "training mode", hint="export the model in evaluation mode")
    return at.activation(0)
