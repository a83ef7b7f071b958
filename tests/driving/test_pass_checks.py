"""--check-passes: sound passes keep what they say, on graphs with every kind of operation; broken ones are named."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from targets.stages import chip, normal, perceptron, residual

from cimc.command_line import main
from cimc.driving.driver import Request, compile_graph, compile_model, synthetic_data
from cimc.driving.pass_checks import PassChecks, require_kept
from cimc.ir import nn
from cimc.ir.attributes import floats
from cimc.ir.graph import Graph
from cimc.ir.verify import BrokenGraph
from cimc.passes import pipeline
from cimc.passes.pipeline import PASSES, Keeps
from cimc.targets import load_target

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def request(**facts: Any) -> Request:
    return Request(chip(), observer=PassChecks(synthetic_data), **facts)


@pytest.mark.parametrize("make", [lambda: perceptron(20, 12, 5), residual], ids=["dense layers", "images"])
def test_every_pass_keeps_what_it_may(make: Callable[[], Graph]) -> None:
    checks = PassChecks(synthetic_data)
    graph = make()
    checks("import", graph, 0.0)
    compile_graph(graph, Request(chip(), observer=checks, start="import"))


def test_passes_on_the_sample_network() -> None:
    compile_model(SAMPLES / "digits.onnx", request())


@pytest.mark.nightly
@pytest.mark.parametrize("target", ["aon-cim", "hermes-64", "ideal"])
def test_passes_on_the_transformer(target: str) -> None:
    compile_model(SAMPLES / "digits_transformer.onnx", replace(request(), target=load_target(target)))


@pytest.mark.nightly
@pytest.mark.parametrize(
    "name", ["mnist_lenet5_fp32", "resnet8_cifar10_fp32", "kws_dscnn_fp32", "resnet8_cifar10_int8_qdq"]
)
def test_passes_on_real_models(name: str, shared_models: Path) -> None:
    compile_model(shared_models / f"{name}.onnx", request())


@dataclass(frozen=True)
class Wrong:
    """A pass that leaves a fused clamp narrower than it was."""

    name: ClassVar[str] = "fuse-clamp"

    def __call__(self, graph: Graph) -> Graph:
        for op in graph.operations:
            if isinstance(op, nn.DenseOp) and op.clamp is not None:
                op.properties["clamp"] = floats((0.0, 0.5))
        return graph


def test_a_wrong_pass_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(replace(row, kind=Wrong) if row.name == "fuse-clamp" else row for row in PASSES)
    monkeypatch.setattr(pipeline, "PASSES", rows)
    checks, graph = PassChecks(synthetic_data), perceptron(20, 12, 5)
    checks("import", graph, 0.0)
    with pytest.raises(BrokenGraph, match=r"^pass fuse-clamp changed output 'out' by up to .*, more than it may$"):
        compile_graph(graph, Request(chip(), observer=checks, start="import"))


OLD = {"y": normal(4, 10)}


@pytest.mark.parametrize(
    ("name", "change", "sound"),
    [
        ("calibrate", 0.0, True),
        ("calibrate", 1e-6, False),
        ("layout", 1e-5, True),
        ("layout", 1e-3, False),
        ("quantise", 0.3, True),
        ("quantise", 2.0, False),
    ],
)
def test_a_pass_may_change_what_its_row_says(name: str, change: float, sound: bool) -> None:
    found = {"y": OLD["y"] + np.float32(change) * normal(4, 10, seed=1)}
    if sound:
        require_kept(name, OLD, found)
    else:
        with pytest.raises(BrokenGraph, match=f"pass {name} changed output 'y'"):
            require_kept(name, OLD, found)


def test_outputs_keep_their_names_and_shapes() -> None:
    with pytest.raises(BrokenGraph, match=r"pass layout made the outputs \['z'\] of \['y'\]"):
        require_kept("layout", OLD, {"z": OLD["y"]})
    with pytest.raises(BrokenGraph, match=r"pass layout changed the shape of output 'y' from \(4, 10\) to \(10, 4\)"):
        require_kept("layout", OLD, {"y": OLD["y"].T})


def test_passes_between_codes_and_schedule_keep_bits() -> None:
    kept = {row.name for row in PASSES if row.keeps is Keeps.BITS}
    assert {"calibrate", "split", "column-ranges", "compensation", "replicate", "place", "schedule"} <= kept


def test_passes_are_checked_on_the_data_that_ranges_come_from(tmp_path: Path) -> None:
    """On made-up data of other ranges, codes would clip and a sound pass would be called broken."""
    command = ["compile", str(SAMPLES / "digits.onnx"), "--check-passes", "--no-float-check"]
    data = ["--calib", str(SAMPLES / "digits_calib.npz"), "--scale", "0.0625"]
    ranges = str(tmp_path / "r.json")
    assert main([*command, *data, "-o", str(tmp_path / "p.asm"), "--write-ranges", ranges]) == 0
    assert main([*command, "--scale", "0.0625", "--ranges", ranges, "-o", str(tmp_path / "p.asm")]) == 2


def test_the_command_line_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    called = PassChecks.__call__

    def noted(self: PassChecks, name: str, graph: Graph, seconds: float) -> None:
        seen.append(name)
        called(self, name, graph, seconds)

    monkeypatch.setattr(PassChecks, "__call__", noted)
    command = ["compile", str(SAMPLES / "digits.onnx"), "--check-passes", "--compile-to", "graph"]
    assert main([*command, "-o", str(tmp_path / "t.mlir")]) == 0
    assert seen == ["import", *(row.name for row in PASSES[:8])]
