"""Train a network of our own for spoken digits: regular convolutions that fill half of one array of 1,024 x 512.

    pip install -e '.[train]' && python samples/train_kws.py SPOKEN_DIGITS.npz FOLDER [wide]

The wide one keeps the vectors of its first layer up to the last: tall layers do most of its work (docs/cost.md).
SPOKEN_DIGITS.npz holds recordings at 8 kHz (samples, lengths, y, speaker). Speakers 0 to 3 train, 4 and 5 test: nobody
is in both parts. FOLDER gets kws.onnx, and kws_train.npz, kws_calib.npz (of the training part) and kws_test.npz with x
[N, 49, 10, 1] and y. Spoken digits stand in for keywords.
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
from cepstra import BINS, COEFFICIENTS, FILTERS, FRAMES, RATE, WINDOW, Array, cosines, spectra, triangles
from float_training import constant, fitted, network
from onnx import TensorProto, helper

from cimc.training.batches import Data, batch
from cimc.training.settings import Settings

Layers = tuple[tuple[int, int, int], ...]
LAYERS: Mapping[str, Layers] = {
    "half": ((1, 32, 2), (32, 64, 2), (64, 96, 2), (96, 96, 1), (96, 128, 1)),
    "wide": ((1, 96, 2), *4 * ((96, 96, 1),)),
}
"""Of each 3 x 3 convolution: channels in, channels out, stride. Strides come early, where weights are few."""
CLASSES, SPEAKERS_TRAINING, CALIBRATION = 10, 4, 256
SEED, RATE_OF_ADAM, DECAY = 0, 2e-3, 0.02
LIVELY = Settings(steps=900, batch=64, shift=6, jitter=0.3, offset=0.4, mix=0.3)
Weights = list[tuple[Any, Any]]


def recordings(archive: Any) -> Iterator[Array]:
    """Yield every recording as 8,000 samples within -1..1, the sound in the middle."""
    samples, lengths = archive["samples"], archive["lengths"]
    for start, length in zip(np.cumsum(lengths) - lengths, lengths, strict=True):
        sound = samples[start : start + length][:RATE] / 32768.0
        yield np.pad(sound, ((RATE - len(sound)) // 2, RATE - len(sound) - (RATE - len(sound)) // 2))


def mel_filters() -> Array:
    """Triangles over the spectrum [BINS / 2 + 1, FILTERS], evenly spaced in mel from 20 Hz to half the rate."""
    mel = np.linspace(2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + RATE / 2 / 700), FILTERS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    return triangles(edges, np.linspace(0, RATE / 2, BINS // 2 + 1))


def cepstrum(sound: Array, filters: Array) -> Array:
    """Return the first coefficients [FRAMES, COEFFICIENTS] of the cosine transform of log mel energies."""
    energies = np.log(np.square(spectra(sound, np.hanning(WINDOW))) @ filters + 1e-4)
    return np.asarray(cosines(energies), np.float32)


def parts(path: Path) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return (x, y) of the speakers who train, and of those who test."""
    archive, filters = dict(np.load(path)), mel_filters()
    x = np.stack([cepstrum(sound, filters) for sound in recordings(archive)])[..., None]
    training = archive["speaker"] < SPEAKERS_TRAINING
    return (x[training], archive["y"][training]), (x[~training], archive["y"][~training])


def beginning(layers: Layers) -> Weights:
    """Return random weights and zero biases: convolutions, then the dense layer."""
    random = np.random.default_rng(SEED)
    shapes = [(3, 3, inputs, outputs) for inputs, outputs, _ in layers] + [(layers[-1][1], CLASSES)]
    spread = [np.sqrt(2 / np.prod(shape[:-1])) for shape in shapes]
    return [
        (jnp.asarray(random.normal(0, sd, shape), jnp.float32), jnp.zeros(shape[-1]))
        for sd, shape in zip(spread, shapes, strict=True)
    ]


def logits(layers: Layers, weights: Weights, x: Any) -> Any:
    """Return the network's outputs [N, CLASSES]."""
    form = ("NHWC", "HWIO", "NHWC")
    for (weight, bias), (_, _, stride) in zip(weights, layers, strict=False):
        pads = [(1, 1), (1, 1)]
        x = jax.lax.conv_general_dilated(x, weight, (stride, stride), pads, dimension_numbers=form)
        x = jax.nn.relu(x + bias)
    return x.mean((1, 2)) @ weights[-1][0] + weights[-1][1]


def trained(layers: Layers, data: Data) -> Weights:
    """Return trained weights, the same on every run on one machine."""

    def loss(weights: Weights, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy(logits(layers, weights, x), y).mean()

    def batches() -> Iterator[tuple[Any, Any]]:
        for number in range(LIVELY.steps):
            drawn = batch(data, LIVELY, SEED, number)
            yield drawn.inputs["x"], drawn.labels

    rate = optax.cosine_decay_schedule(RATE_OF_ADAM, LIVELY.steps)
    return fitted(loss, beginning(layers), batches(), rate=rate, decay=DECAY)


def exported(layers: Layers, weights: Weights) -> onnx.ModelProto:
    """Return the network as ONNX, with an input x [batch, 49, 10, 1]."""
    nodes = [helper.make_node("Transpose", ["x"], ["channels"], perm=[0, 3, 1, 2])]
    constants, value = [], "channels"
    for number, ((weight, bias), (_, _, stride)) in enumerate(zip(weights, layers, strict=False)):
        constants += named(number, weight, bias)
        window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [stride, stride]}
        nodes.append(helper.make_node("Conv", [value, f"w{number}", f"b{number}"], [f"c{number}"], **window))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        value = f"r{number}"
    constants += named(len(layers), *weights[-1])
    last = (f"w{len(layers)}", f"b{len(layers)}")
    nodes += [
        helper.make_node("GlobalAveragePool", [value], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", *last], ["logits"]),
    ]
    return network("kws", nodes, (FRAMES, COEFFICIENTS, 1), "logits", CLASSES, constants)


def named(number: int, weight: Any, bias: Any) -> list[TensorProto]:
    return [constant(f"w{number}", weight), constant(f"b{number}", bias)]


def main() -> None:
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    layers = LAYERS[sys.argv[3] if len(sys.argv) > 3 else "half"]
    (x, y), (unheard, said) = parts(path)
    weights = trained(layers, Data({"x": x}, np.eye(CLASSES, dtype=np.float32)[y]))
    folder.mkdir(exist_ok=True)
    (folder / "kws.onnx").write_bytes(exported(layers, weights).SerializeToString())
    some = np.random.default_rng(SEED).permutation(len(x))[:CALIBRATION]
    for name, arrays in {"train": (x, y), "calib": (x[some], y[some]), "test": (unheard, said)}.items():
        np.savez(folder / f"kws_{name}.npz", x=arrays[0], y=arrays[1])
    right = (np.asarray(logits(layers, weights, jnp.asarray(unheard))).argmax(1) == said).mean()
    print(f"{100 * right:.1f} % of {len(said)} recordings of speakers who did not train")


if __name__ == "__main__":
    main()
