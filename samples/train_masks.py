"""Learn which devices of a random array stay: a network for Fashion-MNIST whose weights nobody programmed.

    apt install dataset-fashion-mnist && pip install -e '.[train]'
    python samples/train_masks.py /usr/share/datasets/fashion-mnist FOLDER [--seed 3]

Of a chip whose devices are what forming left them (the source of noise `forming`), every cell has one that may be
programmed, on the plus or the minus side by the toss of a coin. What they conduct is read back from the chip of this
seed; learnt is a score for each, by straight-through gradients, and in every layer the SHARE of devices with the
highest scores is kept (Ramanujan et al., arXiv 1911.13299). FOLDER gets masked.onnx, random.onnx (all devices) and
trained.onnx (ordinary weights of the same shapes, as many steps), and masks_calib.npz and masks_test.npz as
train_fashion.py has them. Biases there are none.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import optax
from float_training import constant, fitted, network, shuffled
from onnx import helper
from train_fashion import Array, Weights, part

import cimc
from cimc.backends.noise.fixed_point import FINE_BITS
from cimc.backends.silicon.reading_back import read_back
from cimc.passes.pipeline import DEFAULT, with_unset

SHAPES = {"c1": (3, 3, 1, 24), "c2": (3, 3, 24, 64), "c3": (3, 3, 64, 64), "d": (1024, 10)}
"""Weights by layer: height, width, channels in and out; rows and columns. Rows of devices have the same order."""
OPTIONS = {"im2col": {"zeros": "skip"}, "column-ranges": {"device_sigma": "1000"}}
"""Devices that are masked are never programmed; no column is made smaller, as random devices would take no notice."""
PROFILE = "generic,forming.mean=0.5,forming.sigma=0.2"
SHARE, EPOCHS, BATCH, SEED, CALIBRATION = 0.5, 2, 128, 0, 512
SCORES, WEIGHTS = 0.03, 0.002
"""Rates of Adam."""


def signs() -> Weights:
    """Return which side of its cell each device is on: 1 or -1."""
    random = np.random.default_rng(SEED)
    return {name: random.choice([-1.0, 1.0], shape) for name, shape in SHAPES.items()}


def devices(signs: Weights, images: Array, noise: cimc.Noise) -> Weights:
    """Return what the devices of a chip conduct, by layer, as a share of full conductance and with their sign."""
    program = compiled(exported(signs), images)
    (tile,) = read_back(program, noise).tiles.values()
    plus, minus = tile.conductance[0]
    full = 1 << FINE_BITS + program.meta["target"]["array"]["fraction_bits"]
    full *= program.meta["target"]["array"]["levels"]
    found = {}
    for (name, shape), block in zip(SHAPES.items(), program.blocks, strict=True):
        cells = slice(block.row, block.row + block.rows), slice(block.col, block.col + block.cols)
        found[name] = ((plus[cells] - minus[cells]) / full).reshape(shape).astype(np.float32)
    return found


def compiled(model: onnx.ModelProto, images: Array) -> cimc.Program:
    """Return the program of a network, calibrated on images [N, 1, 28, 28]."""
    pipeline = DEFAULT
    for name, options in OPTIONS.items():
        pipeline = with_unset(pipeline, name, options)
    feeding = cimc.Preprocessing(scale=1 / 255)
    return cimc.compile_model(model, calibration=images, pipeline=pipeline, preprocessing=feeding)


def scaled(weights: Weights) -> Weights:
    """Return weights with the same power at the inputs and outputs of each layer, a factor a layer."""
    rows = {name: float(np.prod(array.shape[:-1])) for name, array in weights.items()}
    return {name: array * jnp.sqrt(2 / (rows[name] * jnp.square(array).mean())) for name, array in weights.items()}


def masked(weights: Weights, scores: Weights, share: float = SHARE) -> Weights:
    """Return weights of which the share with the highest scores of each layer stays; scores get all gradients."""

    def kept(score: Any) -> Any:
        least = jnp.sort(score.ravel())[score.size - round(share * score.size)]
        return (score >= least).astype(jnp.float32) + (score - jax.lax.stop_gradient(score))

    return {name: array * kept(jnp.asarray(scores[name], jnp.float32)) for name, array in weights.items()}


def logits(weights: Weights, images: Any) -> Any:
    """Return the outputs [N, 10] for bytes [N, 1, 28, 28]."""
    x = images.transpose(0, 2, 3, 1).astype(jnp.float32) / 255.0
    for name in ("c1", "c2", "c3"):
        form = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, weights[name], (2, 2), 2 * [(1, 1)], dimension_numbers=form)
        x = jax.nn.relu(x)
    return x.reshape(len(x), -1) @ weights["d"]


def learnt(
    start: Weights, network: Callable[[Weights], Weights], rate: float, data: tuple[Array, Array], epochs: int = EPOCHS
) -> Weights:
    """Return what descent makes of `start`, of which `network` makes weights, on images and classes."""
    images, labels = data

    def loss(now: Weights, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(logits(network(now), x), y).mean()

    begin = {name: jnp.asarray(array, jnp.float32) for name, array in start.items()}
    chosen = shuffled(len(images), BATCH, epochs, np.random.default_rng(SEED))
    falling = optax.cosine_decay_schedule(rate, epochs * (len(images) // BATCH))
    return fitted(loss, begin, ((images[rows], labels[rows]) for rows in chosen), rate=falling, decay=0.0)


def exported(weights: Weights) -> onnx.ModelProto:
    """Return the network as ONNX, with an input x [batch, 1, 28, 28]."""
    nodes, value = [], "x"
    for name in ("c1", "c2", "c3"):
        window = {"kernel_shape": [3, 3], "pads": 4 * [1], "strides": [2, 2]}
        nodes += [
            helper.make_node("Conv", [value, name], [f"{name}.s"], **window),
            helper.make_node("Relu", [f"{name}.s"], [f"{name}.r"]),
        ]
        value = f"{name}.r"
    nodes += [helper.make_node("Flatten", [value], ["flat"]), helper.make_node("MatMul", ["flat", "d"], ["y"])]
    # what is flattened has channels first here
    dense = np.asarray(weights["d"]).reshape(4, 4, 64, 10).transpose(2, 0, 1, 3).reshape(1024, 10)
    constants = [constant(*one) for one in {**weights, "d": dense}.items()]
    return network("masks", nodes, (1, 28, 28), "y", 10, constants)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=3, help="of the chip (default 3)")
    options = parser.parse_args()
    images, labels = part(options.source, "train")
    test, said = part(options.source, "test")
    calib = np.random.default_rng(SEED).permutation(len(images))[:CALIBRATION]
    noise = cimc.Noise(cimc.load_profile(PROFILE), options.seed, sources=frozenset({"forming"}))
    random = devices(signs(), images[calib], noise)
    begin = np.random.default_rng(SEED)
    scores = {name: begin.random(shape) for name, shape in SHAPES.items()}
    scores = learnt(scores, lambda now: scaled(masked(random, now)), SCORES, (images, labels))
    start = scaled({name: begin.normal(size=shape) for name, shape in SHAPES.items()})
    found = {
        "random": scaled(random),
        "masked": scaled(masked(random, scores)),
        "trained": learnt(start, lambda now: now, WEIGHTS, (images, labels)),
    }
    options.folder.mkdir(exist_ok=True)
    for name, weights in found.items():
        (options.folder / f"{name}.onnx").write_bytes(exported(weights).SerializeToString())
        right = (np.asarray(logits(weights, test)).argmax(1) == said).mean()
        print(f"{name}: {100 * right:.2f} % of {len(said)} test images in floating point")
    np.savez(options.folder / "masks_calib.npz", x=images[calib], y=labels[calib])
    np.savez(options.folder / "masks_test.npz", x=test, y=said)


if __name__ == "__main__":
    main()
