"""Measure how compile time, memory and program size grow with the weights: tables and JSON. It judges nothing.

python samples/bench/scaling.py [resnet] [dense] [chain] [zoo] [--target NAME] [--repeats N] [--json FILE]

`resnet`: ResNet-8 with 1, 2, 4, 8 and 16 times its weights; `dense`: stacks of dense layers with 12 to 100 million
weights in external data; `chain`: 5,000 to 20,000 nodes without weights, Neg, Tanh and Relu in turn, or Relu alone;
`zoo`: the networks inside the onnx package. Weights are seeded, the data is what `cimc compile` makes up without any.
Each compile is a process of its own; figures are medians, memory is the largest resident set. Models are made in
processes of their own too: a child's figure starts with the memory of its parent.
"""

import argparse
import json
import math
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from compiling import measured
from onnx import TensorProto, helper, numpy_helper
from zoo_models import FOLDER, NAMES

FAMILIES = ("resnet", "dense", "chain", "zoo")
WIDTHS = (16, 32, 64)
MILLIONS = {12: (512, 6), 25: (512, 12), 50: (1024, 6), 100: (1024, 12)}
"""Millions of weights -> features and blocks; a block widens four times and narrows again."""
CHAINS = (("Neg", "Tanh", "Relu"), ("Relu",))
LENGTHS = (5_000, 10_000, 20_000)


class Network:
    """An ONNX graph in the making, with seeded weights."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.generator = np.random.Generator(np.random.Philox(8))

    def weight(self, *shape: int) -> str:
        """Add He-normal weights and return their name."""
        name = f"w{len(self.weights)}"
        spread = math.sqrt(2.0 / math.prod(shape[1:] if len(shape) == 4 else shape[:1]))
        array = self.generator.standard_normal(shape, np.float32) * np.float32(spread)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator and return the name of its result."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x: str, sizes: tuple[int, int], kernel: int, stride: int = 1) -> str:
        """Add a convolution from sizes[0] to sizes[1] channels."""
        low = (kernel - 1) // 2 if stride == 1 else 0
        pads = [low, low, kernel - 1 - low, kernel - 1 - low]
        return self.node("Conv", x, self.weight(sizes[1], sizes[0], kernel, kernel), strides=[stride] * 2, pads=pads)

    def model(self, out: str, size: int) -> onnx.ModelProto:
        """Return the model of what was added."""
        described = [(name, ("N", *shape)) for name, shape in (("x", self.shape), (out, (size,)))]
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in described]
        graph = helper.make_graph(self.nodes, "scaled", ports[:1], ports[1:], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def resnet(scale: int) -> onnx.ModelProto:
    """Return ResNet-8 for 32 x 32 images, widened until it has `scale` times its weights."""
    widths = [round(width * math.sqrt(scale)) for width in WIDTHS]
    net = Network(3, 32, 32)
    x, before = net.node("Relu", net.conv("x", (3, widths[0]), 3)), widths[0]
    for width in widths:
        stride = 1 if width == before else 2
        y = net.node("Relu", net.conv(x, (before, width), 3, stride))
        y = net.conv(y, (width, width), 3)
        x = x if stride == 1 else net.conv(x, (before, width), 1, stride)
        x, before = net.node("Relu", net.node("Add", x, y)), width
    pooled = net.node("Flatten", net.node("GlobalAveragePool", x))
    return net.model(net.node("MatMul", pooled, net.weight(before, 10)), 10)


def save_resnet(path: Path, scale: int) -> None:
    """Write a ResNet-8."""
    onnx.save(resnet(scale), path)


def save_dense(path: Path, features: int, blocks: int) -> None:
    """Write a stack of dense layers, its weights in a file beside it."""
    path.with_suffix(".data").unlink(missing_ok=True)
    onnx.save(dense(features, blocks), path, save_as_external_data=True, location=path.with_suffix(".data").name)


def dense(features: int, blocks: int) -> onnx.ModelProto:
    """Return blocks of two dense layers, features -> 4 features -> features."""
    net, x = Network(features), "x"
    for _ in range(blocks):
        wide = net.node("Relu", net.node("MatMul", x, net.weight(features, 4 * features)))
        x = net.node("Relu", net.node("MatMul", wide, net.weight(4 * features, features)))
    return net.model(x, features)


def save_chain(path: Path, operators: tuple[str, ...], length: int) -> None:
    """Write a chain of so many nodes on four values, operators in turn."""
    net, x = Network(4), "x"
    for number in range(length):
        x = net.node(operators[number % len(operators)], x)
    onnx.save(net.model(x, 4), path)


def models(families: list[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield names and files of the models asked for; made ones are written into the folder."""
    path = folder / "model.onnx"
    for scale in (1, 2, 4, 8, 16) if "resnet" in families else ():
        _elsewhere(save_resnet, path, scale)
        yield f"{scale} x ResNet-8", path
    for millions, shape in MILLIONS.items() if "dense" in families else ():
        _elsewhere(save_dense, path, *shape)
        yield f"dense, {millions} M", path
    for operators, length in product(CHAINS, LENGTHS) if "chain" in families else ():
        _elsewhere(save_chain, path, operators, length)
        yield f"{length:,} x {', '.join(operators)}", path
    for name in NAMES if "zoo" in families else ():
        yield name, FOLDER / f"light_{name}.onnx"


