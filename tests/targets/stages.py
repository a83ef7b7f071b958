"""A graph taken down the road of the passes for a chip whose constants a test may change."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from evaluate.graphs import GraphBuilder
from numpy.typing import NDArray

from cimc.backends.emission.builder import Emission
from cimc.backends.emission.emit import emit
from cimc.ir import nn
from cimc.ir.facts import ACTIVATION_BYTES
from cimc.ir.graph import Graph
from cimc.ir.verify import require_sound
from cimc.ir.xbar import MvmOp
from cimc.passes.pipeline import DEFAULT, Setting, parse_pipeline
from cimc.passes.ranges import Ranges
from cimc.targets import Target, load_target

Array = NDArray[Any]
Batch = dict[str, Array]
WINDOW: dict[str, Any] = {"stride": [1, 1], "dilation": [1, 1], "pads": [0, 0, 0, 0]}
SAME: dict[str, Any] = WINDOW | {"pads": [1, 1, 1, 1]}


def chip(**changes: Any) -> Target:
    """Return aon-cim with other constants; array__rows stands for array.rows."""
    target = load_target("aon-cim")
    return replace(target, constants={**target.constants, **{k.replace("__", "."): v for k, v in changes.items()}})


def through(graph: Graph, *passes: Any) -> Graph:
    """Apply passes, each followed by the verifier."""
    for one in passes:
        graph = one(graph)
        require_sound(graph, one.name)
    return graph


def between(first: str, last: str, setting: Setting, **options: str) -> Sequence[Any]:
    """Return the default passes from `first` to `last`; column_ranges="per=block" gives column-ranges its options."""
    names = DEFAULT.split(",")
    chosen = names[names.index(first) : names.index(last) + 1]
    given = {key.replace("_", "-"): f"{{{value}}}" for key, value in options.items()}
    return parse_pipeline(",".join(name + given.get(name, "") for name in chosen), setting)


def lowered(graph: Graph, data: Batch, last: str = "schedule", target: Target | None = None, **options: str) -> Graph:
    """Return the graph behind pass `last`, calibrated on `data`."""
    return through(graph, *between("calibrate", last, Setting(target or chip(), data), **options))


def relowered(graph: Graph, ranges: Ranges, last: str = "schedule", target: Target | None = None) -> Graph:
    """Return the graph behind pass `last`, from stored ranges."""
    return through(graph, *between("calibrate", last, Setting(target or chip(), {}, ranges)))


def emitted(graph: Graph, target: Target | None = None) -> Emission:
    """Return the program of a scheduled graph."""
    return emit(graph, {"target": (target or chip()).sections()}, ACTIVATION_BYTES.of(graph.module))


def layers(graph: Graph) -> list[MvmOp]:
    return [op for op in graph.module.ops if isinstance(op, MvmOp)]


def normal(*shape: int, seed: int = 0) -> Array:
    """Return seeded standard normal float32 values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def perceptron(*sizes: int) -> Graph:
    """Return dense layers with Relu between them: x -> d0 -> d1 ..."""
    b = GraphBuilder()
    x = b.input((sizes[0],))
    for n, (rows, cols) in enumerate(pairwise(sizes)):
        clamp = [0.0, nn.UNBOUNDED] if n < len(sizes) - 2 else None
        constants = {"weight": normal(rows, cols, seed=n) / 4, "bias": normal(cols, seed=n + 50)}
        x = b.op(nn.DenseOp, [x], (cols,), label=f"d{n}", clamp=clamp, **constants)
    b.output(x)
    return b.graph()


def residual(size: int = 6) -> Graph:
    """Return conv -> (conv, concat of two, sum, pools, dense): every way of addressing a result."""
    b = GraphBuilder()
    relu = {"clamp": [0.0, nn.UNBOUNDED]}
    x = b.input((size, size, 3))
    image = (size, size, 4)
    stem = b.op(nn.ConvOp, [x], image, label="stem", weight=normal(3, 3, 3, 4), group=1, **SAME, **relu)
    depth = b.op(nn.ConvOp, [stem], image, label="depth", weight=normal(3, 3, 1, 4, seed=1), group=4, **SAME)
    both = b.op(nn.ConvOp, [stem], image, label="both", weight=normal(3, 3, 2, 4, seed=2), group=2, **SAME)
    added = b.op(nn.AddOp, [depth, both], image, label="added")
    joined = b.op(nn.ConcatOp, [[added, stem]], (size, size, 8), label="joined", axis=2)
    half = (size // 2, size // 2, 8)
    geometry = WINDOW | {"kernel": [2, 2], "stride": [2, 2]}
    small = b.op(nn.MaxPoolOp, [joined], half, label="small", **geometry)
    padded = b.op(nn.PadOp, [small], (half[0] + 1, half[1] + 2, 8), label="padded", before=[1, 0, 0], after=[0, 2, 0],
                  value=0.5)  # fmt: skip
    kernel = {"kernel": [half[0] + 1, half[1] + 2], "counted": [0, 0, 0, 0]}
    pooled = b.op(nn.AvgPoolOp, [padded], (1, 1, 8), label="pooled", **WINDOW, **kernel)
    flat = b.op(nn.ReshapeOp, [pooled], (8,), label="flat")
    b.output(b.op(nn.DenseOp, [flat], (5,), label="scores", weight=normal(8, 5, seed=3)))
    return b.graph()
