"""Train a vision transformer on Fashion-MNIST: the network of docs/tuning.md whose ranges are chosen.

    apt install dataset-fashion-mnist && pip install -e '.[train]'
    python samples/train_vit.py /usr/share/datasets/fashion-mnist FOLDER [--epochs 10]

A class token and sixteen patches of 7 x 7 pixels, width 96, four heads, three blocks: 0.34 million weights. FOLDER
gets vit.onnx, and vit_calib.npz (512 training images), vit_train.npz (8,192 others), vit_kept.npz (2,000 that are not
trained on) and vit_test.npz (all 10,000 test images) with x [N, 1, 28, 28] as bytes and y; the network takes x / 255.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import optax
from float_training import fitted, shuffled
from numpy.typing import NDArray
from onnx import numpy_helper
from train_fashion import part
from transformers import Shape, Writer, vit

Array = NDArray[Any]
Weights = list[Any]

SHAPE = Shape(layers=3, width=96, heads=4, length=17, side=28, patch=7, channels=1, classes=10)
BATCH, RATE, DECAY, SEED = 128, 1.5e-3, 0.05, 0
WARM, SMOOTH = 0.1, 0.1
"""The share of steps in which the rate rises, and what labels give to other classes."""
CALIBRATION, TRAINING, KEPT = 512, 8192, 2000


def beginning() -> tuple[onnx.ModelProto, list[str], Weights]:
    """Return the network, the names of what it learns, and the seeded weights that it begins with."""
    writer = Writer(SHAPE, np.random.default_rng(SEED))
    model = vit(writer)
    found = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    return model, writer.learnt, [jnp.asarray(found[name]) for name in writer.learnt]


def logits(weights: Weights, images: Any) -> Any:
    """Return the outputs [N, 10] for bytes [N, 1, 28, 28]; weights lie in the order in which `vit` asks for them."""
    take, places = iter(weights), SHAPE.side // SHAPE.patch
    x = (images.astype(jnp.float32) / 255.0).reshape(-1, places, SHAPE.patch, places, SHAPE.patch)
    x = x.transpose(0, 1, 3, 2, 4).reshape(len(x), places * places, -1)
    x = x @ next(take).reshape(SHAPE.width, -1).T + next(take)
    token = jnp.broadcast_to(next(take), (len(x), 1, SHAPE.width))
    x = jnp.concatenate([token, x], axis=1) + next(take)
    for _ in range(SHAPE.layers):
        x = x + attention(take, norm(take, x))
        x = x + dense(take, jax.nn.gelu(dense(take, norm(take, x)), approximate=False))
    return dense(take, norm(take, x)[:, 0])


def dense(take: Iterator[Any], x: Any) -> Any:
    return x @ next(take) + next(take)


def norm(take: Iterator[Any], x: Any) -> Any:
    return jax.nn.standardize(x, epsilon=1e-5) * next(take) + next(take)


def attention(take: Iterator[Any], x: Any) -> Any:
    q, k, v = (dense(take, x).reshape(len(x), SHAPE.length, SHAPE.heads, -1) for _ in range(3))
    return dense(take, jax.nn.dot_product_attention(q, k, v).reshape(x.shape))


def trained(weights: Weights, images: Array, labels: Array, epochs: int) -> Weights:
    """Return trained weights, the same on every run on one machine."""
    steps = epochs * (len(images) // BATCH)
    random = np.random.default_rng(SEED)

    def loss(weights: Weights, x: Any, y: Any) -> Any:
        wanted = optax.smooth_labels(jax.nn.one_hot(y, SHAPE.classes), SMOOTH)
        return optax.softmax_cross_entropy(logits(weights, x), wanted).mean()

    chosen = shuffled(len(images), BATCH, epochs, random)
    batches = ((mirrored(images[rows], random), labels[rows]) for rows in chosen)
    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, int(WARM * steps), steps)
    return fitted(loss, weights, batches, rate=rate, decay=DECAY)


def mirrored(images: Array, random: np.random.Generator) -> Array:
    """Return images [N, 1, 28, 28], each turned left to right by chance."""
    chosen = random.random((len(images), 1, 1, 1)) < 0.5
    return np.where(chosen, images[..., ::-1], images)


def split(count: int) -> dict[str, Array]:
    """Return which training images are kept back, trained on, and given to calibration and to `cimc train`."""
    kept, rest = np.split(np.random.default_rng(SEED).permutation(count), [KEPT])
    calib, train, _ = np.split(rest, [CALIBRATION, CALIBRATION + TRAINING])
    return {"kept": kept, "rest": rest, "calib": calib, "train": train}


def accuracy(weights: Weights, images: Array, labels: Array) -> float:
    """Return the share of images that are classified right, in percent."""
    said = [np.asarray(logits(weights, some)).argmax(1) for some in np.array_split(images, len(images) // 500)]
    return float(100 * (np.concatenate(said) == labels).mean())


def stored(model: onnx.ModelProto, names: list[str], weights: Weights) -> onnx.ModelProto:
    """Return the model with other weights, given in the order of their names."""
    given = dict(zip(names, weights, strict=True))
    for tensor in model.graph.initializer:
        if tensor.name in given:
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(given[tensor.name], np.float32), tensor.name))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    source, folder = options.source, options.folder
    folder.mkdir(exist_ok=True)
    images, labels = part(source, "train")
    rows = split(len(images))
    parts = {name: (images[rows[name]], labels[rows[name]]) for name in ("calib", "train", "kept")}
    parts["test"] = part(source, "test")
    for name, (x, y) in parts.items():
        np.savez(folder / f"vit_{name}.npz", x=x, y=y)
    model, names, weights = beginning()
    weights = trained(weights, images[rows["rest"]], labels[rows["rest"]], options.epochs)
    (folder / "vit.onnx").write_bytes(stored(model, names, weights).SerializeToString())
    for name in ("kept", "test"):
        print(f"{accuracy(weights, *parts[name]):.2f} % of {len(parts[name][1])} images, {name}")


if __name__ == "__main__":
    main()
