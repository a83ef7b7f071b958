"""Long graphs are computed in pieces: every value is what the whole graph gives, and time follows the length."""

import os
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder, codes
from frontend.onnx_models import samples
from frontend.random_graphs import random_model

from cimc.driving.driver import Request, compile_to_stage
from cimc.evaluate import Evaluator, given_name, pieces, session, sizes, swapped
from cimc.ir import nn, xbar
from cimc.ir.graph import Graph
from cimc.ir.nn import Computed
from cimc.targets import load_target


def in_pieces(monkeypatch: pytest.MonkeyPatch, longest: int, *what: Any, inputs: Any) -> dict[str, Any]:
    """Return what an Evaluator of `what` gives that cuts its graph so short."""
    with monkeypatch.context() as short:
        short.setattr(pieces, "LONGEST", longest)
        return Evaluator(*what).run(inputs)


def assert_same(found: dict[str, Any], want: dict[str, Any]) -> None:
    assert found.keys() == want.keys()
    for name, array in want.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, name)


@pytest.mark.parametrize("stage", ["import", "tile"])
@pytest.mark.parametrize("seed", range(6))
def test_values_are_those_of_the_whole_graph(
    seed: int, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "random.onnx"
    path.write_bytes(random_model(seed).SerializeToString())
    graph = compile_to_stage(path, Request(load_target("ideal")), stage)
    labels, inputs = [op.label.data for op in graph.operations if isinstance(op, Computed)], samples(graph)
    want = Evaluator(graph, labels).run(inputs)
    for longest in (1, 3):
        assert_same(in_pieces(monkeypatch, longest, graph, labels, inputs=inputs), want)
    if stage == "tile":
        assert_same(in_pieces(monkeypatch, 2, graph, inputs=inputs), Evaluator(graph).run(inputs))


def doubled(wide: bool) -> Graph:
    """Return x, 2 x, 4 x and 6 x, codes that float32 does not hold if they are to be wide."""
    b, code = GraphBuilder(), codes(-(1 << 30), 1 << 30) if wide else codes(-1000, 1000)
    clamp = {"bias": 0, "shift": 0, "low": code.low.data, "high": code.high.data}
    x = b.input((4,), codes(-100, 100))
    two = b.op(
        xbar.AddOp, [x, x], (4,), code, "two", ma=(1 << 15) + 1 if wide else 1, mb=(1 << 15) if wide else 1, **clamp
    )
    four = b.op(xbar.AddOp, [two, two], (4,), code, "four", ma=1, mb=1, **clamp)
    b.output(b.op(xbar.AddOp, [two, four], (4,), code, "six", ma=1, mb=1, **clamp), "out")
    return b.graph()


@pytest.mark.parametrize("wide", [False, True])
def test_codes_of_any_width_are_handed_over(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"x": np.arange(-4, 12, dtype=np.float32).reshape(4, 4) * 8}
    found = in_pieces(monkeypatch, 1, doubled(wide), ["six", "two"], inputs=inputs)
    factor = (1 << 16) + 1 if wide else 2
    np.testing.assert_array_equal(found["two"], inputs["x"].astype(np.int64) * factor)
    np.testing.assert_array_equal(found["six"], inputs["x"].astype(np.int64) * 3 * factor)


def test_given_values_stand_in_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"x": np.ones((1, 4), np.float32), given_name("two"): np.full((1, 4), 10.0, np.float32)}
    found = in_pieces(monkeypatch, 1, doubled(False), ["two", "four", "six"], 32, ["two"], inputs=inputs)
    assert [int(found[label][0, 0]) for label in ("two", "four", "six")] == [2, 20, 30]


def test_what_is_not_asked_for_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LONGEST", 1)
    found = list(pieces.pieces(doubled(False), ["two"]))
    assert [op.label.data for piece in found for op in piece.operations if isinstance(op, nn.Computed)] == [
        "x",
        "x",
        "two",
    ]
    assert [set(piece.handed) for piece in found] == [{"x"}, set()]


