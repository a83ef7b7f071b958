"""Small ONNX models, and the question asked of each: does the imported graph compute what onnxruntime computes?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cimc.driving.float_model import run_float
from cimc.evaluate import evaluate
from cimc.frontend import Specialisation, load
from cimc.ir.attributes import int_values
from cimc.ir.graph import Graph
from cimc.ir.nn import InputOp
from cimc.ir.text import parse_graph, print_graph
from cimc.ir.verify import require_sound
from cimc.passes.dead_code import DeadCode
from cimc.passes.fold_affine import FoldAffine
from cimc.passes.fold_pads import FoldPads
from cimc.passes.fold_reshapes import FoldReshapes
from cimc.passes.fuse_clamp import FuseClamp
from cimc.passes.fuse_functions import FuseFunctions
from cimc.passes.layout.layout import Layout
from cimc.passes.masks import Masks

Array = NDArray[Any]
CANONICAL = (Masks(), FuseFunctions(), Layout(), FoldAffine(), FoldPads(), FoldReshapes(), FuseClamp(), DeadCode())


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node; tensor names are separated by blanks, `-` leaves one out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(operator, names, outputs.split(), name=f"the_{outputs.split()[0]}", **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    constants: Mapping[str, Any] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 21,
    kind: int = TensorProto.FLOAT,
    kinds: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """Return a model; shapes of inputs include the batch, constants are arrays or lists (float32 unless integers)."""
    tensors = [numpy_helper.from_array(_array(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, (kinds or {}).get(name, kind), shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        tensors,
    )
    version = 13 if opset > 26 else 10 if opset >= 19 else 8
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version)


def _array(value: Any) -> Array:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def weights(*shape: int, seed: int = 0) -> Array:
    """Return seeded weights."""
    return np.random.default_rng(seed).normal(0.0, 0.5, shape).astype(np.float32)


def written(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def canonical(graph: Graph) -> Graph:
    """Run the canonicalising passes, each followed by the verifier."""
    require_sound(graph, "import")
    for one in CANONICAL:
        graph = one(graph)
        require_sound(graph, one.name)
    return graph


def samples(graph: Graph, batch: int = 2, scale: float = 2.0) -> dict[str, Array]:
    """Return seeded inputs [batch, *per-sample shape] of an imported model."""
    rng = np.random.default_rng(1)
    inputs = [op for op in graph.module.ops if isinstance(op, InputOp)]
    return {op.label.data: _sample(rng, op, (batch, *int_values(op.model_shape)), scale) for op in inputs}


def _sample(rng: np.random.Generator, op: InputOp, shape: tuple[int, ...], scale: float) -> Array:
    if op.integers is None:
        return rng.normal(0.0, scale, shape).astype(np.float32)
    low, high = int_values(op.integers) or (0, 1)
    return rng.integers(low, high + 1, shape).astype(np.float32)


def assert_agrees(path: Path, inputs: Mapping[str, Array] | None = None, unbatched: bool = False) -> Graph:
    """Compare the imported and the canonical graph with onnxruntime; return the canonical graph."""
    graph = load(path, Specialisation(unbatched))
    inputs = inputs or samples(graph)
    want = run_float(path, graph, inputs)
    assert_equal(evaluate(graph, inputs), want)
    graph = canonical(load(path, Specialisation(unbatched)))
    assert_equal(evaluate(graph, inputs), want)
    source = print_graph(graph)
    assert print_graph(parse_graph(source)) == source
    return graph


def assert_equal(found: Mapping[str, Array], want: Mapping[str, Array]) -> None:
    assert found.keys() == want.keys()
    for name, array in want.items():
        assert found[name].shape == array.shape, name
        tolerance = 1e-4 * max(float(np.max(np.abs(array))), 1e-3)
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=tolerance, err_msg=name)


def operations(graph: Graph) -> list[str]:
    """Return the names of a graph's operations without the dialect, inputs and outputs left out."""
    return [op.name[3:] for op in graph.module.ops if op.name not in ("nn.input", "nn.output")]
