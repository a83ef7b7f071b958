"""Data counters are those of another engine: onnxruntime's tensors of the exported graph, to the last digit."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from models.models import MODELS

from cimc.backends.cost.counters import Counters, total
from cimc.backends.cost.observed import DataCounting
from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.driving.arrays import feed, load_arrays
from cimc.driving.driver import Request, compile_model
from cimc.driving.feeding import EVERY, Feeding, program_intakes
from cimc.evaluate import to_onnx
from cimc.targets import load_target

TARGET = load_target("aon-cim")


def of_onnxruntime(model, inputs):
    """Return tensor -> counters summed over samples, from the inputs of all products with a constant matrix."""
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    products = [one for one in model.graph.node if one.op_type == "MatMul" and one.input[1] in constants]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in {one.input[0] for one in products})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = defaultdict(Counters)
    for node in products:
        vectors, matrix = np.abs(session.run([node.input[0]], inputs)[0]), np.abs(constants[node.input[1]])
        vectors = vectors.reshape(-1, len(matrix)).astype(np.int64)
        phases = -(-matrix.shape[1] // TARGET.converters)
        found[node.name.rpartition(":")[0]] += Counters(
            row_on=phases * int(np.count_nonzero(vectors)),
            pulse=phases * int(vectors.sum()),
            charge=int(vectors.sum(axis=0) @ matrix.sum(axis=1).astype(np.int64)),
        )
    return found


def of_the_interpreter(program, inputs):
    """Return tensor -> counters summed over samples."""
    counting = DataCounting(program)
    Interpreter(program).run({port.name: ports.quantise(port, inputs[port.name]) for port in program.inputs}, counting)
    found = defaultdict(Counters)
    for index in range(len(program.instructions)):
        if counting.means(index):
            found[program.layer_at(index).tensor] += total(counting.means(index).values()).times(counting.samples)
    return found


def compare(path, calibration, test, stated, limit):
    def data(intakes, source=calibration, limit=None):
        return feed(load_arrays(str(source)), intakes, str(source), limit)

    compilation = compile_model(path, Request(TARGET, data=data, preprocessing={EVERY: stated}))
    program = compilation.emission.program
    inputs = data(program_intakes(program, Feeding()), test, limit)
    wanted = of_onnxruntime(to_onnx(compilation.graph), inputs)
    found = of_the_interpreter(program, inputs)
    known = ("row_on", "pulse", "charge")
    assert {tensor: one.only(known) for tensor, one in found.items()} == dict(wanted)


def test_data_counters_of_a_small_network():
    samples = Path(__file__).parents[2] / "samples"
    files = (samples / f"digits{end}" for end in (".onnx", "_calib.npz", "_test.npz"))
    compare(*files, {"scale": 0.0625}, 40)


SAMPLES = {"kws_dscnn_fp32": 100, "resnet8_cifar10_fp32": 40, "vww_mobilenetv1_fp32": 40}
"""Network -> its first samples, those of the table in docs/cost.md."""


@pytest.mark.nightly
@pytest.mark.parametrize("stem", SAMPLES)
def test_data_counters_of_the_real_networks(stem, shared_models):
    model, data = next(one for one in MODELS if one.stem == stem), shared_models / "data"
    path = shared_models / f"{stem}.onnx"
    compare(path, data / f"{model.calibration}.npz", data / f"{model.test}.npz", model.stated, SAMPLES[stem])
