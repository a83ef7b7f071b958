"""The movements of dialect `xbar`."""

from typing import Any

import numpy as np
import pytest
from evaluate.graphs import at_every_level, codes, one
from numpy.typing import NDArray

from cimc.ir import xbar

Array = NDArray[Any]
U8 = codes(0, 255, 9)
X: Array = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 6))


def check(graph: Any, wanted: Array, *operands: Array) -> None:
    for found in at_every_level(graph, *(x - 9 for x in operands)):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("start", "pitch", "wanted"),
    [
        (0, (1, 30, 6), X.transpose(0, 3, 1, 2)),
        (7, (60, 6, 3), X[:, ::2, 1:4, 1::3]),
        (29, (30, -6, -1), X[:, :, ::-1, ::-1]),
        (5, (), X[:, 0, 0, 5]),
    ],
)
def test_move(start: int, pitch: tuple[int, ...], wanted: Array) -> None:
    check(one(xbar.MoveOp, [((4, 5, 6), U8)], wanted.shape[1:], U8, start=start, pitch=pitch), wanted, X)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat(axis: int) -> None:
    wanted = np.concatenate([X, X[:, ::-1]], axis=axis + 1)
    check(one(xbar.ConcatOp, [((4, 5, 6), U8)] * 2, wanted.shape[1:], U8, axis=axis), wanted, X, X[:, ::-1])


def test_pad_writes_a_code() -> None:
    wanted = np.pad(X, ((0, 0), (1, 0), (0, 2), (3, 1)), constant_values=200)
    graph = one(xbar.PadOp, [((4, 5, 6), U8)], wanted.shape[1:], U8, before=[1, 0, 3], after=[0, 2, 1], value=200)
    check(graph, wanted, X)


def test_view() -> None:
    check(one(xbar.ViewOp, [((4, 5, 6), U8)], (8, 15), U8), X.reshape(3, 8, 15), X)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pick(axis: int) -> None:
    table = np.array([3, 0, 0, 2], np.int32)
    wanted = np.take(X, table, axis + 1)
    check(one(xbar.PickOp, [((4, 5, 6), U8)], wanted.shape[1:], U8, table=table, axis=axis), wanted, X)
