"""Train a network of our own that tells animals from vehicles: fused inverted bottlenecks, no depthwise convolution.

    pip install -e '.[train]' && python samples/train_animals.py CIFAR_TRAINING.npz CIFAR_TEST.npz FOLDER

Both files hold images of CIFAR-10, x [N, 32, 32, 3] as bytes, with y and class_names. They stand in for visual wake
words, at 64 x 64 pixels, each pixel twice along both axes. FOLDER gets animals.onnx, and animals_train.npz,
animals_calib.npz (256 training images) and animals_test.npz with x [N, 64, 64, 3] as bytes and y (1: an animal). The
network takes x / 255.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import optax
from float_training import constant, fitted, network
from numpy.typing import NDArray
from onnx import helper

from cimc.training.batches import Data, batch
from cimc.training.settings import Settings

Array = NDArray[Any]
Weights = dict[str, Any]

VEHICLES = ("airplane", "automobile", "ship", "truck")
STEM = 24
BLOCKS = ((24, 72, 32, 2), (32, 128, 64, 2), (64, 192, 64, 1), (64, 240, 96, 2))
"""Of each block: channels in, of its 3 x 3 convolution, behind its 1 x 1 convolution; stride.

Blocks with as many channels out as in, and stride 1, have a shortcut.
"""
PIXELS, CLASSES, CALIBRATION = 64, 2, 256
SEED, RATE, DECAY = 0, 2e-3, 0.02
LIVELY = Settings(steps=1500, batch=48, shift=8, across=8, flip=1, mix=0.3)


def shapes() -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of weights by layer: height, width, channels in and out; rows and columns of the last one."""
    found: dict[str, tuple[int, ...]] = {"stem": (3, 3, 3, STEM)}
    for number, (inputs, hidden, outputs, _) in enumerate(BLOCKS):
        found |= {f"wide{number}": (3, 3, inputs, hidden), f"narrow{number}": (1, 1, hidden, outputs)}
    return found | {"dense": (BLOCKS[-1][2], CLASSES)}


def beginning() -> Weights:
    """Return random weights NAME.w and zero biases NAME.b."""
    random = np.random.default_rng(SEED)
    found = {}
    for name, shape in shapes().items():
        found[f"{name}.w"] = random.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        found[f"{name}.b"] = np.zeros(shape[-1])
    return {name: jnp.asarray(array, jnp.float32) for name, array in found.items()}


def logits(weights: Weights, images: Any) -> Any:
    """Return the outputs [N, CLASSES] for bytes [N, PIXELS, PIXELS, 3]."""

    def convolved(name: str, x: Any, stride: int) -> Any:
        weight = weights[f"{name}.w"]
        pads = 2 * [(weight.shape[0] // 2,) * 2]
        form = ("NHWC", "HWIO", "NHWC")
        return (
            jax.lax.conv_general_dilated(x, weight, 2 * (stride,), pads, dimension_numbers=form) + weights[f"{name}.b"]
        )

    x = jax.nn.relu(convolved("stem", images.astype(jnp.float32) / 255.0, 2))
    for number, (inputs, _, outputs, stride) in enumerate(BLOCKS):
        found = convolved(f"narrow{number}", jax.nn.relu(convolved(f"wide{number}", x, stride)), 1)
        x = x + found if (inputs, stride) == (outputs, 1) else found
    return x.mean((1, 2)) @ weights["dense.w"] + weights["dense.b"]


def trained(data: Data) -> Weights:
    """Return trained weights, the same on every run on one machine."""

    def loss(weights: Weights, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy(logits(weights, x), y).mean()

    def batches() -> Iterator[tuple[Any, Any]]:
        for number in range(LIVELY.steps):
            drawn = batch(data, LIVELY, SEED, number)
            yield drawn.inputs["x"], drawn.labels

    return fitted(loss, beginning(), batches(), rate=optax.cosine_decay_schedule(RATE, LIVELY.steps), decay=DECAY)


def exported(weights: Weights) -> onnx.ModelProto:
    """Return the network as ONNX, with an input x [batch, PIXELS, PIXELS, 3]."""
    nodes = [helper.make_node("Transpose", ["x"], ["channels"], perm=[0, 3, 1, 2])]

    def convolved(name: str, value: str, stride: int, size: int) -> str:
        window = {"kernel_shape": [size, size], "pads": 4 * [size // 2], "strides": [stride, stride]}
        nodes.append(helper.make_node("Conv", [value, f"{name}.w", f"{name}.b"], [name], **window))
        return name

    def clamped(value: str) -> str:
        nodes.append(helper.make_node("Relu", [value], [f"{value}.r"]))
        return f"{value}.r"

    value = clamped(convolved("stem", "channels", 2, 3))
    for number, (inputs, _, outputs, stride) in enumerate(BLOCKS):
        found = convolved(f"narrow{number}", clamped(convolved(f"wide{number}", value, stride, 3)), 1, 1)
        if (inputs, stride) == (outputs, 1):
            nodes.append(helper.make_node("Add", [value, found], [f"sum{number}"]))
            found = f"sum{number}"
        value = found
    nodes += [
        helper.make_node("GlobalAveragePool", [value], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense.w", "dense.b"], ["logits"]),
    ]
    return network(
        "animals", nodes, (PIXELS, PIXELS, 3), "logits", CLASSES, [constant(*one) for one in weights.items()]
    )


def part(path: Path) -> tuple[Array, Array]:
    """Return images [N, PIXELS, PIXELS, 3] as bytes, and whether each shows an animal [N]."""
    archive = np.load(path)
    names = archive["class_names"][archive["y"]]
    enlarged = archive["x"].repeat(PIXELS // 32, axis=1).repeat(PIXELS // 32, axis=2)
    return enlarged, np.isin(names, VEHICLES, invert=True).astype(np.int64)


def main() -> None:
    (x, y), (unseen, said) = part(Path(sys.argv[1])), part(Path(sys.argv[2]))
    folder = Path(sys.argv[3])
    weights = trained(Data({"x": x}, np.eye(CLASSES, dtype=np.float32)[y]))
    folder.mkdir(exist_ok=True)
    (folder / "animals.onnx").write_bytes(exported(weights).SerializeToString())
    some = np.random.default_rng(SEED).permutation(len(x))[:CALIBRATION]
    for name, arrays in {"train": (x, y), "calib": (x[some], y[some]), "test": (unseen, said)}.items():
        np.savez_compressed(folder / f"animals_{name}.npz", x=arrays[0], y=arrays[1])
    right = (np.asarray(logits(weights, jnp.asarray(unseen))).argmax(1) == said).mean()
    print(f"{100 * right:.1f} % of {len(said)} test images")


if __name__ == "__main__":
    main()
