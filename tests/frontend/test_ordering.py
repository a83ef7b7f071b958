"""Nodes in any order: sorted by what they read, cycles named."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from frontend.onnx_models import model, node, written

from cimc.evaluate import evaluate
from cimc.frontend import load
from cimc.isa.errors import CimcError

NODES = (node("Relu", "x", "a"), node("Sigmoid", "a", "b"), node("Tanh", "b", "y"))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_any_order_computes_the_same(order: tuple[int, ...], tmp_path: Path) -> None:
    path = written(model([NODES[index] for index in order], {"x": (1, 4)}), tmp_path)
    x = np.array([[-1.0, 0.0, 0.5, 2.0]], np.float32)
    y = evaluate(load(path), {"x": x})["y"]
    assert np.allclose(y, np.tanh(1.0 / (1.0 + np.exp(-np.maximum(x, 0.0)))), atol=1e-6)


def test_a_cycle_is_named_node_by_node(tmp_path: Path) -> None:
    path = written(model([node("Add", "x z", "y"), node("Relu", "y", "z")], {"x": (1, 4)}), tmp_path)
    with pytest.raises(CimcError, match=r"the graph has a cycle: the_[yz] -> the_[yz] -> the_[yz]") as caught:
        load(path)
    assert caught.value.diagnostics[0].code == "CIM0102"
