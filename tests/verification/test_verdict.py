"""The whole proof: each arrow of real numbers counts by itself."""

import numpy as np
import pytest
from command_line.files import SAMPLES

import cimc
from cimc.diagnostics import fail
from cimc.proof import verdict
from cimc.proof.float_graph import FloatCheck, Wrong


@pytest.fixture(scope="module")
def digits():
    with np.load(SAMPLES / "digits_calib.npz") as found:
        data = (found["x"] * 0.0625).astype(np.float32)
    program = cimc.compile_model(SAMPLES / "digits.onnx", calibration=data)
    return program, {"image": data[:2].reshape(2, *program.inputs[0].model_shape)}


def refused(*_):
    raise fail("CIM0211", "nothing runs the file")


def test_a_wrong_node_counts_where_nothing_gives_the_outputs(digits, monkeypatch):
    wrong = FloatCheck("onnx's reference evaluator", 1, wrong={"n": Wrong("n", "t", 0, (0,), 1.0, 2.0)})
    monkeypatch.setattr(verdict, "float_graph", lambda *_: wrong)
    monkeypatch.setattr(verdict, "float_distances", refused)
    proof = verdict.proved(str(SAMPLES / "digits.onnx"), *digits, 0)
    assert not proof.ok and proof.imported is wrong


def test_the_outputs_are_told_where_nothing_runs_the_graph(digits, monkeypatch):
    monkeypatch.setattr(verdict, "float_graph", refused)
    proof = verdict.proved(str(SAMPLES / "digits.onnx"), *digits, 0)
    assert proof.ok and proof.imported is None and len(proof.distances) == 1


def test_what_the_file_computes_is_left_out_where_nobody_asks(digits, monkeypatch):
    monkeypatch.setattr(verdict, "float_graph", refused)
    monkeypatch.setattr(verdict, "float_distances", refused)
    proof = verdict.proved(str(SAMPLES / "digits.onnx"), *digits, 0, with_float=False)
    assert proof.ok and proof.tensors
