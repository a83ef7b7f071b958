"""What `cimc train` writes, and for which networks."""

import argparse
import contextlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line.test_cases import Terminal
from frontend.onnx_models import written
from frontend.recurrent_models import recurrent
from targets.stages import normal, perceptron

from cimc.command_line.commands import BY_NAME
from cimc.command_line.graph_files import read_graph
from cimc.command_line.main import main
from cimc.driving.driver import Request, compile_to_stage
from cimc.evaluate import to_onnx
from cimc.ir.text import print_graph
from cimc.isa.container import load_program
from cimc.isa.errors import CimcError
from cimc.passes.chosen import Chosen
from cimc.passes.pipeline import DEFAULT, with_options
from cimc.passes.ranges import Ranges
from cimc.targets import load_target

pytest.importorskip("jax", reason="the extra `train` is not installed")

from cimc.command_line.training import _plan, _require_kept, _require_lasting, _require_writable, _settings, _write
from cimc.training.batches import Data
from cimc.training.fit import Plan, Trained
from cimc.training.settings import Settings

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def looped(folder: Path) -> Plan:
    path = written(recurrent("LSTM", initial="none"), folder)
    request = Request(load_target("aon-cim"), DEFAULT)
    graph = compile_to_stage(path, request, "graph")
    data = Data({"x": normal(8, 5, 4)})
    return Plan(graph, request, data, Settings(), [], 0, 0.0, folder / "kept.npz")


def test_a_network_with_a_loop_is_written_as_text_that_compiles(tmp_path: Path) -> None:
    plan = looped(tmp_path)
    output, ranges = tmp_path / "t.mlir", tmp_path / "r.json"
    text = print_graph(plan.graph)
    _require_writable(plan.graph, output)
    with contextlib.redirect_stderr(Terminal()) as shown:
        _write(argparse.Namespace(output=str(output), ranges_out=str(ranges)), plan, Trained(plan.graph, None, [], 1))
    assert "\rfinding ranges 1/" in shown.getvalue() and shown.getvalue().endswith("\r\x1b[K")
    assert print_graph(read_graph(output)) == text
    assert (
        main(["compile", str(output), "--from", "graph", "--ranges", str(ranges), "-o", str(tmp_path / "p.cimb")]) == 0
    )


def test_a_network_with_a_loop_is_refused_as_a_model_before_it_is_trained(tmp_path: Path) -> None:
    plan = looped(tmp_path)
    with pytest.raises(CimcError, match=r"CIM0121.*IR text"):
        _require_writable(plan.graph, tmp_path / "t.onnx")


def test_what_was_learnt_and_chosen_is_kept_for_the_model_that_is_written(tmp_path: Path) -> None:
    """A model that is read again has labels of its own."""
    data = {"x": normal(40, 12)}
    chosen = Chosen({"d1.columns": (6, 8)}, {"x": 0.5}, rows={"d1.columns": 2})
    pipeline = with_options(DEFAULT, "weight-mapping{weights=averaged columns=2}")
    request = Request(load_target("aon-cim"), pipeline, chosen=chosen)
    plan = Plan(perceptron(12, 5, 4), request, Data(data), Settings(), [], 0, 0.0, tmp_path / "kept.npz")
    learnt = Ranges({"d0": (0.0, 0.75)}, {"d1.columns": tuple(range(1001, 1009))})
    output, ranges, program = (tmp_path / name for name in ("t.onnx", "r.json", "p.cimb"))
    written_to = argparse.Namespace(output=str(output), ranges_out=str(ranges))
    _write(written_to, plan, Trained(plan.graph, None, [], 1, learnt))
    options = ("--ranges", str(ranges), "--set", "weight-mapping{weights=averaged columns=2}")
    assert main(["compile", str(output), *options, "-o", str(program)]) == 0
    found = load_program(program).meta["ranges"]
    assert (0.0, 0.75) in {tuple(ends) for ends in found["activations"].values()}
    assert (list(found["bits"].values()), list(found["rows"].values())) == ([[6, 8]], [2])
    ((value, factor),) = found["reach"].items()
    assert (factor, found["activations"][value][1]) == (0.5, pytest.approx(0.5 * np.abs(data["x"]).max(), rel=1e-3))
    assert list(range(1001, 1009)) in found["columns"].values()


