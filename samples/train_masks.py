"""Learn which devices of a random array stay: a network whose weights nobody programmed.

    apt install dataset-fashion-mnist && pip install -e '.[train]'
    python samples/train_masks.py fashion /usr/share/datasets/fashion-mnist FOLDER [--seed 3]
    python samples/train_masks.py digits SPOKEN_DIGITS.npz FOLDER [--seed 3]

Of a chip whose devices are what forming left them (the source of noise `forming`), every cell has one that may be
programmed, on the plus or the minus side by the toss of a coin. What they conduct is read back from the chip of this
seed; learnt is a score for each, by straight-through gradients, and in every layer the SHARE of devices with the
highest scores is kept (Ramanujan et al., arXiv 1911.13299). FOLDER gets masked.onnx, random.onnx (all devices) and
trained.onnx (ordinary weights of the same shapes, as many steps), and masks_calib.npz (of the data that train) and
masks_test.npz with x and y. Biases there are none. Spoken digits are those of train_kws.py, of which two speakers
test, every coefficient with mean 0 and deviation 1 over the recordings that train.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import optax
import train_fashion
import train_kws
from float_training import constant, fitted, network, shuffled
from onnx import helper
from train_fashion import Array, Weights

import cimc
from cimc.backends.noise.fixed_point import FINE_BITS
from cimc.backends.silicon.reading_back import read_back
from cimc.passes.pipeline import DEFAULT, with_unset
from cimc.training.batches import Data, batch

Part = tuple[Array, Array]
"""Samples [N, height, width, channels] and classes [N]."""
Batches = Sequence[Part]
OPTIONS = {"im2col": {"zeros": "skip"}, "column-ranges": {"device_sigma": "1000"}}
"""Devices that are masked are never programmed; no column is made smaller, as random devices would take no notice."""
PROFILE = "generic,forming.mean=0.5,forming.sigma=0.2"
SHARE, CLASSES, SEED, CALIBRATION = 0.5, 10, 0, 512


@dataclass(frozen=True)
class Task:
    """Data, and the network for it: convolutions of stride 2, padded by half a kernel, and a dense layer.

    `shapes` are weights by layer: height, width, channels in and out; rows and columns. Rows of devices have the same
    order. Samples over `full` go into the first layer. `scores` and `weights` are
    Adam's rates for scores of devices and for ordinary weights.
    """

    parts: Callable[[Path], tuple[Part, Part]]
    sample: tuple[int, int, int]
    shapes: Mapping[str, tuple[int, ...]]
    full: float
    batches: Callable[[Part], Batches]
    scores: float
    weights: float


def fashion(source: Path) -> tuple[Part, Part]:
    """Return images as bytes: those that train, and those that test."""
    train, test = (train_fashion.part(source, name) for name in ("train", "test"))
    return (train[0].reshape(-1, 28, 28, 1), train[1]), (test[0].reshape(-1, 28, 28, 1), test[1])


def digits(source: Path) -> tuple[Part, Part]:
    """Return cepstra of recordings, coefficients as channels: of the speakers who train, and of those who test."""
    (x, y), (unheard, said) = train_kws.parts(source)
    mean, deviation = x.mean((0, 1)), x.std((0, 1))
    normal = [((array - mean) / deviation).transpose(0, 1, 3, 2) for array in (x, unheard)]
    return (normal[0], y), (normal[1], said)


def epochs(part: Part) -> Batches:
    """Return two epochs of 128 images a batch."""
    x, y = part
    return [(x[rows], y[rows]) for rows in shuffled(len(x), 128, 2, np.random.default_rng(SEED))]


def augmented(part: Part) -> Batches:
    """Return batches of recordings disturbed as train_kws.py does it, but not mixed."""
    settings = replace(train_kws.LIVELY, mix=0.0)
    data = Data({"x": part[0]}, np.eye(CLASSES, dtype=np.float32)[part[1]])
    drawn = (batch(data, settings, SEED, number) for number in range(settings.steps))
    return [(one.inputs["x"], np.argmax(one.labels, 1)) for one in drawn]


TASKS = {
    "fashion": Task(
        fashion, (28, 28, 1), {"c1": (3, 3, 1, 24), "c2": (3, 3, 24, 64), "c3": (3, 3, 64, 64), "d": (1024, CLASSES)},
        255.0, epochs, 0.03, 0.002,
    ),
    "digits": Task(
        digits, (49, 1, 10), {"c1": (5, 1, 10, 64), "c2": (5, 1, 64, 96), "c3": (3, 1, 96, 96), "d": (672, CLASSES)},
        1.0, augmented, 0.03, 0.006,
    ),
}  # fmt: skip


def signs(task: Task) -> Weights:
    """Return which side of its cell each device is on: 1 or -1."""
    random = np.random.default_rng(SEED)
    return {name: random.choice([-1.0, 1.0], shape) for name, shape in task.shapes.items()}


def devices(task: Task, calibration: Array, noise: cimc.Noise) -> Weights:
    """Return what the devices of a chip conduct, by layer, as a share of full conductance and with their sign."""
    program = compiled(task, exported(task, signs(task)), calibration)
    (tile,) = read_back(program, noise).tiles.values()
    plus, minus = tile.conductance[0]
    full = 1 << FINE_BITS + program.meta["target"]["array"]["fraction_bits"]
    full *= program.meta["target"]["array"]["levels"]
    found = {}
    for (name, shape), block in zip(task.shapes.items(), program.blocks, strict=True):
        cells = slice(block.row, block.row + block.rows), slice(block.col, block.col + block.cols)
        found[name] = ((plus[cells] - minus[cells]) / full).reshape(shape).astype(np.float32)
    return found


def compiled(task: Task, model: onnx.ModelProto, calibration: Array) -> cimc.Program:
    """Return the program of a network, calibrated on samples [N, height, width, channels]."""
    pipeline = DEFAULT
    for name, options in OPTIONS.items():
        pipeline = with_unset(pipeline, name, options)
    return cimc.compile_model(
        model, calibration=calibration, pipeline=pipeline, preprocessing=cimc.Preprocessing(scale=1 / task.full)
    )


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


def logits(task: Task, weights: Weights, x: Any) -> Any:
    """Return the outputs [N, CLASSES] for samples [N, height, width, channels]."""
    x = x.astype(jnp.float32) / task.full
    for name in list(task.shapes)[:-1]:
        form = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, weights[name], (2, 2), pads(task, name), dimension_numbers=form)
        x = jax.nn.relu(x)
    return x.reshape(len(x), -1) @ weights["d"]


def pads(task: Task, name: str) -> list[tuple[int, int]]:
    """Return the rows above and below, and the columns on both sides, that pad what a convolution reads."""
    return [(size // 2, size // 2) for size in task.shapes[name][:2]]


def learnt(task: Task, start: Weights, network: Callable[[Weights], Weights], rate: float, batches: Batches) -> Weights:
    """Return what descent makes of `start`, of which `network` makes weights, on samples and classes."""

    def loss(now: Weights, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(logits(task, network(now), x), y).mean()

    begin = {name: jnp.asarray(array, jnp.float32) for name, array in start.items()}
    return fitted(loss, begin, batches, rate=optax.cosine_decay_schedule(rate, len(batches)), decay=0.0)


def exported(task: Task, weights: Weights) -> onnx.ModelProto:
    """Return the network as ONNX, with an input x [batch, height, width, channels]."""
    nodes, value = [helper.make_node("Transpose", ["x"], ["channels"], perm=[0, 3, 1, 2])], "channels"
    sizes = task.sample[:2]
    for name in list(task.shapes)[:-1]:
        (top, bottom), (left, right) = pads(task, name)
        window = {"kernel_shape": task.shapes[name][:2], "pads": [top, left, bottom, right], "strides": [2, 2]}
        nodes += [
            helper.make_node("Conv", [value, name], [f"{name}.s"], **window),
            helper.make_node("Relu", [f"{name}.s"], [f"{name}.r"]),
        ]
        value, sizes = f"{name}.r", ((sizes[0] + 1) // 2, (sizes[1] + 1) // 2)
    nodes += [helper.make_node("Flatten", [value], ["flat"]), helper.make_node("MatMul", ["flat", "d"], ["y"])]
    # what is flattened has channels first here
    dense = np.asarray(weights["d"]).reshape(*sizes, -1, CLASSES).transpose(2, 0, 1, 3).reshape(-1, CLASSES)
    constants = [constant(*one) for one in {**weights, "d": dense}.items()]
    return network("masks", nodes, task.sample, "y", CLASSES, constants)


def networks(task: Task, batches: Batches, random: Weights) -> dict[str, Weights]:
    """Return the networks by name: all devices, those that a mask keeps, and ordinary weights trained alike."""
    begin = np.random.default_rng(SEED)
    scores = {name: begin.random(shape) for name, shape in task.shapes.items()}
    scores = learnt(task, scores, lambda now: scaled(masked(random, now)), task.scores, batches)
    start = scaled({name: begin.normal(size=shape) for name, shape in task.shapes.items()})
    return {
        "random": scaled(random),
        "masked": scaled(masked(random, scores)),
        "trained": learnt(task, start, lambda now: now, task.weights, batches),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", choices=TASKS)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=3, help="of the chip (default 3)")
    options = parser.parse_args()
    task = TASKS[options.data]
    (x, y), (unseen, said) = task.parts(options.source)
    some = np.random.default_rng(SEED).permutation(len(x))[:CALIBRATION]
    noise = cimc.Noise(cimc.load_profile(PROFILE), options.seed, sources=frozenset({"forming"}))
    options.folder.mkdir(exist_ok=True)
    for name, weights in networks(task, task.batches((x, y)), devices(task, x[some], noise)).items():
        (options.folder / f"{name}.onnx").write_bytes(exported(task, weights).SerializeToString())
        right = (np.asarray(logits(task, weights, unseen)).argmax(1) == said).mean()
        print(f"{name}: {100 * right:.2f} % of {len(said)} test samples in floating point")
    np.savez(options.folder / "masks_calib.npz", x=x[some], y=y[some])
    np.savez(options.folder / "masks_test.npz", x=unseen, y=said)


if __name__ == "__main__":
    main()
