"""Gemm and MatMul: a constant matrix goes to the crossbar, products of computed factors to the digital unit."""

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.arithmetic import affine
from cimc.frontend.lowering import Lowering, Reals
from cimc.frontend.preparation import UNBATCHED
from cimc.frontend.quantisation import note_steps
from cimc.ir import build
from cimc.ir.types import shape_of
from cimc.ir.weights import Array


def gemm(at: Lowering) -> SSAValue:
    """Constant B and C; alpha, beta, transA and transB."""
    x, matrix, alpha = at.activation(0), at.finite(1), at.node.real("alpha", 1.0)
    if alpha != 1.0:
        matrix = matrix.astype(np.float64) * alpha
    if at.node.integer("transA", 0) and len(shape_of(x)) == 2:
        x = at.transposed(x, (1, 0), "rows")
    if at.node.integer("transB", 0):
        matrix = matrix.T
    weight, bias = at.weight(matrix, at.node.inputs[1]), _gemm_bias(at, matrix)
    if bias is None or bias.ndim == 1:
        vector = None if bias is None else at.weight(bias, at.node.inputs[2])
        made = build.dense(x, weight, vector, at.label)
        note_steps(at, made, 1 - at.node.integer("transB", 0))
        return at.add(made)
    product = at.add(build.dense(x, weight, None, at.helper("product")))
    return affine(at, product, np.ones(()), bias, at.node.inputs[2])


def _gemm_bias(at: Lowering, matrix: Array) -> Reals | None:
    """Return the bias of every output column, or of every row and column in a model without a batch."""
    if not at.node.has(2):
        return None
    bias = at.reals(2) * at.node.real("beta", 1.0)
    if bias.ndim == 2 and np.any(bias != bias[:1]):
        if at.batch_axis(at.node.inputs[0]) is not None:
            raise at.refuse("CIM0109", f"a bias of shape {bias.shape} differs between samples", hint=UNBATCHED)
        return bias
    row = bias[0] if bias.ndim == 2 else bias
    return np.array(np.broadcast_to(row, (matrix.shape[1],)))


def matmul(at: Lowering) -> SSAValue:
    """A constant matrix on either side, or two computed stacks of matrices, which the digital unit multiplies."""
    if not (at.is_constant(0) or at.is_constant(1)) or _is_stack(at):
        return _of_two(at)
    if at.is_constant(0):
        return _constant_on_the_left(at)
    x, matrix = at.activation(0), _matrix(at, 1)
    _require_no_batch(at, 0, 1)
    weight = at.weight(matrix if matrix.ndim == 2 else matrix[:, None], at.node.inputs[1])
    if matrix.ndim == 2:
        made = build.dense(x, weight, None, at.label)
        note_steps(at, made, at.constant(1).ndim - 1)
        return at.add(made)
    return at.reshaped(at.add(build.dense(x, weight, None, at.label)), at.result_shape(), "vector")


def _is_stack(at: Lowering) -> bool:
    """Say whether the constant factor is more than one matrix."""
    constant = at.constant(0 if at.is_constant(0) else 1)
    return constant.ndim > 2 and int(np.prod(constant.shape[:-2])) > 1


def _of_two(at: Lowering) -> SSAValue:
    """Two computed factors, or a computed one and a stack of constant matrices, on the digital unit."""
    for index in (0, 1):
        if not at.is_constant(index):
            _require_no_batch(at, index, min(len(at.full_shape(at.node.inputs[index])), 2))
    a, b = at.operand(0), at.operand(1)
    if len(shape_of(a)) == 1:
        a = at.reshaped(a, (1, *shape_of(a)), "row")
    if len(shape_of(b)) == 1:
        b = at.reshaped(b, (*shape_of(b), 1), "column")
    rank = max(len(shape_of(a)), len(shape_of(b)))
    a, b = (at.reshaped(x, (1,) * (rank - len(shape_of(x))) + shape_of(x), f"rank{n}") for n, x in enumerate((a, b)))
    columns = at.transposed(b, (*range(rank - 2), rank - 1, rank - 2), "columns")
    if rank <= 4:
        return at.reshaped(at.add(build.matmul(a, columns, at.label)), at.result_shape(), "vector")
    stacks = shape_of(a)[:-2], shape_of(b)[:-2]
    if stacks[0] != stacks[1]:
        raise at.refuse("CIM0104", f"stacks {stacks[0]} and {stacks[1]} of more than two axes that broadcast")
    flat = [
        at.reshaped(x, (int(np.prod(stacks[0])), *shape_of(x)[-2:]), f"flat{n}") for n, x in enumerate((a, columns))
    ]
    return at.reshaped(at.add(build.matmul(flat[0], flat[1], at.label)), at.result_shape(), "stacks")


def _constant_on_the_left(at: Lowering) -> SSAValue:
    """W @ x is (x^T @ W^T)^T on the last two axes."""
    x, matrix = at.activation(1), _matrix(at, 0)
    rank = len(shape_of(x))
    _require_no_batch(at, 1, 2)
    if rank < 2 or matrix.ndim != 2:
        raise at.refuse("CIM0104", f"a constant of shape {matrix.shape} times a value of shape {shape_of(x)}")
    swap = (*range(rank - 2), rank - 1, rank - 2)
    turned = at.transposed(x, swap, "columns")
    y = at.add(build.dense(turned, at.weight(matrix.T, at.node.inputs[0]), None, at.label))
    return at.transposed(y, swap, "rows")


def _require_no_batch(at: Lowering, index: int, last: int) -> None:
    """Refuse a batch along one of the last axes of an input: the product runs over them."""
    name = at.node.inputs[index]
    batch = at.batch_axis(name)
    if batch is not None and len(at.full_shape(name)) - batch.axis <= last:
        raise at.refuse("CIM0109", "the product runs over the batch")


def _matrix(at: Lowering, index: int) -> Array:
    matrix = at.finite(index)
    while matrix.ndim > 2 and matrix.shape[0] == 1:
        matrix = matrix[0]
    if matrix.ndim not in (1, 2):
        raise at.refuse("CIM0104", f"a constant of shape {matrix.shape} is a stack of matrices")
    return matrix
