"""Runs that start at a layer: from every layer on, golden tensors give the outputs of the whole run."""

import numpy as np
import pytest
from command_line.files import SAMPLES

import cimc
from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.machine.traps import Refusal
from cimc.bringup.resuming import resumed, tensor_codes


@pytest.fixture(scope="module")
def digits():
    with np.load(SAMPLES / "digits_calib.npz") as calibration, np.load(SAMPLES / "digits_test.npz") as test:
        program = cimc.compile_model(SAMPLES / "digits.onnx", calibration=calibration["x"] * 0.0625)
        port = program.inputs[0]
        real = np.asarray(test["x"][:3] * 0.0625, np.float32).reshape(3, *port.model_shape)
    codes = {port.name: ports.quantise(port, real)}
    return program, codes, tensor_codes(program, codes)


def test_every_layer_starts_a_run(digits):
    program, codes, tensors = digits
    whole = Interpreter(program).run(codes)
    for layer in program.layers:
        rest = resumed(program, layer.nodes[-1])
        given = {port.name: tensors[port.name] for port in rest.inputs}
        found = Interpreter(rest).run(given)
        assert all(np.array_equal(found[name], whole[name]) for name in whole), layer.name


def test_only_what_is_still_read_is_asked_for(digits):
    program, _, _ = digits
    asked = {layer.name: {port.name for port in resumed(program, layer.name).inputs} for layer in program.layers}
    assert asked[program.layers[0].name] == {"image"}
    assert asked["node_add_30"] == {"relu_1", "conv2d_2"}
    assert asked["node_linear"] == {"max_pool2d_1"}


def test_a_changed_tensor_changes_the_output(digits):
    program, codes, tensors = digits
    rest = resumed(program, "node_linear")
    (port,) = rest.inputs
    other = Interpreter(rest).run({port.name: tensors[port.name] * 0})
    assert not np.array_equal(other["logits"], Interpreter(program).run(codes)["logits"])


def test_no_such_layer(digits):
    with pytest.raises(Refusal, match="CIM0565"):
        resumed(digits[0], "nowhere")
