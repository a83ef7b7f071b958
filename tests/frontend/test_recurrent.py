"""LSTM, GRU and RNN against onnxruntime, with and without a batch, and what is refused of them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, canonical, model, node, weights, written
from frontend.recurrent_models import STATES, recurrent

from cimc.evaluate import evaluate
from cimc.frontend import Specialisation, load
from cimc.ir import loop, nn
from cimc.ir.graph import Graph
from cimc.isa.errors import CimcError


def for_each_sample(operator: str, direction: str, length: int | None = None) -> onnx.ModelProto:
    """Return a model whose initial states and sequence lengths are constants, repeated for a batch of any size."""
    proto = recurrent(operator, direction, "constant", rows=1, lengths=None if length is None else [length])
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "N"
    (last,) = proto.graph.node
    shapes = [node("Shape", "x", "n", start=1, end=2), node("Concat", "one n one", "n3", axis=0)]
    repeated = {name: "n" if name == "lengths" else "n3" for name in ("lengths", "h", "c") if name in last.input}
    many = [node("Expand", f"{name} {shape}", f"{name}_n") for name, shape in repeated.items()]
    last.input[:] = [f"{name}_n" if name in repeated else name for name in last.input]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    nodes = [*shapes, *many, last]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


CASES: dict[str, onnx.ModelProto] = {
    **{
        f"{operator}_{direction}_{initial}": recurrent(operator, direction, initial)
        for operator in STATES
        for direction in ("forward", "reverse", "bidirectional")
        for initial in ("computed", "none")
    },
    "one_step": recurrent("LSTM", steps=1),
    "gru_reset_after": recurrent("GRU", "bidirectional", linear_before_reset=1),
    "lstm_peepholes": recurrent("LSTM", "bidirectional", peepholes=True),
    "lstm_coupled": recurrent("LSTM", input_forget=1),
    "lstm_clip": recurrent("LSTM", clip=0.4),
    "gru_clip": recurrent("GRU", clip=0.4),
    "rnn_relu": recurrent("RNN", activations=["Relu"]),
    "rnn_two_functions": recurrent(
        "RNN",
        "bidirectional",
        activations=["LeakyRelu", "ScaledTanh"],
        activation_alpha=[0.2, 1.5],
        activation_beta=[0.7],
    ),
    "lstm_functions": recurrent("LSTM", activations=["HardSigmoid", "Affine", "Tanh"], activation_alpha=[0.3, 0.5]),
    "constant_states": for_each_sample("LSTM", "forward"),
    "lengths_of_all_steps": for_each_sample("GRU", "reverse", 5),
    "same_lengths": for_each_sample("GRU", "bidirectional", 3),
}

UNBATCHED: dict[str, onnx.ModelProto] = {
    **{operator: recurrent(operator, "bidirectional", "constant", rows=3) for operator in STATES},
    **{
        f"{operator}_{direction}_lengths": recurrent(operator, direction, rows=3, lengths=[5, 1, 3])
        for operator in STATES
        for direction in ("forward", "reverse")
    },
}


@pytest.mark.parametrize("case", CASES)
def test_it_agrees_with_onnxruntime(case: str, tmp_path: Path) -> None:
    assert_agrees(written(CASES[case], tmp_path))


@pytest.mark.parametrize("case", UNBATCHED)
def test_it_agrees_unbatched(case: str, tmp_path: Path) -> None:
    assert_agrees(written(UNBATCHED[case], tmp_path), unbatched=True)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("operator", STATES)
def test_lengths_may_be_an_input(operator: str, direction: str, tmp_path: Path) -> None:
    rng, states = np.random.default_rng(0), STATES[operator]
    count = 2 if direction == "bidirectional" else 1
    inputs = {"x": rng.normal(size=(4, 5, 4)), "lengths": np.array([5, 1, 3, 4])}
    inputs |= {state: rng.normal(size=(4, count, 6)) for state in states}
    batched = {name: array.astype(np.float32) for name, array in inputs.items()}
    assert_agrees(written(recurrent(operator, direction, lengths="computed"), tmp_path), batched)
    alone = {name: array.swapaxes(0, 1)[None] if array.ndim > 1 else array[None] for name, array in batched.items()}
    assert_agrees(written(recurrent(operator, direction, rows=4, lengths="computed"), tmp_path), alone, unbatched=True)


@pytest.mark.parametrize("operator", STATES)
def test_an_empty_sequence_keeps_its_initial_state(operator: str, tmp_path: Path) -> None:
    """onnxruntime clears the state instead; the standard says nothing of it."""
    graph = load(written(recurrent(operator, rows=2, lengths=[0, 5]), tmp_path), Specialisation(unbatched=True))
    rng = np.random.default_rng(0)
    given = {"x": rng.normal(size=(1, 5, 2, 4)), **{state: rng.normal(size=(1, 1, 2, 6)) for state in STATES[operator]}}
    found = evaluate(graph, {name: array.astype(np.float32) for name, array in given.items()})
    assert not found["y"][:, :, :, 0].any()
    for state in STATES[operator]:
        np.testing.assert_array_equal(found[f"y_{state}"][:, :, 0], given[state][:, :, 0].astype(np.float32))


@pytest.mark.parametrize("unbatched", [False, True])
@pytest.mark.parametrize("operator", STATES)
def test_layout_1_is_layout_0_transposed(operator: str, unbatched: bool, tmp_path: Path) -> None:
    """onnxruntime has no layout 1 on the CPU: the same network in both layouts gives the same numbers."""
    rows = 3 if unbatched else "N"
    first, last = (recurrent(operator, "bidirectional", rows=rows, layout=layout) for layout in (0, 1))
    rng, samples = np.random.default_rng(0), 1 if unbatched else 4
    x, *states = (rng.normal(size=(samples, 3, *shape)) for shape in ((5, 4), (2, 6), (2, 6)))
    found = {}
    for layout, proto in ((0, first), (1, last)):
        given = dict(zip(("x", *STATES[operator]), (x, *states), strict=False))
        if not unbatched:
            given = {name: array[:, 0] for name, array in given.items()}
        elif not layout:
            given = {name: array.swapaxes(1, 2) for name, array in given.items()}
        graph = canonical(load(written(proto, tmp_path), Specialisation(unbatched)))
        found[layout] = evaluate(graph, {name: array.astype(np.float32) for name, array in given.items()})
    for name, array in found[1].items():
        before = found[0][name]
        if unbatched:
            before = before.transpose((0, 3, 1, 2, 4) if name == "y" else (0, 2, 1, 3))
        np.testing.assert_allclose(array, before, atol=1e-6)


def test_zero_states_of_an_export_with_a_free_batch(tmp_path: Path) -> None:
    """Shape -> Concat -> ConstantOfShape make states that depend on the batch size: zeros for any."""
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("Shape", "x", "n", start=0, end=1),
        node("Concat", "one n size", "shape", axis=0),
        node("ConstantOfShape", "shape", "zeros"),
        node("LSTM", "t w r b - zeros zeros", "all", hidden_size=6),
        node("Squeeze", "all one", "steps"),
        node("Transpose", "steps", "y", perm=[1, 0, 2]),
    ]
    constants = {"one": np.array([1]), "size": np.array([6]), "w": weights(1, 24, 4), "r": weights(1, 24, 6)}
    constants["b"] = weights(1, 48)
    assert_agrees(written(model(nodes, {"x": ("N", 5, 4)}, constants), tmp_path))


def loop_of(graph: Graph) -> loop.ScanOp:
    return next(op for op in graph.operations if isinstance(op, loop.ScanOp))


def test_the_loop_does_not_grow_with_the_sequence(tmp_path: Path) -> None:
    counts = {len(load(written(recurrent("LSTM", steps=steps), tmp_path)).operations) for steps in (3, 300)}
    assert len(counts) == 1


def test_the_inputs_part_is_one_product_before_the_loop(tmp_path: Path) -> None:
    graph = load(written(recurrent("LSTM"), tmp_path))
    assert [type(op) for op in loop_of(graph).body.ops].count(nn.DenseOp) == 1
    assert [type(op) for op in graph.module.ops].count(nn.DenseOp) == 1


def test_outputs_without_a_name_cost_nothing(tmp_path: Path) -> None:
    """Only the last state is wanted: nothing of the steps is kept."""
    constants = {"w": weights(1, 18, 4), "r": weights(1, 18, 6)}
    graph = assert_agrees(
        written(model([node("GRU", "x w r", "- y", hidden_size=6)], {"x": (5, "N", 4)}, constants), tmp_path)
    )
    assert len(loop_of(graph).kept) == 0


def changed(proto: onnx.ModelProto, **constants: Any) -> onnx.ModelProto:
    """Return the model with some constants replaced."""
    for tensor in proto.graph.initializer:
        if tensor.name in constants:
            tensor.CopyFrom(onnx.numpy_helper.from_array(constants[tensor.name], tensor.name))
    return proto


REFUSALS: dict[str, tuple[onnx.ModelProto, str, str]] = {
    "length_beyond": (for_each_sample("RNN", "forward", 9), "CIM0102", "from 9 to 9, each must be 0 to 5"),
    "lengths_differ": (
        recurrent("RNN", initial="none", rows=2, lengths=[5, 3], layout=1),
        "CIM0109",
        "'lengths' differs between samples",
    ),
    "states_differ": (recurrent("RNN", initial="constant", rows=2, layout=1), "CIM0109", "'h' differs between samples"),
    "activation": (recurrent("RNN", activations=["Sinh"]), "CIM0104", "activation 'sinh'"),
    "activation_count": (recurrent("LSTM", activations=["Tanh"]), "CIM0102", "1 activations for 1 x 3 functions"),
    "weight_shape": (changed(recurrent("RNN"), w=weights(1, 6, 3)), "CIM0102", "'w' has shape (1, 6, 3), (1, 6, 4)"),
    "bias_shape": (changed(recurrent("RNN"), b=weights(1, 6)), "CIM0102", "'b' has shape (1, 6), (1, 12)"),
    "state_shape": (
        changed(recurrent("RNN", initial="constant", rows=1, layout=1), h=weights(1, 1, 5)),
        "CIM0102",
        "initial state 'h' has shape (5,), (6,) is needed",
    ),
    "fixed_batch": (recurrent("RNN", initial="none", rows=2), "CIM0109", "batch of 'x' does not lie along axis 1"),
    "hidden_size": (recurrent("RNN", hidden=6, steps=0), "CIM0107", "shape (0, '?', 4)"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_it_is_refused(case: str, tmp_path: Path) -> None:
    proto, code, sentence = REFUSALS[case]
    with pytest.raises(CimcError) as caught:
        load(written(proto, tmp_path))
    assert any(found.code == code and sentence in found.message for found in caught.value.diagnostics), caught.value
