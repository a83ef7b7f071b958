"""What is raised so that outputs meet a bound, and that programs which meet it keep their bytes."""

import json
from pathlib import Path

import numpy as np
import pytest
from frontend.onnx_models import model, node, weights, written

from cimc.command_line.main import main
from cimc.driving.distances import Bound
from cimc.driving.driver import Request, compile_model
from cimc.driving.raising import FREE, raised
from cimc.isa.binary import program_digest
from cimc.isa.container import load_program
from cimc.passes.pipeline import DEFAULT
from cimc.targets import load_target

RNG = np.random.default_rng(0)
X = RNG.normal(0.0, 1.0, (32, 6)).astype(np.float32)
NODES = [node("MatMul", "x w", "c"), node("Exp", "c", "e"), node("Mul", "e e", "m"), node("Log", "m", "y")]
"""An exponential that is squared, and its logarithm: rounded to 12 bits it has lost what is small."""

pytestmark = pytest.mark.filterwarnings("ignore::cimc.isa.errors.CimcWarning")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    proto = model(NODES, {"x": ("N", 6)}, {"w": weights(6, 4)})
    return written(proto, tmp_path_factory.mktemp("raising"))


REQUEST = Request(load_target("ideal"), data=lambda _: {"x": X})


def test_what_meets_the_bound_is_left_alone(path: Path) -> None:
    found = raised(path, REQUEST, Bound(decibels=1.0))
    assert found.after is found.before and not found.facts()["raised"]
    kept = found.compilation.emission.program
    assert kept.meta["options"]["pipeline"] == DEFAULT
    assert program_digest(kept) == program_digest(compile_model(path, REQUEST).emission.program)


def test_no_more_is_raised_than_the_bound_takes(path: Path) -> None:
    """Bits for the logarithm reach it; room for data that calibration has not seen is not asked for."""
    found = raised(path, REQUEST, Bound(decibels=25.0))
    assert found.before.least < 25.0 <= found.after.least
    assert found.after.choice.steps == FREE[:1] and not found.after.choice.slices
    assert "quantise{digital_bits=16}" in found.compilation.emission.program.meta["options"]["pipeline"]
    assert found.facts()["before"]["mvms"] == found.facts()["after"]["mvms"]


def test_an_option_of_the_user_stands(path: Path) -> None:
    pipeline = DEFAULT.replace("quantise", "quantise{digital_bits=14}")
    found = raised(path, Request(REQUEST.target, pipeline, data=REQUEST.data), Bound(decibels=200.0))
    pipeline = found.compilation.emission.program.meta["options"]["pipeline"]
    assert "digital_bits=14" in pipeline and "digital_bits=16" not in pipeline


@pytest.fixture
def files(path: Path, tmp_path: Path) -> list[str]:
    np.savez(tmp_path / "x.npz", x=X)
    return [str(path), "--target", "ideal", "--calib", str(tmp_path / "x.npz"), "-o", str(tmp_path / "p.cimb")]


def test_compile_raises_tells_and_the_program_is_proved(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", *files, "--no-float-check", "--min-sqnr", "25"]) == 0
    assert "raised                   16 bits for all that the digital unit reads" in capsys.readouterr().out
    data, program = files[4], files[6]
    assert main(["verify", files[0], program, "--input", data, "--min-sqnr", "25", "--limit", "4"]) == 0
    assert "digital_bits=16" in load_program(program).meta["options"]["pipeline"]


def test_a_bound_out_of_reach_is_told_and_the_best_program_written(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", *files, "--no-float-check", "--min-sqnr", "200", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["raised"]["raised"] and "--min-sqnr asks for 200" in said.err
    assert Path(files[6]).is_file()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--compile-to", "tile"], "leave out --compile-to"),
        (["--from", "tile"], "leave out --from"),
        ([], "add --calib DATA.npz"),
    ],
)
def test_a_bound_without_a_measure_is_refused(
    path: Path, tmp_path: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["compile", str(path), "--target", "ideal", "-o", str(tmp_path / "p.cimb"), "--min-top1", "90"]
    assert main([*given, "--no-float-check", *options]) == 2
    assert told in capsys.readouterr().err
