"""Networks in jax against onnxruntime on the same graph."""

from pathlib import Path

import numpy as np
import pytest
from evaluate.graphs import one
from frontend.recurrent_models import recurrent
from targets.stages import normal, perceptron, residual
from training.networks import samples

from cimc.diagnostics import DiagnosticError
from cimc.driving.driver import Request, compile_to_stage
from cimc.evaluate import evaluate, to_onnx
from cimc.ir import nn
from cimc.ir.graph import Graph
from cimc.targets import load_target

jax = pytest.importorskip("jax", reason="the extra `train` is not installed")

from cimc.training import network  # noqa: E402
from cimc.training.operations import OPERATIONS  # noqa: E402

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def canonical(path: Path) -> Graph:
    return compile_to_stage(path, Request(load_target("aon-cim")), "graph")


def assert_equal_to_onnxruntime(graph: Graph, inputs: dict[str, np.ndarray]) -> None:
    made = network.Network(graph)
    found = np.asarray(jax.jit(lambda x: made.values(made.weights, x)[made.output.x])(inputs))
    wanted = next(iter(evaluate(graph, inputs).values()))
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("graph", [perceptron(6, 5, 4), residual()], ids=["perceptron", "residual"])
def test_graphs_compute_what_onnxruntime_says(graph: Graph) -> None:
    shape = (6,) if len(list(graph.module.ops)) < 5 else (6, 6, 3)
    assert_equal_to_onnxruntime(graph, samples(5, *shape))


@pytest.mark.parametrize("name", ["digits", "digits_transformer"])
def test_sample_models_compute_what_onnxruntime_says(name: str) -> None:
    images = np.load(SAMPLES / "digits_test.npz")
    graph = canonical(SAMPLES / f"{name}.onnx")
    op = next(op for op in graph.module.ops if isinstance(op, nn.InputOp))
    shape = [int(size) for size in op.model_shape.get_values()]
    x = np.asarray(images["x"][:4], np.float32).reshape(4, *shape) / 16
    assert_equal_to_onnxruntime(graph, {op.label.data: x})


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_loops_compute_what_onnxruntime_says(tmp_path: Path, direction: str) -> None:
    model = recurrent("LSTM", direction, initial="none")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    graph = canonical(tmp_path / "m.onnx")
    op = next(op for op in graph.module.ops if isinstance(op, nn.InputOp))
    shape = [int(size) for size in op.model_shape.get_values()]
    assert_equal_to_onnxruntime(graph, {op.label.data: normal(3, *shape)})


@pytest.mark.parametrize(
    ("function", "parameters"),
    [("sigmoid", []), ("gelu", []), ("gelu_tanh", []), ("hard_swish", []), ("swish", [1.5]), ("elu", [0.7]),
     ("leaky_relu", [0.1]), ("hard_sigmoid", [0.2, 0.5]), ("mish", []), ("softplus", []), ("erf", []), ("abs", [])],
)  # fmt: skip
def test_functions_compute_what_onnxruntime_says(function: str, parameters: list[float]) -> None:
    graph = one(nn.UnaryOp, [((9,), None)], (9,), function=function, parameters=parameters)
    x = normal(3, 9)
    op = next(op for op in graph.module.ops if isinstance(op, nn.UnaryOp))
    found = OPERATIONS[nn.UnaryOp](op, [x], graph.weights.get)
    np.testing.assert_allclose(found, next(iter(evaluate(graph, {"a": x}).values())), rtol=1e-4, atol=1e-5)


def test_an_operation_without_a_meaning_is_refused_by_node() -> None:
    graph = one(nn.UnaryOp, [((4,), None)], (4,), function="cosh", parameters=[])
    with pytest.raises(DiagnosticError, match=r"CIM0121.*'y'.*cosh"):
        network.Network(graph)


def test_other_weights_make_another_graph_and_leave_the_first() -> None:
    graph = perceptron(6, 5, 4)
    made = network.Network(graph)
    doubled = made.with_weights({key: 2 * array for key, array in made.weights.items()})
    inputs = samples(3, 6)
    first, second = (next(iter(evaluate(one_, inputs).values())) for one_ in (graph, doubled))
    assert not np.allclose(first, second)
    assert np.allclose(network.Network(doubled).weights["weight"], 2 * made.weights["weight"])
    same = made.with_weights(made.weights)
    assert to_onnx(same).SerializeToString() == to_onnx(graph).SerializeToString()