def test_ranges_are_not_learnt_for_layers_that_a_written_model_does_not_have() -> None:
    """Norms of the transformer fold into the layers behind them once more when it is read again."""
    request = Request(load_target("aon-cim"), DEFAULT)
    graph = compile_to_stage(SAMPLES / "digits_transformer.onnx", request, "graph")
    with pytest.raises(CimcError, match=r"(?s)CIM0121.*layers with other weights.*TRAINED\.mlir"):
        _require_lasting(graph, request, Path("t.onnx"))
    _require_lasting(graph, request, Path("t.mlir"))
    _require_lasting(compile_to_stage(SAMPLES / "digits.onnx", request, "graph"), request, Path("t.onnx"))


def test_ranges_are_not_learnt_without_a_file_for_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("train", "m.onnx", "--data", "d.npz", "--noise", "pcm", "-o", str(tmp_path / "t.onnx"))
    assert main([*given, "--set", "learn=all,ranges"]) == 2
    assert "error[CIM0003]: --set learn=ranges without --ranges-out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("others", "told"),
    [((3, 11), r"CIM0202.*e\.npz.*\(N, 12\)"), ((0, 12), r"CIM0202.*e\.npz.*no samples"), ((20, 12), None)],
)
def test_more_inputs_without_labels_must_be_such_as_the_model_takes(
    tmp_path: Path, others: tuple[int, int], told: str | None
) -> None:
    model, data, more = (tmp_path / name for name in ("m.onnx", "d.npz", "e.npz"))
    model.write_bytes(to_onnx(perceptron(12, 5, 4)).SerializeToString())
    np.savez(data, x=normal(18, 12))
    np.savez(more, x=normal(*others))
    given = ["--data", str(data), "--unlabelled", str(more), "--noise", "pcm", "-o", str(tmp_path / "t.onnx")]
    options = BY_NAME["train"].parser().parse_args([str(model), *given, "--limit", "17"])
    if told:
        with pytest.raises(CimcError, match=told):
            _plan(options, tmp_path / "kept.npz")
    else:
        plan = _plan(options, tmp_path / "kept.npz")
        assert (plan.data.count, len(plan.data.others["x"])) == (17, 20)


def test_more_inputs_are_not_replaced_by_what_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = tmp_path / "e.npz"
    np.savez(more, x=normal(2, 12))
    assert (
        main(["train", "m.onnx", "--data", "d.npz", "--unlabelled", str(more), "--noise", "pcm", "-o", str(more)]) == 2
    )
    assert "error[CIM0003]" in capsys.readouterr().err


def test_bits_rows_and_factors_of_a_ranges_file_are_trained_with(tmp_path: Path) -> None:
    """Ranges themselves are not taken: those of other weights differ."""
    model, data, ranges = tmp_path / "m.onnx", tmp_path / "d.npz", tmp_path / "r.json"
    model.write_bytes(to_onnx(perceptron(12, 5, 4)).SerializeToString())
    np.savez(data, x=normal(16, 12))
    assert (
        main(
            ["compile", str(model), "--calib", str(data), "--write-ranges", str(ranges), "-o", str(tmp_path / "p.cimb")]
        )
        == 0
    )
    found = Ranges.from_json(json.loads(ranges.read_text()))
    layer, value = next(iter(found.columns)), next(iter(found.inputs))
    chosen = Chosen({layer: (4, 8)}, {value: 0.5}, rows={layer: 2})
    ranges.write_text(json.dumps(replace(found, bits=chosen.bits, reach=chosen.reach, rows=chosen.rows).to_json()))
    given = [
        "--data",
        str(data),
        "--noise",
        "pcm",
        "-o",
        str(tmp_path / "t.onnx"),
        "--ranges-out",
        str(tmp_path / "o.json"),
    ]
    plan = _plan(
        BY_NAME["train"].parser().parse_args([str(model), *given, "--ranges", str(ranges)]), tmp_path / "kept.npz"
    )
    assert (plan.request.chosen, plan.request.ranges) == (chosen, None)


def test_bits_that_were_chosen_are_not_trained_with_without_a_file_for_them() -> None:
    with pytest.raises(CimcError, match=r"CIM0003.*--ranges without --ranges-out"):
        _require_kept(argparse.Namespace(ranges="r.json", ranges_out=None))


def test_settings_with_braces_are_those_of_passes() -> None:
    settings, pipeline = _settings(["steps=5", "calibrate{method=mse}"])
    assert settings == Settings(steps=5)
    assert "calibrate{method=mse}," in pipeline
    assert _settings([]) == (Settings(), DEFAULT)


def test_a_pass_that_is_not_there_is_named() -> None:
    with pytest.raises(CimcError, match=r"(?s)CIM0305.*calibrate"):
        _settings(["calibrat{method=mse}"])
