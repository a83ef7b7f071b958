"""Long chains of clamps become one, in work that grows with their number."""

import pytest
from xdsl.dialects.builtin import ModuleOp

from cimc.ir import build, location, nn
from cimc.ir.graph import Graph
from cimc.ir.location import named, names_of
from cimc.ir.weights import WeightStore
from cimc.passes.fuse_clamp import FuseClamp, bounds_of


def fused(length: int) -> nn.Computed:
    """Return what is left of so many clamps in a row, each a little narrower."""
    values: list[nn.Computed] = [build.input_("x", (4,))]
    for number in range(length):
        values.append(build.clamp(values[-1].out, number - length, 1.0, f"c{number}"))
        values[-1].location = named(f"n{number}")
    graph = FuseClamp()(Graph(ModuleOp([*values, build.output(values[-1].out, "y")]), WeightStore()))
    left = graph.operations[1]
    assert isinstance(left, nn.Computed)
    return left


def test_it_names_every_node_in_order() -> None:
    left = fused(20)
    assert isinstance(left, nn.ClampOp) and bounds_of(left) == (-1.0, 1.0)
    assert left.label.data == "c19" and names_of(left.location) == tuple(f"n{number}" for number in range(20))


def test_the_work_grows_with_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(length: int) -> int:
        asked.clear()
        fused(length)
        return len(asked)

    monkeypatch.setattr(location, "named", lambda name: asked.append(1) or named(name))
    assert counted(400) < 2.5 * counted(200)