def _elsewhere(save: Callable[..., None], path: Path, *size: Any) -> None:
    """Make a model in another process."""
    process = multiprocessing.get_context("spawn").Process(target=save, args=(path, *size))
    process.start()
    process.join()


def row(name: str, path: Path, target: str, repeats: int, out: Path) -> dict[str, Any] | None:
    """Return the figures of a model, None where it is not compiled."""
    command = [
        "cimc",
        "compile",
        str(path),
        "--target",
        target,
        "--tiles",
        "auto",
        "-o",
        str(out),
        "--timing",
        "--json",
    ]
    runs = [measured(command) for _ in range(repeats)]
    if any(run.status for run in runs):
        print(f"{name}: {runs[0].errors.splitlines()[0]}", file=sys.stderr)
        return None
    passes = [dict(_times(run.errors)) for run in runs]
    facts = json.loads(runs[0].output)
    return {
        "model": name,
        "weights": facts["crossbar_weights"],
        "seconds": statistics.median(run.seconds for run in runs),
        "cpu_seconds": statistics.median(run.cpu_seconds for run in runs),
        "peak_mib": statistics.median(run.peak_mib for run in runs),
        "static_instructions": facts["static_instructions"],
        "passes": {one: statistics.median(times[one] for times in passes) for one in passes[0]},
    }


def _times(errors: str) -> Iterator[tuple[str, float]]:
    """Yield (pass, seconds) of each line that --timing printed."""
    for line in errors.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] == "s":
            yield words[2], float(words[0])


SHOWN = ("import", "calibrate", "column-ranges", "conductance", "compensation")


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table; `x float32` is the peak memory over the bytes of float32 weights."""
    head = ["model", "weights", "compile s", "CPU s", "peak MiB", "x float32", "instructions", *SHOWN, "other passes"]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for one in rows:
        times = one["passes"]
        rest = sum(times.values()) - sum(times[name] for name in SHOWN)
        cells = [
            one["model"],
            f"{one['weights']:,}",
            f"{one['seconds']:.2f}",
            f"{one['cpu_seconds']:.2f}",
            f"{one['peak_mib']:.0f}",
            f"{one['peak_mib'] * (1 << 20) / (4 * one['weights']):.1f}" if one["weights"] else "-",
            f"{one['static_instructions']:,}",
            *(f"{times[name]:.2f}" for name in SHOWN),
            f"{rest:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="compile time, memory and program size over the number of weights")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"{', '.join(FAMILIES)}; all by default")
    parser.add_argument("--target", default="ideal")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    unknown = [name for name in options.families if name not in FAMILIES]
    if unknown:
        parser.error(f"there is no family {unknown[0]!r}; choose from {', '.join(FAMILIES)}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in models(options.families or list(FAMILIES), Path(folder)):
            found = row(name, path, options.target, options.repeats, Path(folder) / "program.cimb")
            rows += [found] if found else []
            if found:
                print(f"{name}: {found['seconds']:.2f} s, {found['peak_mib']:.0f} MiB", file=sys.stderr)
    load = "{:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())
    print(
        f"\nmedians of {options.repeats}, {os.cpu_count()} cores, load over 1, 5 and 15 minutes: {load}\n\n"
        f"{table(rows)}"
    )
    if options.json:
        options.json.write_text(json.dumps({"load": os.getloadavg(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
