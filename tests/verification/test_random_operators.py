"""Random models of the second generator: every tensor of the import is right by the rule of docs/verification.md."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from frontend.random_operators import random_operators

from cimc.driving.driver import graph_intakes
from cimc.frontend import load_traced
from cimc.isa.errors import CimcError
from cimc.proof.float_graph import ONNXRUNTIME, FloatCheck, check_float

IN_CI, AT_NIGHT, AT_ONCE = 20, 400, 20
SAMPLES = 4


def test_random_operators(tmp_path: Path) -> None:
    assert [seed for seed in range(IN_CI) if not is_right(seed, tmp_path)] == []


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(IN_CI, AT_NIGHT, AT_ONCE))
def test_many_random_operators(first: int, tmp_path: Path) -> None:
    assert [seed for seed in range(first, first + AT_ONCE) if not is_right(seed, tmp_path)] == []


def test_the_generator_draws_26_operators_and_every_batch() -> None:
    models = [random_operators(seed) for seed in range(200)]
    drawn = {node.op_type for model in models for node in model.graph.node}
    batches = {model.graph.input[0].type.tensor_type.shape.dim[0].dim_value for model in models}
    assert len(drawn) >= 26 and batches == {0, 1, 2}


def is_right(seed: int, folder: Path) -> bool:
    """Return whether the model of a seed is taken, run by onnxruntime and right; say what is not."""
    path, proto = folder / "random.onnx", random_operators(seed)
    path.write_bytes(proto.SerializeToString())
    try:
        found = checked(path, seed)
    except CimcError as refusal:
        print(f"seed {seed}: {refusal}\n{onnx.printer.to_text(proto.graph)}")
        return False
    outputs = {value.name for value in proto.graph.output}
    right = found.ok and found.runtime == ONNXRUNTIME and outputs <= found.covered
    if not right:
        print(f"seed {seed}: {found}\n{onnx.printer.to_text(proto.graph)}")
    return right


def checked(path: Path, seed: int) -> FloatCheck:
    imported, rng = load_traced(path), np.random.default_rng(seed)
    intakes = graph_intakes(imported.graph)
    inputs = {one.name: rng.normal(0.0, 1.0, (SAMPLES, *one.shape)).astype(np.float32) for one in intakes}
    return check_float(path, imported, inputs)
