"""Long chains of clamps become one, in work that grows with their number."""

from itertools import product

import pytest
from xdsl.dialects.builtin import ModuleOp

from cimc.ir import build, location, nn
from cimc.ir.graph import Graph
from cimc.ir.location import named, names_of
from cimc.ir.weights import WeightStore
from cimc.passes.fuse_clamp import Bounds, FuseClamp, both, bounds_of


def fused(length: int) -> nn.Computed:
    """Return what is left of so many clamps in a row, each a little narrower."""
    values: list[nn.Computed] = [build.input_("x", (4,))]
    for number in range(length):
        values.append(build.clamp(values[-1].out, number - length, 1.0, f"c{number}"))
        values[-1].location = named(f"n{number}_of_{length}")
    graph = FuseClamp()(Graph(ModuleOp([*values, build.output(values[-1].out, "y")]), WeightStore()))
    left = graph.operations[1]
    assert isinstance(left, nn.Computed)
    return left


def test_it_names_every_node_in_order() -> None:
    left = fused(20)
    assert isinstance(left, nn.ClampOp) and bounds_of(left) == (-1.0, 1.0)
    assert left.label.data == "c19" and names_of(left.location) == tuple(f"n{number}_of_20" for number in range(20))


def test_the_work_grows_with_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(length: int) -> int:
        asked.clear()
        fused(length)
        return len(asked)

    monkeypatch.setattr(location, "named", lambda name: asked.append(1) or named(name))
    assert counted(400) < 2.5 * counted(200)


POINTS = (-3.0, -1.0, 0.0, 2.0, 5.0)
INTERVALS = [(low, high) for low in POINTS for high in POINTS if low <= high]


def clamped(value: float, bounds: Bounds) -> float:
    return min(max(value, bounds[0]), bounds[1])


@pytest.mark.parametrize("first", INTERVALS, ids=str)
def test_two_clamps_are_one_wherever_they_lie(first: Bounds) -> None:
    """Within, across, touching, and disjoint: behind a clamp to 2..5, one to -3..-1 leaves nothing but -1."""
    for second, value in product(INTERVALS, (*POINTS, -9.0, 0.5, 9.0)):
        assert clamped(value, both(first, second)) == clamped(clamped(value, first), second), (second, value)


@pytest.mark.parametrize(("first", "second", "left"), [((2, 5), (-3, -1), -1.0), ((-3, -1), (2, 5), 2.0)])
def test_disjoint_clamps_leave_the_end_of_the_second_that_is_nearer(first: Bounds, second: Bounds, left: float) -> None:
    inner = build.clamp((x := build.input_("x", (4,))).out, *first, "a")
    outer = build.clamp(inner.out, *second, "b")
    for value in (inner, outer):
        value.location = named(value.label.data)
    graph = FuseClamp()(Graph(ModuleOp([x, inner, outer, build.output(outer.out, "y")]), WeightStore()))
    kept = graph.operations[1]
    assert isinstance(kept, nn.ClampOp) and bounds_of(kept) == (left, left)
