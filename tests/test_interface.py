"""The Python interface: frozen names, the command line's defaults, the results of the commands."""

import ast
import importlib
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import onnx
import pytest
from rooms import sources

import cimc
from cimc.command_line import main
from cimc.command_line.commands import BY_NAME
from cimc.isa.errors import CimcError, CimcWarning
from cimc.passes.pipeline import DEFAULT

SAMPLES = Path(__file__).parent.parent / "samples"
CLASSES = ["CimcError", "CimcWarning", "Noise", "Observer", "Preprocessing", "Program"]
SIGNATURES = {
    "compile_model": "(model, *, target='aon-cim', calibration=None, ranges=None, pipeline=PIPELINE, tiles=None, "
    "unbatched=False, shapes=None, constants=None, preprocessing=None, noise=None, min_sqnr=None, min_top1=None)",
    "evaluate_accuracy": "(program, inputs, labels, *, noise=None, compensation='column', calibration=None, "
    "threads=None, executor='best', feed='raw')",
    "load_chip": "(path, program)",
    "load_profile": "(text)",
    "load_program": "(path)",
    "load_target": "(name)",
    "run": "(program, inputs, *, noise=None, compensation='column', calibration=None, threads=None, executor='best', "
    "feed='raw', layers=())",
    "save_program": "(program, path)",
    "verify": "(model, program, inputs, *, reference_samples=None, feed='raw')",
    "Author": "(target, activation_bytes=0)",
    "Interpreter": "(program, *, noise=None, executor='best', threads=1, chunk=None, planned=None)",
}
"""What public names are called with: a change here breaks programs of others."""

OPTIONS = {
    ("compile", "m -o p"): {
        "target": "target",
        "tiles": "tiles",
        "unbatched": "unbatched",
        "ranges": "ranges",
        "min_sqnr": "min_sqnr",
        "min_top1": "min_top1",
    },
    ("run", "p --input x -o y"): {"compensation": "compensation", "threads": "threads", "noise": "noise"},
    ("eval", "p --data d"): {"compensation": "compensation", "threads": "threads", "noise": "noise"},
    ("verify", "m p --input x"): {"reference_samples": "reference_samples"},
}
FUNCTIONS = {"compile": "compile_model", "run": "run", "eval": "evaluate_accuracy", "verify": "verify"}


def data(name: str) -> dict[str, np.ndarray]:
    """The samples as the model wants them: real values from 0 to 1."""
    found = dict(np.load(SAMPLES / name))
    return {**found, "x": found["x"].astype(np.float32) / 16}


@pytest.fixture(scope="module")
def program() -> cimc.Program:
    return cimc.compile_model(SAMPLES / "digits.onnx", calibration=data("digits_calib.npz")["x"])


def test_the_public_names_are_frozen() -> None:
    assert sorted({*CLASSES, *SIGNATURES}) == cimc.__all__ == sorted(cimc._HOMES)
    assert set(cimc.__all__) <= set(dir(cimc))
    with pytest.raises(AttributeError, match="has no attribute 'compile'"):
        _ = cimc.compile


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_signatures_are_frozen(name: str) -> None:
    parameters = inspect.signature(getattr(cimc, name)).parameters.values()
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    shown = str(inspect.Signature(bare)).replace(repr(pipeline()), "PIPELINE")
    assert shown == SIGNATURES[name]


def pipeline() -> str:
    return str(inspect.signature(cimc.compile_model).parameters["pipeline"].default)


def test_type_checkers_see_every_name_where_it_lies() -> None:
    text = Path(inspect.getfile(cimc)).read_text().partition("if TYPE_CHECKING:")[2].partition("if __name__")[0]
    for name, home in cimc._HOMES.items():
        line = next(line for line in text.splitlines() if f" {name}," in f"{line}," or f", {name}" in line)
        assert line.split()[1] == f"cimc.{home}"
        assert getattr(importlib.import_module(f"cimc.{home}"), name) is getattr(cimc, name)


def test_no_public_name_hides_a_module() -> None:
    assert {f"cimc.{name}" for name in cimc.__all__} & set(sources()) == set()


@pytest.mark.parametrize(("command", "rest"), OPTIONS)
def test_defaults_are_the_command_lines(command: str, rest: str) -> None:
    options = vars(BY_NAME[command].parser().parse_args(rest.split()))
    parameters = inspect.signature(getattr(cimc, FUNCTIONS[command])).parameters
    for option, name in OPTIONS[command, rest].items():
        assert parameters[name].default == options[option], option
    if command == "compile":
        assert options["pass_pipeline"] is None and pipeline() == DEFAULT


def test_loading_a_program_imports_no_compiler(program: cimc.Program, tmp_path: Path) -> None:
    cimc.save_program(program, tmp_path / "p.cimb")
    heavy = ("numpy", "onnx", "onnxruntime", "xdsl", "cimc.driving", "cimc.interface")
    script = f"import sys, cimc; cimc.load_program(sys.argv[1]); print([n for n in {heavy} if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script, str(tmp_path / "p.cimb")], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


@pytest.mark.parametrize("name", ["p.asm", "p.cimb"])
def test_programs_are_saved_and_loaded(program: cimc.Program, tmp_path: Path, name: str) -> None:
    cimc.save_program(program, tmp_path / name)
    assert cimc.load_program(tmp_path / name) == program


