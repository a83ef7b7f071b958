"""The file of a sweep: what is wrong with it is told by its place."""

from pathlib import Path

import pytest

from cimc.diagnostics import DiagnosticError
from cimc.sweep.grid import read_grid

MODEL = '[[model]]\nfile = "m.onnx"\ncalib = "c.npz"\ndata = "d.npz"\n'


def grid(text: str) -> str:
    return f"{MODEL}[grid]\n{text}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model = 3", "it has no [[model]]"),
        ("model = [3]", "it has no [[model]]"),
        ("[grid]\nseeds = 3", "it has no [[model]]"),
        ("= 3", "it is not TOML"),
        ("grid = 7\n" + MODEL, "grid is not a table"),
        (MODEL + MODEL, "two models have the same name: m, m"),
        (MODEL + "[girl]", "the file has no 'girl'"),
        ('[[model]]\nfile = "m.onnx"\ncalib = "c.npz"', "[[model]] 1: data is missing"),
        (MODEL + 'metric = "joy"', "[[model]] 1: metric is 'joy', known are accuracy, mse"),
        (MODEL + "limit = -1", "[[model]] 1, limit is -1, wanted a whole number"),
        (MODEL + "limit = true", "[[model]] 1, limit is True, wanted a whole number"),
        (MODEL + 'scale = "x"', "[[model]] 1, scale is 'x', wanted a number"),
        (MODEL + "std = [1, false]", "[[model]] 1, std is [1, False], wanted a number or a list of numbers"),
        (MODEL.replace('"m.onnx"', "7"), "[[model]] 1, file is 7, wanted a text"),
        (MODEL.replace("m.onnx", "../m.onnx"), "[[model]] 1, file is '../m.onnx': only files beside the file"),
        (grid("time = []"), "[grid] time is [], wanted a text or a list of texts"),
        (grid('compensation = "hope"'), "[grid] compensation: 'hope', known are none, block, column, refit"),
        (grid("array = 3"), "[grid] array. is no constant of a target"),
        (grid("array.lines = 3"), "[grid] array.lines is no constant of a target"),
        (grid('array.rows = ["many"]'), "[grid] array.rows:"),
        (grid('noise = "/etc/x.toml"'), "[grid] noise is '/etc/x.toml': only files beside"),
        (grid('sed = "3"'), "[grid] has no 'sed'"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(DiagnosticError) as caught:
        read_grid(path)
    assert caught.value.code == "CIM0206"
    assert said in str(caught.value) and "hint:" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError, match=r"CIM0001.*s\.toml: No such file"):
        read_grid(tmp_path / "s.toml")


def test_every_choice_is_tried_with_every_other(tmp_path: Path) -> None:
    """Of two targets and two sizes of arrays, four chips each, and one measured chip for each kind of compensation."""
    path = tmp_path / "s.toml"
    lists = 'target = ["aon-cim", "ideal"]\narray.rows = [256, 512]\nchip = "c.npz"\ncompensation = ["none", "column"]'
    path.write_text(grid(f'{lists}\nnoise = ["none", "pcm"]\nseeds = 4\nfirst_seed = 3\ntime = ["1h", "1d"]'))
    found = read_grid(path)
    trials = list(found.trials())
    assert len(trials) == 4 * (1 + 2 * 4 + 2) <= found.most_trials
    assert found.targets[:2] == ("aon-cim,array.rows=256", "aon-cim,array.rows=512")
    assert [str(one) for one in trials[:2]] == [
        "m aon-cim,array.rows=256, compensation none",
        "m aon-cim,array.rows=256 on chip 3 of pcm, compensation none",
    ]
    assert str(trials[9]).endswith("c.npz, compensation none") and trials[9].measured
