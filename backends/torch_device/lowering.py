"""From a planned instruction to its form on a device: one table."""

from collections.abc import Callable, Mapping
from typing import Any

from cimc.backends.plan.digital import Add, Affine, Lut, Move, Mul, Select, Softmax, Value
from cimc.backends.plan.matrices import Embed, MatMul, Norm
from cimc.backends.plan.products import Capture, Mvm
from cimc.backends.plan.state import Write
from cimc.backends.plan.windows import Depthwise, PoolMax, PoolSum
from cimc.backends.torch_device import digital, matrices, products
from cimc.backends.torch_device.memory import Compute, Layout, Unsuitable

FORMS: Mapping[type, Callable[[Any, Layout], Compute]] = {
    Mvm: products.mvm,
    Capture: products.capture,
    Depthwise: digital.depthwise,
    PoolMax: digital.poolmax,
    PoolSum: digital.poolsum,
    Affine: digital.affine,
    Add: digital.add,
    Mul: digital.mul,
    Lut: digital.lut,
    Softmax: digital.softmax,
    Move: digital.move,
    Select: digital.select,
    Value: digital.value,
    MatMul: matrices.matmul,
    Norm: matrices.norm,
    Embed: matrices.embed,
}
"""What computes a write in numpy -> what returns the same for a device."""


def lowered(write: Write, layout: Layout) -> Compute | None:
    """Return an instruction's form on a device, None where it stays with the processor."""
    form = FORMS.get(type(write.compute))
    if form is None or not write.out.elements:
        return None
    try:
        return form(write.compute, layout)
    except Unsuitable:
        return None
