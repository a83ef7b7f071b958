"""The operators of transformers against onnxruntime: products, normalisation, attention, embeddings, masks."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, canonical, model, node, operations, samples, weights, written
from onnx import TensorProto

from cimc.evaluate import evaluate
from cimc.frontend import Specialisation, load
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.nn import Movement, SelectOp

ROWS = {"x": ("N", 5, 6)}
QKV = {"q": ("N", 3, 4, 8), "k": ("N", 3, 5, 8), "v": ("N", 3, 5, 6)}
FLAT = {"q": ("N", 4, 24), "k": ("N", 5, 24), "v": ("N", 5, 18)}
CAUSAL = np.where(np.tril(np.ones((5, 5))) > 0, 0.0, -1e9)
NEVER = float(np.finfo(np.float32).min)


def one(operator: str, inputs: str, shapes: Any, constants: Any = None, **attributes: Any) -> onnx.ModelProto:
    return model([node(operator, inputs, "y", **attributes)], shapes, constants, opset=24)


def masked(mask: list[onnx.NodeProto], constants: Any, **kinds: int) -> onnx.ModelProto:
    """Return scores x, hidden as `mask` computes `s`, and their softmax."""
    inputs = {"x": ("N", 2, 5, 5)} | ({"m": ("N", 5)} if kinds else {})
    return model([*mask, node("Softmax", "s", "y")], inputs, constants, kinds=kinds)


PADDING = [node("Unsqueeze", "m axes", "u"), node("Cast", "u", "f", to=TensorProto.FLOAT), node("Sub", "one f", "n")]
NUMBERS = {"axes": np.array([1, 2]), "one": 1.0, "huge": -1e9, "never": NEVER, "none": -np.inf, "zero": 0.0}

CASES = {
    "matmul": one("MatMul", "a b", {"a": ("N", 3, 5, 6), "b": ("N", 3, 6, 4)}),
    "matmul_broadcast": one("MatMul", "a b", {"a": ("N", 3, 5, 6), "b": ("N", 1, 6, 4)}),
    "matmul_stack_of_constants": one("MatMul", "x c", {"x": ("N", 3, 5, 6)}, {"c": weights(3, 6, 4)}),
    "matmul_constant_stack_first": one("MatMul", "c x", {"x": ("N", 3, 5, 6)}, {"c": weights(3, 4, 5)}),
    "matmul_many_axes": one("MatMul", "a b", {"a": ("N", 2, 2, 2, 5, 6), "b": ("N", 2, 2, 2, 6, 4)}),
    "layer_norm": one("LayerNormalization", "x s b", ROWS, {"s": weights(6), "b": weights(6, seed=1)}),
    "layer_norm_two_axes": one("LayerNormalization", "x s", ROWS, {"s": weights(5, 6)}, axis=-2, epsilon=0.01),
    "rms_norm": one("RMSNormalization", "x s", ROWS, {"s": weights(6)}, epsilon=1e-3),
    "instance_norm": one(
        "InstanceNormalization", "x s b", {"x": ("N", 3, 4, 5)}, {"s": weights(3), "b": weights(3, seed=1)}
    ),
    "group_norm": one(
        "GroupNormalization", "x s b", {"x": ("N", 6, 4, 5)}, {"s": weights(6), "b": weights(6, seed=1)}, num_groups=3
    ),
    "lp_norm": one("LpNormalization", "x", ROWS, axis=1),
    "gelu": one("Gelu", "x", ROWS),
    "gelu_tanh": one("Gelu", "x", ROWS, approximate="tanh"),
    "swish": one("Swish", "x", ROWS, alpha=1.5),
    "erf": one("Erf", "x", ROWS),
    "where": one("Where", "c a b", {"a": ("N", 5, 6), "b": ("N", 1, 6)}, {"c": weights(5, 1) > 0}),
    "where_constant": one("Where", "c x v", ROWS, {"c": weights(5, 6) > 0, "v": 2.5}),
    "attention": one("Attention", "q k v", QKV),
    "attention_flat": one("Attention", "q k v", FLAT, q_num_heads=3, kv_num_heads=3, scale=0.1),
    "attention_mask": one("Attention", "q k v m", QKV, {"m": weights(4, 5)}),
    "attention_bool_mask": one("Attention", "q k v m", QKV, {"m": np.tri(4, 5, 1, dtype=bool)}),
    "attention_causal": one("Attention", "q k v", QKV, is_causal=1, softcap=2.0),
    "attention_groups": one(
        "Attention", "q k v", {"q": ("N", 4, 3, 8), "k": ("N", 2, 5, 8), "v": ("N", 2, 5, 8)}, is_causal=1
    ),
    "mask_constant": masked([node("Add", "x c", "s")], {"c": CAUSAL[None, None]}),
    "mask_before_scale": masked(
        [node("Add", "x c", "t"), node("Mul", "t factor", "s")], {"c": CAUSAL[None, None], "factor": 0.125}
    ),
    "mask_before_bias": masked(
        [node("Where", "c x none", "t"), node("Mul", "x x", "q"), node("Add", "t q", "s")],
        NUMBERS | {"c": CAUSAL == 0.0},
    ),
    "mask_infinite": masked([node("Where", "c x none", "s")], NUMBERS | {"c": CAUSAL == 0.0}),
    "mask_where_first": masked([node("Where", "c never x", "s")], NUMBERS | {"c": CAUSAL != 0.0}),
    "mask_padding": masked(
        [*PADDING, node("Mul", "n huge", "t"), node("Add", "x t", "s")], NUMBERS, m=TensorProto.INT64
    ),
    "mask_padding_first": masked(
        [*PADDING, node("Mul", "never n", "t"), node("Add", "t x", "s")], NUMBERS, m=TensorProto.INT64
    ),
    "mask_padding_and_causal": masked(
        [*PADDING, node("Mul", "n huge", "t"), node("Add", "t c", "b"), node("Add", "x b", "s")],
        NUMBERS | {"c": CAUSAL[None, None]},
        m=TensorProto.INT64,
    ),
    "mask_of_truth": masked(
        [node("Unsqueeze", "m axes", "u"), node("Where", "u zero huge", "t"), node("Add", "x t", "s")],
        NUMBERS,
        m=TensorProto.BOOL,
    ),
    "embedding": model(
        [node("Gather", "w i", "y")], {"i": ("N", 7)}, {"w": weights(11, 4)}, kinds={"i": TensorProto.INT64}
    ),
    "embedding_32": model(
        [node("Gather", "w i", "y")], {"i": ("N", 7)}, {"w": weights(300, 4)}, kinds={"i": TensorProto.INT32}
    ),
}


def is_masked_last(graph: Graph) -> bool:
    """Say whether nothing but movements lies between the choice that hides and the softmax."""
    op = next(op for op in graph.module.ops if op.name == "nn.softmax").operands[0].owner
    while isinstance(op, Movement):
        op = op.operands[0].owner
    return isinstance(op, SelectOp) and op.hides is not None


@pytest.mark.parametrize("name", CASES)
def test_agrees(name: str, tmp_path: Path) -> None:
    rng, inputs = np.random.default_rng(7), None
    if name.startswith("mask_padding") or name == "mask_of_truth":
        keep = np.arange(5) < np.array([[5], [3]])
        inputs = {"x": rng.normal(0.0, 2.0, (2, 2, 5, 5)).astype(np.float32), "m": keep.astype(np.float32)}
    graph = assert_agrees(written(CASES[name], tmp_path), inputs)
    if name.startswith("mask"):
        assert [op.hides is not None for op in graph.module.ops if op.name == "nn.select"].count(True) == 1
        assert name == "mask_before_bias" or "add" not in operations(graph)
        assert is_masked_last(graph)


SQUARE = [node("ReduceMean", "x last", "m"), node("Sub", "x m", "d"), node("Pow", "d two", "p")]
MOMENTS = {"last": np.array([-1]), "two": 2.0, "e": 1e-5, "g": weights(6), "h": weights(6, seed=1), "half": -0.5}
SPELLED = {
    "layer": [
        *SQUARE,
        node("ReduceMean", "p last", "v"),
        node("Add", "v e", "w"),
        node("Sqrt", "w", "r"),
        node("Div", "d r", "q"),
        node("Mul", "q g", "z"),
        node("Add", "z h", "y"),
    ],
    "rms": [
        node("Mul", "x x", "p"),
        node("ReduceMean", "p last", "v"),
        node("Add", "e v", "w"),
        node("Sqrt", "w", "s"),
        node("Reciprocal", "s", "r"),
        node("Mul", "x r", "q"),
        node("Mul", "g q", "y"),
    ],
    "rms_by_power": [
        node("Pow", "x two", "p"),
        node("ReduceMean", "p last", "v"),
        node("Add", "v e", "w"),
        node("Pow", "w half", "r"),
        node("Mul", "r x", "y"),
    ],
}


@pytest.mark.parametrize("name", SPELLED)
def test_a_spelled_out_normalisation_is_one_operation(name: str, tmp_path: Path) -> None:
    path = written(model(SPELLED[name], ROWS, MOMENTS), tmp_path)
    graph = assert_agrees(path)
    assert operations(graph) == ["norm"]
    norm = next(op for op in graph.module.ops if op.name == "nn.norm")
    assert {f"the_{part.output[0]}" for part in SPELLED[name]} <= set(names_of(norm.location))


ROOT = {"root": 1.41421356, "one": 1.0, "half": 0.5, "quick": 1.702, "cube": 0.044715, "two": np.sqrt(2 / np.pi)}
GELUS = {
    "gelu": [
        node("Div", "x root", "a"),
        node("Erf", "a", "b"),
        node("Add", "b one", "c"),
        node("Mul", "x c", "d"),
        node("Mul", "d half", "y"),
    ],
    "gelu first": [
        node("Mul", "x half", "h"),
        node("Div", "x root", "a"),
        node("Erf", "a", "b"),
        node("Add", "b one", "c"),
        node("Mul", "h c", "y"),
    ],
    "gelu_tanh": [
        node("Mul", "x x", "s"),
        node("Mul", "s x", "p"),
        node("Mul", "p cube", "q"),
        node("Add", "x q", "r"),
        node("Mul", "r two", "t"),
        node("Tanh", "t", "u"),
        node("Add", "u one", "v"),
        node("Mul", "x half", "h"),
        node("Mul", "h v", "y"),
    ],
    "swish": [node("Sigmoid", "x", "s"), node("Mul", "x s", "y")],
    "swish quick": [node("Mul", "x quick", "q"), node("Sigmoid", "q", "s"), node("Mul", "x s", "y")],
}


@pytest.mark.parametrize("name", GELUS)
def test_a_spelled_out_function_is_one_table(name: str, tmp_path: Path) -> None:
    graph = assert_agrees(written(model(GELUS[name], ROWS, ROOT), tmp_path))
    tables = [op.function.data for op in graph.module.ops if op.name == "nn.unary"]
    assert tables == [name.split()[0]] and "mul" not in operations(graph)


def test_a_product_that_is_no_known_function_stays(tmp_path: Path) -> None:
    nodes = [node("Tanh", "x", "s"), node("Mul", "x s", "y")]
    assert operations(assert_agrees(written(model(nodes, ROWS), tmp_path))) == ["unary", "mul"]


STACK = {"q": (2, 4, 3, 8), "k": (2, 2, 5, 8), "v": (2, 2, 5, 6)}
VECTORS = {"s": (6,), "b": (6,)}
UNBATCHED = {
    "attention": one("Attention", "q k v m", STACK | {"m": (3, 5)}),
    "attention_flat": one(
        "Attention", "q k v", {"q": (2, 3, 24), "k": (2, 5, 24), "v": (2, 5, 18)}, q_num_heads=3, kv_num_heads=3
    ),
    "layer_norm_of_computed_scale": one("LayerNormalization", "x s b", {"x": (2, 5, 6)} | VECTORS),
    "rms_norm_of_computed_scale": one("RMSNormalization", "x s", {"x": (2, 5, 6), "s": (5, 6)}, axis=1),
    "instance_norm": one("InstanceNormalization", "x s b", {"x": (2, 6, 4, 5)} | VECTORS),
    "group_norm": one(
        "GroupNormalization", "x s b", {"x": (2, 6, 4)}, {"s": weights(6), "b": weights(6, seed=1)}, num_groups=2
    ),
    "vector_times_matrix": one("MatMul", "a b", {"a": (4,), "b": (2, 4, 3)}),
    "matrix_times_vector": one("MatMul", "a b", {"a": (2, 3, 4), "b": (4,)}),
    "vector_times_vector": one("MatMul", "a b", {"a": (4,), "b": (4,)}),
}


@pytest.mark.parametrize("name", UNBATCHED)
def test_agrees_without_a_batch(name: str, tmp_path: Path) -> None:
    path = written(UNBATCHED[name], tmp_path)
    assert_agrees(path, samples(load(path, Specialisation(unbatched=True)), batch=1), unbatched=True)


def test_a_row_that_a_boolean_mask_hides_is_zero(tmp_path: Path) -> None:
    """As the operator's definition says; onnxruntime of some versions gives NaN there."""
    mask = np.array([[True, False, True, True, False], [False] * 5, [True] * 5])
    path = written(one("Attention", "q k v m", {**QKV, "q": ("N", 3, 3, 8)}, {"m": mask}), tmp_path)
    graph = canonical(load(path))
    found = evaluate(graph, samples(graph))["y"]
    assert not found[:, :, 1].any() and found[:, :, 0].all()