@pytest.mark.parametrize("stage", ["import", "tile"])
def test_a_sample_of_many_elements_comes_in_parts(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part holds few elements, and all of them together what the whole graph gives."""
    path = tmp_path / "random.onnx"
    path.write_bytes(random_model(3).SerializeToString())
    graph = compile_to_stage(path, Request(load_target("ideal")), stage)
    labels, inputs = [op.label.data for op in graph.operations if isinstance(op, Computed)], samples(graph)
    want = Evaluator(graph, labels).run(inputs)
    monkeypatch.setattr(sizes, "ELEMENTS_AT_ONCE", 1)
    monkeypatch.setattr(pieces, "LARGEST", 1)
    for batch in (1, 32):
        evaluator = Evaluator(graph, labels, batch)
        assert_same(evaluator.run(inputs), want)
        assert all(len(part) <= 1 for parts in evaluator.chunks(inputs) for part in parts)


@pytest.mark.parametrize("cores", [1, 2])
def test_samples_of_many_elements_go_side_by_side(cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many at once as there are cores, and the arrays of each name still come in the order of the samples."""
    path = tmp_path / "random.onnx"
    path.write_bytes(random_model(4).SerializeToString())
    graph = compile_to_stage(path, Request(load_target("ideal")), "import")
    labels, inputs = [op.label.data for op in graph.operations if isinstance(op, Computed)], samples(graph)
    want = Evaluator(graph, labels).run(inputs)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(sizes, "ELEMENTS_AT_ONCE", sizes.elements(graph))
    monkeypatch.setattr(pieces, "LARGEST", 1)
    found = list(Evaluator(graph, labels, 1).arrays(inputs))
    assert_same({label: np.concatenate([array for name, array in found if name == label]) for label in labels}, want)
    names = [name for name, _ in found]
    assert names[:cores] == [names[0]] * cores and names[cores] != names[0]


def test_the_next_part_is_computed_while_one_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "random.onnx"
    path.write_bytes(random_model(4).SerializeToString())
    graph = compile_to_stage(path, Request(load_target("ideal")), "import")
    labels = [op.label.data for op in graph.operations if isinstance(op, Computed)]
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(sizes, "ELEMENTS_AT_ONCE", sizes.elements(graph))
    monkeypatch.setattr(pieces, "LARGEST", 1)
    evaluator, behind, run = Evaluator(graph, labels, 1), Event(), session.Part.run

    def noticed(part: session.Part, known: Any) -> Any:
        if part is evaluator._parts[1]:
            behind.set()
        return run(part, known)

    monkeypatch.setattr(session.Part, "run", noticed)
    arrays = evaluator.arrays(samples(graph))
    next(arrays)
    assert behind.wait(60)


@pytest.mark.parametrize("longest", [1, 3, 100])
@pytest.mark.parametrize("seed", range(4))
def test_a_swapped_value_is_what_others_read(
    seed: int, longest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swapped, "SHORT", longest)
    path = tmp_path / "random.onnx"
    path.write_bytes(random_model(seed).SerializeToString())
    graph = compile_to_stage(path, Request(load_target("ideal")), "graph")
    inputs, labels = samples(graph), [op.label.data for op in graph.operations if isinstance(op, Computed)]
    found, values = swapped.Swapped(graph, inputs), Evaluator(graph, labels).run(inputs)
    assert_near(found.outputs, Evaluator(graph).run(inputs))
    for label in labels:
        other = values[label] * np.float32(0.5) + np.float32(0.25)
        fed = {**inputs, given_name(label): other}
        assert_near(found.swapped(label, other), Evaluator(graph, given=[label]).run(fed))
    assert_near(found.outputs, Evaluator(graph).run(inputs))


def assert_near(found: dict[str, Any], want: dict[str, Any]) -> None:
    """Require equality but for the rounding of float32: onnxruntime joins operations that are in one piece."""
    assert found.keys() == want.keys()
    for name, array in want.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5 * np.abs(array).max(initial=1e-30))
