"""Files that onnx's checker or converter refuses and onnxruntime runs; what is refused says so in our own words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, model, node, weights, written
from onnx import helper, numpy_helper

from cimc.frontend import check
from cimc.isa.budgets import OverBudget

IMAGE = {"x": ("N", 4, 6, 5)}
GROUPS = {"s": weights(2) + 1.0, "b": weights(2, seed=1)}


def changed(change: Callable[[onnx.ModelProto], Any], opset: int = 13) -> onnx.ModelProto:
    """Return a convolution with its result clamped, changed as a careless exporter would."""
    nodes = [node("Conv", "x w", "c"), node("Clip", "c l", "y")]
    proto = model(nodes, IMAGE, {"w": weights(3, 4, 1, 1), "l": np.float32(-0.2)}, opset=opset)
    change(proto)
    return proto


def group_normalisation(opset: int, **constants: Any) -> onnx.ModelProto:
    return model([node("GroupNormalization", "x s b", "y", num_groups=2, epsilon=1e-3)], IMAGE, constants, opset=opset)


def sparse(values: list[float], places: Any, shape: tuple[int, ...], name: str = "k") -> onnx.SparseTensorProto:
    array = numpy_helper.from_array(np.array(values, np.float32), name)
    return helper.make_sparse_tensor(array, numpy_helper.from_array(np.array(places), ""), shape)


def with_sparse_initialiser(places: Any) -> onnx.ModelProto:
    proto = model([node("MatMul", "x k", "y")], {"x": ("N", 3)})
    proto.graph.sparse_initializer.append(sparse([0.5, -2.0], places, (3, 4)))
    return proto


def domains_by_name(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].domain = "ai.onnx"
    for one in proto.graph.node:
        one.domain = "ai.onnx"


SPARSE_CONSTANT = node("Constant", "", "k", sparse_value=sparse([0.5, -2.0], [1, 7], (3, 4)))
CASES = {
    "groups_18": group_normalisation(18, **GROUPS),
    "groups_20": group_normalisation(20, **GROUPS),
    "groups_21": group_normalisation(21, s=weights(4) + 1.0, b=weights(4, seed=1)),
    "ir_3": changed(lambda proto: setattr(proto, "ir_version", 3), opset=8 + 3),
    "no_name": changed(lambda proto: proto.graph.ClearField("name")),
    "domain_by_name": changed(domains_by_name),
    "output_without_type": changed(lambda proto: proto.graph.output[0].ClearField("type")),
    "sparse_flat": with_sparse_initialiser([1, 7]),
    "sparse_places": with_sparse_initialiser([[0, 1], [2, 3]]),
    "sparse_constant": model([SPARSE_CONSTANT, node("MatMul", "x k", "y")], {"x": ("N", 3)}),
    "sparse_constant_11": model([SPARSE_CONSTANT, node("MatMul", "x k", "y")], {"x": ("N", 3)}, opset=11),
}


@pytest.mark.parametrize("case", CASES)
def test_what_runtimes_take(case: str, tmp_path: Path) -> None:
    assert_agrees(written(CASES[case], tmp_path))


def test_a_sparse_constant_too_large_to_write_out(tmp_path: Path) -> None:
    proto = model([node("Add", "x k", "y")], {"x": ("N", 3)})
    proto.graph.sparse_initializer.append(sparse([0.5], [0], (1 << 20, 1 << 20)))
    with pytest.raises(OverBudget, match=r"sparse initialiser 'k'.*1048576.*folded_bytes"):
        check(written(proto, tmp_path))


PARAMETERS = {"s": weights(4), "b": weights(4, seed=1), "m": weights(4, seed=2), "v": weights(4, seed=3) ** 2}


@pytest.mark.parametrize("opset", [7, 9, 13])
def test_five_outputs_train(opset: int, tmp_path: Path) -> None:
    """onnxruntime normalises by the statistics of the batch then, whether the other outputs are read or not."""
    proto = model([node("BatchNormalization", "x s b m v", "y o1 o2 o3 o4")], IMAGE, PARAMETERS, opset=opset)
    (problem,) = check(written(proto, tmp_path))
    assert (problem.code, problem.node) == ("CIM0104", "the_y")
    assert "statistics of the batch" in problem.message and "all outputs of the node but the first" in problem.hint


@pytest.mark.parametrize("outputs", ["y", "y rm rv"])
def test_training_mode(outputs: str, tmp_path: Path) -> None:
    nodes = [node("BatchNormalization", "x s b m v", outputs, training_mode=1)]
    (problem,) = check(written(model(nodes, IMAGE, PARAMETERS, opset=15), tmp_path))
    assert problem.code == "CIM0104" and "training_mode" in problem.message and "evaluation" in problem.hint


def test_the_converter_is_quoted_without_its_source(tmp_path: Path) -> None:
    """`spatial=0` means one mean an element, which no later opset says."""
    proto = model([node("BatchNormalization", "x s b m v", "y", spatial=0)], IMAGE, PARAMETERS, opset=7)
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0108" and ".h:" not in problem.message and "spatial" in problem.message