def test_results_are_those_of_the_commands(
    program: cimc.Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out, scale = str(tmp_path / "p.cimb"), str(tmp_path / "y.npz"), ["--scale", "0.0625"]
    calib, test = (["--calib", str(SAMPLES / "digits_calib.npz")], str(SAMPLES / "digits_test.npz"))
    assert main(["compile", str(SAMPLES / "digits.onnx"), *calib, *scale, "-o", path]) == 0
    raw, sixteenth = np.load(SAMPLES / "digits_calib.npz")["x"], cimc.Preprocessing(scale=0.0625)
    assert cimc.load_program(path) == cimc.compile_model(
        SAMPLES / "digits.onnx", calibration=raw, preprocessing=sixteenth
    )
    given = data("digits_test.npz")
    noise = cimc.Noise(cimc.load_profile("pcm"), seed=7, time_s=86400)
    noisy = ["--noise", "pcm", "--seed", "7", "--time", "1d"]
    assert main(["run", path, "--input", test, *scale, "-o", out, *noisy, "--layers"]) == 0
    layer = next(one.name for one in program.layers)
    (found, codes), written = cimc.run(program, given["x"], noise=noise, layers=[layer]).values(), np.load(out)
    assert np.array_equal(found, next(iter(written.values()))) and np.array_equal(codes, written[layer])
    capsys.readouterr()
    assert main(["eval", path, "--data", test, *scale, *noisy, "--json"]) == 0
    accuracy = cimc.evaluate_accuracy(program, given["x"], given["y"], noise=noise)
    assert f'"accuracy": {accuracy}' in capsys.readouterr().out


def test_a_program_is_proved(program: cimc.Program) -> None:
    proof = cimc.verify(SAMPLES / "digits.onnx", program, data("digits_test.npz")["x"][:2])
    assert proof.ok and proof.difference is None
    assert {row.interpreter for row in proof.tensors} > {0} and proof.distances[0].decibels > 30
    other = cimc.Author.of(program)
    other.amend(len(program.instructions) - 2, low=-100)
    refuted = cimc.verify(SAMPLES / "digits.onnx", other.program(), data("digits_test.npz")["x"][:2])
    assert not refuted.ok and "instruction" in str(refuted.difference)


def test_a_model_in_memory_gives_the_program_of_its_file(program: cimc.Program) -> None:
    content, calibration = (SAMPLES / "digits.onnx").read_bytes(), {"image": data("digits_calib.npz")["x"]}
    for model in (content, onnx.load_from_string(content)):
        made = cimc.compile_model(model, calibration=calibration)
        assert made.constants == program.constants and made.conductances == program.conductances
    again = cimc.compile_model(content, ranges=program.meta["ranges"])
    assert again.instructions == program.instructions


def test_made_up_ranges_are_a_warning() -> None:
    with pytest.warns(CimcWarning, match="NO CALIBRATION DATA"):
        cimc.compile_model(SAMPLES / "digits.onnx", target="ideal")


def test_inputs_outside_the_ranges_are_a_warning(program: cimc.Program) -> None:
    with pytest.warns(CimcWarning, match="lies outside the calibrated range"):
        cimc.run(program, 1000 * data("digits_test.npz")["x"][:4])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p, x: cimc.run(p, x.reshape(4, -1)[:, :2]), "CIM0202"),
        (lambda p, x: cimc.run(p, {"y": x}), "CIM0201"),
        (lambda p, x: cimc.run(p, x, compensation="colum"), "CIM0003.*'colum'"),
        (lambda p, x: cimc.run(p, x, compensation="refit"), "CIM0003.*noisy chip"),
        (lambda p, x: cimc.run(p, x, executor="gpu"), "CIM0540"),
        (lambda p, x: cimc.run(p, x, layers=["conf"]), "CIM0003.*no layer 'conf'"),
        (lambda p, x: cimc.evaluate_accuracy(p, x, [1, 2]), "CIM0202"),
        (lambda p, x: cimc.compile_model(SAMPLES / "digits.onnx", target="aon"), "CIM0302"),
        (lambda p, x: cimc.compile_model(SAMPLES / "digits.onnx", calibration=x, ranges={}), "CIM0003"),
        (lambda p, x: cimc.compile_model(SAMPLES / "digits.onnx", calibration=x, tiles="many"), "CIM0003"),
        (lambda p, x: cimc.load_profile("pmc"), "CIM0531"),
    ],
)
def test_errors_are_coded(program: cimc.Program, call: typing.Any, said: str) -> None:
    with pytest.raises(CimcError, match=said):
        call(program, data("digits_test.npz")["x"][:4])


def test_the_program_by_hand_of_the_page_runs() -> None:
    page = (Path(__file__).parent.parent / "docs" / "python.md").read_text()
    lines = [line.removeprefix("    ") for line in page.splitlines() if line.startswith("    ")]
    scope: dict[str, typing.Any] = {}
    exec("\n".join(["result = None", *lines]).replace("\ncimc.Interp", "\nresult = cimc.Interp"), scope)
    assert scope["result"]["y"].tolist() == [[2, 4, 6, 8]]


def test_every_package_says_what_it_offers() -> None:
    for name, path in sources().items():
        if path.name == "__init__.py" and name != "cimc":
            tree = ast.parse(path.read_text())
            imported = [a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names]
            defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
            offered = getattr(importlib.import_module(name), "__all__", [])
            public = [one for one in (*imported, *defined) if not one.startswith("_") and one != "annotations"]
            assert bool(offered) == bool(public), name
            assert set(offered) <= {*imported, *defined}, name
