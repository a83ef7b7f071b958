"""The points that no other is better than, and grids over constants of targets."""

import json

import pytest

from cimc.command_line import main, pareto
from cimc.command_line.pareto import front, points_of
from cimc.command_line.plotting import scatter
from cimc.isa.errors import CimcError
from cimc.sweep.grid import read_grid
from cimc.sweep.store import COLUMNS, COSTS, Store
from cimc.targets import load_target
from cimc.targets.target import parse_target, target_of

ROW = dict.fromkeys(("model", "target", "passes", "noise", "sources", "compensation", "time", "metric", "trial"), "a")


def row(target, score, energy, **facts):
    measures = {"score": score, "energy_uj": energy, "latency_us": 1.0, "chip_tops_per_w": 1.0}
    return {**ROW, "seed": 0, "seconds": 0, "samples": 9, "metric": "accuracy", "target": target, **measures, **facts}


ROWS = [
    row("a", 0.90, 5.0),
    row("a", 0.92, 5.0, seed=1),
    row("b", 0.95, 9.0),
    row("c", 0.85, 7.0),
    row("d", 0.80, 2.0),
]


def names(points):
    return [point["target"] for point in points]


def test_chips_are_one_point_with_their_mean():
    first = points_of(ROWS, "t")[0]
    assert (first["target"], first["chips"], first["score"]) == ("a", 2, pytest.approx(0.91))


def test_the_front_holds_what_nothing_beats_in_both():
    assert names(front(points_of(ROWS, "t"), ("energy_uj", "score"))) == ["d", "a", "b"]


def test_of_an_error_and_of_a_latency_less_is_better():
    rows = [row("a", 0.1, 5.0, metric="mse"), row("b", 0.2, 6.0, metric="mse"), row("c", 0.05, 8.0, metric="mse")]
    assert names(front(points_of(rows, "t"), ("energy_uj", "score"))) == ["a", "c"]


def test_equal_points_stay_both():
    assert names(front(points_of([row("a", 0.5, 1.0), row("b", 0.5, 1.0)], "t"), ("energy_uj", "score"))) == ["a", "b"]


def test_the_command_reads_the_table_of_a_sweep(tmp_path, capsys):
    Store(tmp_path / "t.parquet").finish(ROWS)
    table = str(tmp_path / "t.parquet")
    assert main(["sweep", "pareto", table]) == 0
    assert "3 of 4 points are best in energy_uj or score" in capsys.readouterr().out
    assert main(["sweep", "pareto", table, "--x", "energy", "--y", "accuracy", "--json"]) == 0
    assert names(json.loads(capsys.readouterr().out)["points"]) == ["d", "a", "b"]
    assert main(["sweep", "pareto", table, "--x", "joules"]) == 2
    assert "'joules' is no measure of a sweep" in capsys.readouterr().err
    assert main(["sweep", "pareto"]) == 2
    assert main(["sweep", "pareto", str(tmp_path / "none.parquet")]) == 3
    assert "error[CIM0001]: cannot read the table" in capsys.readouterr().err


def test_the_points_of_the_front_are_drawn_by_name(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    drawn = {}
    monkeypatch.setattr(
        pareto, "scatter", lambda points, best, *axes: drawn.update(best) or scatter(points, best, *axes)
    )
    Store(tmp_path / "t.parquet").finish(ROWS)
    assert main(["sweep", "pareto", str(tmp_path / "t.parquet"), "--plot", str(tmp_path / "p.png")]) == 0
    assert list(drawn) == ["d", "a", "b"] and (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_finished_trials_are_kept_without_costs(tmp_path):
    """What a trial costs follows from its program: tables of before go on where they were."""
    store = Store(tmp_path / "t.parquet")
    store.keep("key", [{name: value for name, value in ROWS[0].items() if name in COLUMNS}])
    assert list(store.known("key")[0]) == list(COLUMNS)
    assert not set(COLUMNS) & set(COSTS)


GRID = """
[[model]]
file = "m.onnx"
calib = "c.npz"
data = "d.npz"

[grid]
target = ["aon-cim", "hermes-64"]
"""


def grid(tmp_path, text):
    for name in ("m.onnx", "c.npz", "d.npz"):
        (tmp_path / name).touch()
    path = tmp_path / "s.toml"
    path.write_text(GRID + text)
    return read_grid(path)


def test_constants_of_targets_are_axes(tmp_path):
    found = grid(tmp_path, "array.rows = [256, 512]\ndigital.depthwise = false\n")
    assert found.targets == (
        "aon-cim,array.rows=256,digital.depthwise=false",
        "aon-cim,array.rows=512,digital.depthwise=false",
        "hermes-64,array.rows=256,digital.depthwise=false",
        "hermes-64,array.rows=512,digital.depthwise=false",
    )
    assert [load_target(name).rows for name in found.targets] == [256, 512, 256, 512]
    assert not load_target(found.targets[0]).constants["digital.depthwise"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("array.row = [256]", "array.row is no constant of a target"),
        ("array.rows = [0]", "array.rows: 0 is outside"),
        ("array = 3", "array. is no constant"),
    ],
)
def test_an_axis_that_cannot_be_is_refused(tmp_path, text, said):
    with pytest.raises(CimcError, match=f"CIM0206.*{said}"):
        grid(tmp_path, text)


def test_a_changed_target_is_a_target_of_its_own():
    target = load_target("aon-cim,timing.phase=65.0,energy.divide=2")
    assert target.name == "aon-cim,timing.phase=65.0,energy.divide=2"
    assert (target.constants["timing.phase"], target.sources["timing.phase"]) == (65.0, "derived")
    assert "timing.phase" not in target.bounds
    assert parse_target(target.render(), "t") == target == target_of(target.sections())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("array.row=256", "did you mean array.rows"),
        ("array.rows", "does not change a constant"),
        ("array.rows=many", "array.rows: 'many' is not int"),
    ],
)
def test_a_change_that_cannot_be_is_refused(change, said):
    with pytest.raises(CimcError, match=f"(?s)CIM0301.*{said}"):
        load_target(f"aon-cim,{change}")
