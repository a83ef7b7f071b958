"""The nine classification networks inside the onnx package, with seeded realistic weights in place of their constants.

`python samples/bench/zoo_models.py NAME OUT.onnx DATA.npz [IMAGES]` writes one of them, and images to feed it.
"""

import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, version_converter

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)
SIZE = 224
LOGIT_SPREAD = 3.0
"""Standard deviation of the scores before the softmax, as trained networks have it."""

Images = NDArray[np.float32]


def seeded_model(name: str) -> ModelProto:
    """Return a network of the onnx package with He-like normal weights and the batch-norm statistics of seeded images.

    The package stores topologies only: weights are all the same constant, statistics are zero.
    """
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    _draw_weights(model)
    _keep_stored_inputs_out(model)
    _measure_statistics(model, images(8, seed=7))
    _spread_logits(model, images(8, seed=7))
    onnx.checker.check_model(model)
    return model


def images(count: int, seed: int) -> Images:
    """Return seeded images (count, 3, 224, 224), about standard normal, with most power at low frequencies."""
    generator = np.random.Generator(np.random.Philox(seed))
    total = np.zeros((count, 3, SIZE, SIZE), np.float32)
    for cells in (4, 7, 14, 28, 56, 112, 224):
        coarse = generator.standard_normal((count, 3, cells, cells), np.float32)
        total += np.repeat(np.repeat(coarse, SIZE // cells, 2), SIZE // cells, 3) / np.float32(cells**0.25)
    return np.asarray(total / total.std(), np.float32)


def _draw_weights(model: ModelProto) -> None:
    """Replace every ConstantOfShape and every stored float array by seeded values that suit their place."""
    graph = model.graph
    uses = {name: (node, place) for node in graph.node for place, name in enumerate(node.input)}
    for name, (node, _) in list(uses.items()):
        uses[name] = uses[node.output[0]] if node.op_type == "Unsqueeze" else uses[name]
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    drawn = {}
    for node in [node for node in graph.node if node.op_type == "ConstantOfShape"]:
        drawn[node.output[0]] = tuple(int(size) for size in shapes[node.input[0]])
        graph.node.remove(node)
    drawn |= {name: array.shape for name, array in shapes.items() if array.dtype == np.float32}
    kept = [tensor for tensor in graph.initializer if tensor.name not in drawn]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for name, shape in drawn.items():
        if name in uses:
            values = _values(*uses[name], shape, np.random.Generator(np.random.Philox(zlib.crc32(name.encode()))))
            graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))


def _values(
    node: NodeProto, place: int, shape: tuple[int, ...], generator: np.random.Generator
) -> NDArray[np.floating]:
    drawn = generator.standard_normal(shape)
    if node.op_type in ("Conv", "Gemm") and place == 1:
        fan_in = np.prod(shape[1:]) if node.op_type == "Conv" or _transposed(node) else shape[0]
        return drawn * np.sqrt(2.0 / fan_in)
    if node.op_type == "BatchNormalization" and place == 4:
        return np.ones(shape)
    if (node.op_type == "BatchNormalization" and place == 1) or node.op_type == "Mul":
        return 1.0 + 0.2 * drawn
    return 0.1 * drawn


def _transposed(node: NodeProto) -> bool:
    return any(part.name == "transB" and part.i for part in node.attribute)


def _keep_stored_inputs_out(model: ModelProto) -> None:
    """Drop stored arrays from the inputs, where old files list them, and inputs that nothing reads any more."""
    used = {name for node in model.graph.node for name in node.input}
    stored = {tensor.name for tensor in model.graph.initializer}
    real = [value for value in model.graph.input if value.name not in stored and value.name in used]
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.input[:], model.graph.initializer[:]
    model.graph.input.extend(real)
    model.graph.initializer.extend(tensors)
    model.ir_version = max(model.ir_version, 4)


def _measure_statistics(model: ModelProto, samples: Images) -> None:
    """Set the mean and variance of every batch normalisation to those of the samples, in one run in training mode."""
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    if not norms:
        return
    trained = version_converter.convert_version(model, 15)
    wanted = []
    for node in (node for node in trained.graph.node if node.op_type == "BatchNormalization"):
        del node.output[1:], node.attribute[:]
        node.output.extend([f"{node.output[0]}.mean", f"{node.output[0]}.var"])
        node.attribute.extend([helper.make_attribute("training_mode", 1), helper.make_attribute("momentum", 0.0)])
        wanted += node.output[1:]
    names = [name for node in norms for name in node.input[3:5]]
    measured = dict(zip(names, _outputs(trained, wanted, samples), strict=True))
    for tensor in model.graph.initializer:
        if tensor.name in measured:
            tensor.CopyFrom(numpy_helper.from_array(measured[tensor.name].astype(np.float32), tensor.name))


def _spread_logits(model: ModelProto, samples: Images) -> None:
    """Scale the last weights so that the scores before the softmax spread as those of a trained network."""
    scores = next((node.input[0] for node in model.graph.node if node.op_type == "Softmax"), model.graph.output[0].name)
    last = [node for node in model.graph.node if node.op_type in ("Gemm", "Conv")][-1]
    (found,) = _outputs(model, [scores], samples)
    factor = np.float32(LOGIT_SPREAD / found.std())
    for tensor in model.graph.initializer:
        if tensor.name in last.input[1:]:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * factor, tensor.name))


def _outputs(model: ModelProto, names: list[str], samples: Images) -> list[NDArray[np.float32]]:
    """Run a model on samples, whatever batch it was exported for, and return the named values."""
    opened = ModelProto()
    opened.CopyFrom(model)
    opened.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    for node in opened.graph.node:
        if node.op_type == "Reshape":
            _open_batch(opened, node)
    del opened.graph.output[:], opened.graph.value_info[:]
    opened.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(opened.SerializeToString(), options, ["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(names, {session.get_inputs()[0].name: samples})]


def _open_batch(model: ModelProto, node: NodeProto) -> None:
    """Let a reshape to (1, ...) keep the size of the first axis instead."""
    for tensor in model.graph.initializer:
        shape = numpy_helper.to_array(tensor) if tensor.name == node.input[1] else np.zeros(0)
        if shape.size > 1 and shape[0] == 1:
            tensor.CopyFrom(numpy_helper.from_array(np.concatenate([[0], shape[1:]]).astype(np.int64), tensor.name))


def main() -> None:
    if len(sys.argv) not in (4, 5) or sys.argv[1] not in NAMES:
        sys.exit(f"usage: zoo_models.py NAME OUT.onnx DATA.npz [IMAGES], NAME one of {', '.join(NAMES)}")
    model = seeded_model(sys.argv[1])
    onnx.save(model, sys.argv[2])
    count = int(sys.argv[4]) if len(sys.argv) == 5 else 8
    np.savez(sys.argv[3], **{model.graph.input[0].name: images(count, seed=1)})


if __name__ == "__main__":
    main()
