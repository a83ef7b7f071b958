"""Axes as the digital unit walks them, against numpy."""

from itertools import pairwise, permutations
from math import prod

import numpy as np
import pytest
from evaluate.graphs import S8, GraphBuilder
from hypothesis import given
from hypothesis import strategies as st
from targets.stages import through

from cimc.evaluate import Evaluator
from cimc.ir import nn, xbar
from cimc.passes.digital.digital import Digital
from cimc.passes.digital.strided import dense, exchanges, joined

SHAPES = [(3,), (2, 3), (2, 3, 4), (2, 3, 1, 4), (2, 3, 2, 3, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_exchanges_put_axes_in_any_order(shape: tuple[int, ...]) -> None:
    whole = np.arange(prod(shape)).reshape(shape)
    for order in permutations(range(len(shape))):
        data, found = whole.ravel(), exchanges(shape, order)
        for outer, left, right, inner in found:
            assert outer * left * right * inner == whole.size
            data = data.reshape(outer, left, right, inner).swapaxes(1, 2).ravel()
        assert data.tolist() == whole.transpose(order).ravel().tolist(), order
        assert len(found) < max(len(shape), 1), order
        kept = sum(b == a + 1 for a, b in pairwise(order))
        assert len(found) <= len(shape) - 1 - kept, order  # axes that stay neighbours move as one


@given(st.lists(st.integers(1, 3), max_size=5), st.data())
def test_joined_axes_walk_the_same_elements(shape: list[int], data: st.DataObject) -> None:
    pitch = [data.draw(st.sampled_from([dense(shape)[axis], 2, 7, 0])) for axis in range(len(shape))]
    found = joined(shape, pitch)
    assert walked([size for size, _ in found], [step for _, step in found]) == walked(shape, pitch)
    assert all(size > 1 for size, _ in found)
    assert all(outer != size * inner for (_, outer), (size, inner) in pairwise(found))


def walked(shape: list[int], pitch: list[int]) -> list[int]:
    """Return the elements that axes walk, the last axis fastest."""
    places = np.zeros(1, int)
    for size, step in zip(shape, pitch, strict=True):
        places = (places[:, None] + np.arange(size) * step).ravel()
    return [int(place) for place in places]


@pytest.mark.parametrize("shape", SHAPES)
def test_dense_axes_are_numpy_s(shape: tuple[int, ...]) -> None:
    assert dense(shape) == [step // 8 for step in np.zeros(shape, np.int64).strides]


@pytest.mark.parametrize("part", ["::2 ::2 ::2 ::2 ::2", "::-2 1: ::-1 ::2 :2", "2::-1 :2 ::2 1: ::-1"])
def test_a_slice_along_many_axes_is_copied_axis_by_axis(part: str) -> None:
    whole = np.arange(-121, 122).reshape(3, 3, 3, 3, 3)
    taken = tuple(slice(*(int(n) if n else None for n in one.split(":"))) for one in part.split())
    indices = [one.indices(size) for one, size in zip(taken, whole.shape, strict=True)]
    b = GraphBuilder()
    properties = {"begin": [first for first, _, _ in indices], "step": [step for _, _, step in indices]}
    b.output(b.op(nn.SliceOp, [b.input(whole.shape, S8)], whole[taken].shape, S8, **properties))
    graph = through(b.graph(), Digital())
    assert sum(isinstance(op, xbar.MoveOp) for op in graph.module.ops) > 1
    assert Evaluator(graph).run({"x": whole[None]})["out"][0].tolist() == whole[taken].tolist()
