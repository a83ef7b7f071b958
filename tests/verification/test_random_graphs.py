"""Random models: the import is right in float, the proof holds to the bit, the integers are as near as can be."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_equal, canonical, samples
from frontend.random_graphs import Array, random_model

from cimc.driving.driver import Compilation, Request, compile_model, compile_to_stage
from cimc.driving.float_model import run_float
from cimc.evaluate import Evaluator, evaluate
from cimc.frontend import load
from cimc.frontend.ordering import sort_nodes
from cimc.ir.graph import Graph
from cimc.isa.errors import CimcError
from cimc.proof.programs import Difference
from cimc.proof.prover import Prover
from cimc.targets import load_target

IN_CI, AT_NIGHT, AT_ONCE = 100, 2000, 25
SLACK = 3.0
"""Decibels that array and digital unit may lose against the same graph with rounded values and real weights."""
GOOD = 30.0
"""Decibels beyond which nothing more is asked for."""
BATCH = 4


def blocks(first: int, last: int) -> list[range]:
    return [range(start, min(start + AT_ONCE, last)) for start in range(first, last, AT_ONCE)]


FOUND = range(1671, 1672)
"""A product of values that are always zero: its ratio is so small that the offset did not fit the accumulator."""


@pytest.mark.parametrize("seeds", [*blocks(0, IN_CI), FOUND], ids=str)
def test_random_graphs(seeds: range, tmp_path: Path) -> None:
    assert [seed for seed in seeds if not holds(seed, tmp_path)] == []


@pytest.mark.nightly
@pytest.mark.parametrize("seeds", blocks(IN_CI, AT_NIGHT), ids=str)
def test_many_random_graphs(seeds: range, tmp_path: Path) -> None:
    assert [seed for seed in seeds if not holds(seed, tmp_path)] == []


def holds(seed: int, folder: Path) -> bool:
    """Return whether everything promised holds for the model of a seed; say what does not."""
    path, proto = folder / "random.onnx", random_model(seed)
    path.write_bytes(proto.SerializeToString())
    sort_nodes(proto.graph)
    ordered = folder / "ordered.onnx"
    ordered.write_bytes(proto.SerializeToString())
    try:
        check(path, ordered)
    except (AssertionError, CimcError) as failure:
        print(f"seed {seed}, opset {proto.opset_import[0].version}: {failure}")
        print(onnx.printer.to_text(proto.graph))
        return False
    return True


def check(path: Path, ordered: Path) -> None:
    graph = load(path)
    inputs = samples(graph, BATCH, 1.0)
    want = run_float(ordered, graph, inputs)
    assert_equal(evaluate(graph, inputs), want)
    assert_equal(evaluate(canonical(load(path)), inputs), want)
    request = Request(load_target("ideal"), data=lambda _: inputs)
    compilation = compile_model(path, request)
    for step in Prover(compilation).prove(inputs, 1):
        assert not isinstance(step, Difference), step
    check_noise(compilation, compile_to_stage(path, request, "quantised"), inputs, want)


def check_noise(compilation: Compilation, quantised: Graph, inputs: dict[str, Array], want: dict[str, Array]) -> None:
    found, expected = Evaluator(compilation.graph).run(inputs), evaluate(quantised, inputs)
    for name, array in want.items():
        possible, reached = decibels(array, expected[name]), decibels(array, found[name])
        assert reached >= min(possible - SLACK, GOOD), (
            f"{name}: {reached:.1f} dB, rounded values give {possible:.1f} dB"
        )


def decibels(want: Array, found: Array) -> float:
    noise, signal = np.mean(np.square(found - want, dtype=np.float64)), np.mean(np.square(want, dtype=np.float64))
    return float(10.0 * np.log10(max(signal, 1e-30) / max(noise, 1e-30)))
