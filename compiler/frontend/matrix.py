"""Gemm and MatMul with a constant matrix."""

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.site import Reals, Site
from cimc.ir import build
from cimc.ir.types import shape_of


def gemm(at: Site) -> SSAValue:
    if at.node.integer("transA", 0):
        raise at.refuse("CIM0109", "transA moves the batch axis")
    x, matrix = at.activation(0), at.reals(1) * at.node.real("alpha", 1.0)
    if at.node.integer("transB", 0):
        matrix = matrix.T
    weight = at.weight(matrix, at.node.inputs[1])
    return at.add(
        build.dense(
            x, weight, None if not at.node.has(2) else at.weight(_gemm_bias(at, matrix), at.node.inputs[2]), at.label
        )
    )


def _gemm_bias(at: Site, matrix: Reals) -> Reals:
    bias = at.reals(2) * at.node.real("beta", 1.0)
    if bias.ndim == 2 and np.any(bias != bias[:1]):
        raise at.refuse("CIM0109", f"a bias of shape {bias.shape} differs between samples")
    row = bias[0] if bias.ndim == 2 else bias
    return np.array(np.broadcast_to(row, (matrix.shape[1],)))


def matmul(at: Site) -> SSAValue:
    if at.is_constant(0):
        return _constant_on_the_left(at)
    if not at.is_constant(1):
        raise at.refuse("CIM0104", "both factors are computed", hint="one factor must be a constant matrix")
    x, matrix = at.activation(0), _matrix(at, 1)
    if not shape_of(x):
        raise at.refuse("CIM0109", "the product runs over the batch")
    weight = at.weight(matrix if matrix.ndim == 2 else matrix[:, None], at.node.inputs[1])
    if matrix.ndim == 2:
        return at.add(build.dense(x, weight, None, at.label))
    return at.reshaped(at.add(build.dense(x, weight, None, at.label)), at.result_shape(), "vector")


def _constant_on_the_left(at: Site) -> SSAValue:
    """W @ x is (x^T @ W^T)^T on the last two axes."""
    x, matrix = at.activation(1), _matrix(at, 0)
    rank = len(shape_of(x))
    if rank < 2 or matrix.ndim != 2:
        raise at.refuse("CIM0109", "the product runs over the batch")
    swap = (*range(rank - 2), rank - 1, rank - 2)
    turned = at.transposed(x, swap, "columns")
    y = at.add(build.dense(turned, at.weight(matrix.T, at.node.inputs[0]), None, at.label))
    return at.transposed(y, swap, "rows")


def _matrix(at: Site, index: int) -> Reals:
    matrix = at.reals(index)
    while matrix.ndim > 2 and matrix.shape[0] == 1:
        matrix = matrix[0]
    if matrix.ndim not in (1, 2):
        raise at.refuse("CIM0104", f"a constant of shape {matrix.shape} is a stack of matrices")
    return matrix
