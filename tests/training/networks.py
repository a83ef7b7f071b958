"""Small networks that training sees, and what the compiler decides about them."""

from typing import Any

import numpy as np
import pytest
from targets.stages import chip, normal

from cimc.driving.driver import Request
from cimc.ir.graph import Graph
from cimc.passes.pipeline import DEFAULT, with_options
from cimc.targets import Target
from cimc.training.array_facts import ArrayFacts, measured

pytest.importorskip("jax", reason="the extra `train` is not installed")

from cimc.training.network import Network

SMALL = chip(array__tiles=30, array__rows=16, array__columns=12)
"""A chip on which the layers of small networks have several row blocks."""


def request(
    data: dict[str, Any], target: Target = SMALL, columns: int = 0, rows: int = 1, rounding: str = "alike"
) -> Request:
    """Return what compiles a network; columns stand so many times, rows up to so many where bits are lowered."""
    pipeline = with_options(DEFAULT, f"row-copies{{most={rows}}}")
    if columns:
        mapping = f"weights=averaged columns={columns} rounding={rounding}"
        pipeline = with_options(pipeline, f"weight-mapping{{{mapping}}}")
    return Request(target, pipeline, data=lambda shapes: data)


def facts(graph: Graph, data: dict[str, Any], target: Target = SMALL, columns: int = 0) -> ArrayFacts:
    network = Network(graph)
    return measured(network.with_weights(network.weights), request(data, target, columns))


def samples(count: int, *shape: int, name: str = "x", seed: int = 7) -> dict[str, Any]:
    return {name: np.asarray(normal(count, *shape, seed=seed))}
