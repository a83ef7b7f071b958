"""Nothing is lost: every output that something reads is right, constant, or refused by name."""

from pathlib import Path

import pytest
from frontend.onnx_models import assert_agrees, model, node, weights, written
from onnx import TensorProto

from cimc.frontend import check, importing, movement
from cimc.frontend.operators import OPERATORS

IMAGE = {"x": ("N", 4, 6, 5)}
MASKED = [
    node("Dropout", "x", "d mask"),
    node("Cast", "mask", "m", to=TensorProto.FLOAT),
    node("Mul", "d m", "y"),
]


@pytest.mark.parametrize("opset", [12, 13, 21])
def test_the_mask_of_a_dropout_keeps_everything(opset: int, tmp_path: Path) -> None:
    assert_agrees(written(model(MASKED, IMAGE, opset=opset), tmp_path))


@pytest.mark.parametrize("opset", [9, 10])
def test_the_mask_was_undefined_before_opset_12(opset: int, tmp_path: Path) -> None:
    """onnxruntime gives false, where the later definition says true."""
    (problem,) = check(written(model(MASKED, IMAGE, opset=opset), tmp_path))
    assert (problem.code, problem.node) == ("CIM0104", "the_d") and "before opset 12" in problem.message


def test_a_mask_in_a_choice(tmp_path: Path) -> None:
    nodes = [node("Dropout", "x", "d mask"), node("Not", "mask", "n"), node("Where", "n c d", "y")]
    assert_agrees(written(model(nodes, IMAGE, {"c": weights(5)}), tmp_path))


def test_only_the_mask_is_an_output(tmp_path: Path) -> None:
    nodes = [node("Dropout", "x", "d y"), node("Relu", "x", "r")]
    proto = model(nodes, IMAGE, outputs=("r", "y"))
    proto.graph.output[1].type.tensor_type.elem_type = TensorProto.BOOL
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0110" and "'y'" in problem.message


READ_SECOND = {
    "BatchNormalization": node("BatchNormalization", "x s s s s", "a b c d e"),
    "MaxPool": node("MaxPool", "x", "a b", kernel_shape=[2, 2]),
}


@pytest.mark.parametrize("operator", READ_SECOND)
def test_an_output_without_translation_is_refused_where_it_is_read(operator: str, tmp_path: Path) -> None:
    nodes = [READ_SECOND[operator], node("Cast", "b", "f", to=TensorProto.FLOAT), node("Neg", "f", "y")]
    found = check(written(model(nodes, IMAGE, {"s": weights(4) ** 2}, outputs=("a", "y"), opset=13), tmp_path))
    assert {(problem.node, problem.code) for problem in found} >= {("the_a", "CIM0104")}, [p.render() for p in found]


def test_indices_that_nothing_reads(tmp_path: Path) -> None:
    assert_agrees(written(model([node("MaxPool", "x", "y i", kernel_shape=[2, 2])], IMAGE), tmp_path))


def test_a_translation_that_gives_too_few_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the operator: the check stands behind all of them."""
    monkeypatch.setitem(OPERATORS, "Split", lambda at: movement.split(at)[0])  # type: ignore[arg-type]
    nodes = [node("Split", "x", "a b", axis=1, num_outputs=2), node("Add", "a b", "y")]
    (problem,) = check(written(model(nodes, IMAGE), tmp_path))
    assert problem.code == "CIM0104" and "output 'b' is used" in problem.message


def test_a_lost_tensor_is_our_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_translate", lambda site, read: None)
    with pytest.raises(AssertionError, match="lost in translation: \\['y'\\]"):
        importing.load(written(model([node("Relu", "x", "y")], IMAGE), tmp_path))


def test_an_output_may_be_an_input(tmp_path: Path) -> None:
    assert_agrees(written(model([node("Relu", "x", "y")], IMAGE, outputs=("y", "x")), tmp_path))
