"""Measure cimc beside simulators of analog layers: ResNet-8, one thread, images per second and ratios to onnxruntime.

python samples/bench/peers.py MODELS_FOLDER [--batch 128] [--json FILE]

Needs torch, and whichever of aihwkit and aihwkit-lightning are installed; one that is missing is named. aihwkit 1.1.0
is built against torch 2.10. The peers run a ResNet-8 of the same shape in float32 with their own inference settings:
8-bit input and output, PCM programming noise and drift frozen after a day, then output or read noise drawn anew in each
forward pass. cimc runs the compiled program, bit for bit. Sides take turns, so that other load falls on all.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from speed import DAY_S, Run, compiled, machine, models, rates, runner
from torch import nn

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import DEFAULTS

WIDTHS = (16, 32, 64)
OUTPUT_NOISE = 0.04
"""Standard deviation of a peer's output noise, in units of its output range: its cost does not depend on it."""


class Block(nn.Module):
    """Two 3 x 3 convolutions with a shortcut, which is a 1 x 1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


def resnet8() -> nn.Module:
    """Return a ResNet-8 for 32 x 32 images with seeded weights, batch norms folded."""
    torch.manual_seed(0)
    inputs = (WIDTHS[0], *WIDTHS[:-1])
    blocks = [Block(before, width, 1 if before == width else 2) for before, width in zip(inputs, WIDTHS, strict=True)]
    stem = nn.Conv2d(3, WIDTHS[0], 3, 1, 1)
    return nn.Sequential(
        stem, nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 10)
    ).eval()


def aihwkit_runs(x: torch.Tensor) -> Iterator[tuple[str, Run]]:
    """Yield AIHWKIT's forward passes with frozen noise, output noise and read noise."""
    convert = import_module("aihwkit.nn.conversion").convert_to_analog
    configs = import_module("aihwkit.simulator.configs")
    pcm = import_module("aihwkit.inference").PCMLikeNoiseModel
    noise = configs.WeightNoiseType
    kinds = {
        "frozen": (0.0, noise.NONE),
        "output noise": (OUTPUT_NOISE, noise.NONE),
        "read noise": (0.0, noise.PCM_READ),
    }
    for name, (out_noise, weight_noise) in kinds.items():
        config = configs.InferenceRPUConfig()
        config.noise_model = pcm(g_max=25.0)
        config.forward.inp_res = config.forward.out_res = 1 / 254
        config.forward.out_noise, config.forward.w_noise_type = out_noise, weight_noise
        config.forward.w_noise = 0.0175 if weight_noise is not noise.NONE else 0.0
        model = convert(resnet8(), config).eval()
        model.drift_analog_weights(DAY_S)
        yield f"aihwkit, {name}", forward(model, x)


def lightning_runs(x: torch.Tensor) -> Iterator[tuple[str, Run]]:
    """Yield AIHWKIT-Lightning's forward pass with 8-bit input and output quantisation, and with output noise."""
    convert = import_module("aihwkit_lightning.nn.conversion").convert_to_analog
    config_type = import_module("aihwkit_lightning.simulator.configs").TorchInferenceRPUConfig
    for name, out_noise in (("frozen", 0.0), ("output noise", OUTPUT_NOISE)):
        config = config_type()
        config.forward.inp_res = 254
        config.forward.out_noise = out_noise
        config.pre_post.input_range.enable = True
        yield f"aihwkit-lightning, {name}", forward(convert(resnet8(), config).eval(), x)


def forward(model: nn.Module, x: torch.Tensor) -> Run:
    def run() -> Any:
        with torch.no_grad():
            return model(x)

    return run


PEERS: dict[str, Callable[[torch.Tensor], Iterator[tuple[str, Run]]]] = {
    "aihwkit": aihwkit_runs,
    "aihwkit_lightning": lightning_runs,
}


def cimc_runs(folder: Path, batch: int) -> Iterator[tuple[str, Run]]:
    """Yield onnxruntime and cimc on the real ResNet-8 for `aon-cim`."""
    model = models(folder)[0]
    program = compiled(model, "aon-cim")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
    name, port, x = session.get_inputs()[0].name, program.inputs[0], model.inputs(batch)
    yield "onnxruntime float32", lambda: session.run(None, {name: x})
    codes = {port.name: ports.quantise(port, x.reshape(batch, *port.model_shape))}
    pcm = load_profile("pcm")
    kinds = {
        "frozen": frozenset(DEFAULTS),
        "output noise": frozenset({*DEFAULTS, "output"}),
        "read noise": frozenset({*DEFAULTS, "cycle"}),
    }
    yield "cimc, no noise", runner(Interpreter(program), codes)
    for kind, sources in kinds.items():
        noise = Noise(pcm, seed=1, time_s=DAY_S, sources=frozenset(sources))
        yield f"cimc, {kind}", runner(Interpreter(program, noise=noise), codes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, metavar="MODELS_FOLDER")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((options.batch, 3, 32, 32), np.float32))
    runs, versions = dict(cimc_runs(options.models, options.batch)), {"torch": torch.__version__}
    for name, peer in PEERS.items():
        if find_spec(name) is None:
            print(f"{name} is not installed: left out", file=sys.stderr)
            continue
        versions[name] = metadata.version(name.replace("_", "-"))
        runs |= dict(peer(x))
    facts = machine() | versions
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    found = rates(runs, options.batch)
    first = next(iter(found.values()))
    for name, rate in found.items():
        print(f"  {name:36} {rate:9,.1f} images/s  {rate / first:7.4f}")
    if options.json:
        options.json.write_text(
            json.dumps({"machine": facts, "batch": options.batch, "images_per_s": found}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
