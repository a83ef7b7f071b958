"""Train LeNet-5 on Fashion-MNIST: the network of docs/training.md that is trained from scratch.

    apt install dataset-fashion-mnist && pip install -e '.[train]'
    python samples/train_fashion.py /usr/share/datasets/fashion-mnist FOLDER

FOLDER gets lenet.onnx, and lenet_calib.npz (512 training images), lenet_train.npz (8,192 of them) and lenet_test.npz
(all 10,000 test images) with x [N, 1, 28, 28] as bytes and y; the network takes x / 255.
"""

import gzip
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import optax
from float_training import constant, fitted, network, shuffled
from numpy.typing import NDArray
from onnx import helper

Array = NDArray[Any]
Weights = dict[str, Any]

PARTS = {"train": "train", "test": "t10k"}
"""Part of the data -> how its files begin."""
HEADERS = {"images-idx3": 16, "labels-idx1": 8}
SHAPES = {
    "c1": (5, 5, 1, 6), "c2": (5, 5, 6, 16), "d1": (400, 120), "d2": (120, 84), "d3": (84, 10),
}  # fmt: skip
"""Weights by layer: convolutions as height, width, channels in and out; dense layers as rows and columns."""
PADS = {"c1": 2, "c2": 0}
EPOCHS, BATCH, RATE, DECAY, SEED = 12, 128, 2e-3, 0.02, 0
CALIBRATION, TRAINING = 512, 8192


def part(folder: Path, name: str) -> tuple[Array, Array]:
    """Return images [N, 1, 28, 28] and classes [N] of a part."""
    images, labels = (
        np.frombuffer(gzip.decompress((folder / f"{PARTS[name]}-{kind}-ubyte.gz").read_bytes())[header:], np.uint8)
        for kind, header in HEADERS.items()
    )
    return images.reshape(-1, 1, 28, 28), labels.astype(np.int64)


def beginning() -> Weights:
    random = np.random.default_rng(SEED)
    weights = {f"{name}.w": random.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape) for name, shape in SHAPES.items()}
    biases = {f"{name}.b": np.zeros(shape[-1]) for name, shape in SHAPES.items()}
    return {name: jnp.asarray(array, jnp.float32) for name, array in (weights | biases).items()}


def logits(weights: Weights, images: Any) -> Any:
    """Return the outputs [N, 10] for bytes [N, 1, 28, 28]."""
    x = images.astype(jnp.float32) / 255.0
    for name, pad in PADS.items():
        form = ("NCHW", "HWIO", "NCHW")
        x = jax.lax.conv_general_dilated(x, weights[f"{name}.w"], (1, 1), 2 * [(pad, pad)], dimension_numbers=form)
        x = jax.nn.relu(x + weights[f"{name}.b"][:, None, None])
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    x = x.reshape(len(x), -1)
    for name in ("d1", "d2"):
        x = jax.nn.relu(x @ weights[f"{name}.w"] + weights[f"{name}.b"])
    return x @ weights["d3.w"] + weights["d3.b"]


def trained(images: Array, labels: Array) -> Weights:
    """Return trained weights, the same on every run on one machine."""

    def loss(weights: Weights, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(logits(weights, x), y).mean()

    chosen = shuffled(len(images), BATCH, EPOCHS, np.random.default_rng(SEED))
    rate = optax.cosine_decay_schedule(RATE, EPOCHS * (len(images) // BATCH))
    return fitted(loss, beginning(), ((images[rows], labels[rows]) for rows in chosen), rate=rate, decay=DECAY)


def exported(weights: Weights) -> onnx.ModelProto:
    """Return the network as ONNX, with an input x [batch, 1, 28, 28]."""
    nodes, value = [], "x"
    for name, pad in PADS.items():
        window = {"kernel_shape": [5, 5], "pads": 4 * [pad]}
        nodes += [
            helper.make_node("Conv", [value, f"{name}.w", f"{name}.b"], [name], **window),
            helper.make_node("Relu", [name], [f"{name}.r"]),
            helper.make_node("MaxPool", [f"{name}.r"], [f"{name}.p"], kernel_shape=[2, 2], strides=[2, 2]),
        ]
        value = f"{name}.p"
    nodes.append(helper.make_node("Flatten", [value], ["flat"]))
    for value, name in (("flat", "d1"), ("d1.r", "d2"), ("d2.r", "d3")):
        nodes.append(helper.make_node("Gemm", [value, f"{name}.w", f"{name}.b"], [name]))
        if name != "d3":
            nodes.append(helper.make_node("Relu", [name], [f"{name}.r"]))
    return network("lenet", nodes, (1, 28, 28), "d3", 10, [constant(*one) for one in weights.items()])


def main() -> None:
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    images, labels = part(source, "train")
    test, said = part(source, "test")
    weights = trained(images, labels)
    folder.mkdir(exist_ok=True)
    (folder / "lenet.onnx").write_bytes(exported(weights).SerializeToString())
    some = np.random.default_rng(SEED).permutation(len(images))
    chosen = {"calib": some[:CALIBRATION], "train": some[:TRAINING]}
    for name, rows in chosen.items():
        np.savez(folder / f"lenet_{name}.npz", x=images[rows], y=labels[rows])
    np.savez(folder / "lenet_test.npz", x=test, y=said)
    right = (np.asarray(logits(weights, test)).argmax(1) == said).mean()
    print(f"{100 * right:.2f} % of {len(said)} test images")


if __name__ == "__main__":
    main()
