"""ONNX's own test cases, each counted as supported, declared unsupported or failed: what the counts mean.

ONNX feeds every operand of a node test as an input, weights and shapes too. A case is taken in up to four forms, the
first that cimc accepts counting: as an unbatched model or with the first axis as the batch, all float inputs computed
or all but the first one constant. Inputs of other types are constants in every form.

A case is *supported* where all of this holds:

- the imported graph gives ONNX's expected outputs in float, within the case's own relative tolerance and FLOAT_SLACK;
- it compiles for `ideal`, calibrated on the case's own inputs, which are synthetic: no accuracy is claimed;
- integer graph, interpreter and literal reference agree on every element of every tensor;
- the real outputs are within the quantised expectation: the imported float graph on inputs rounded to their codes, met
  with SIGNAL_TO_NOISE dB, or to within STEPS codes of the output where it is coarser than that. Whole results
  (comparisons, argmax, rounding) must be equal in all but one of SLIPS elements. What misses it is compiled once more
  with the layers raised that it takes, as `--min-sqnr` does, and is noted as such.

It is *unsupported* where cimc refuses every form with an error code; the most telling one is noted. Anything else has
failed, a refusal that calls ONNX's own model broken (CIM0101, CIM0102) too.
"""

import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from cimc.backends.machine import ports
from cimc.diagnostics import fail
from cimc.driving.distances import Bound
from cimc.driving.driver import Compilation, Request, compile_model
from cimc.driving.raising import raised
from cimc.evaluate import Evaluator, evaluate
from cimc.frontend import Specialisation, load
from cimc.ir.attributes import int_value
from cimc.ir.graph import Graph
from cimc.ir.nn import InputOp, OutputOp
from cimc.ir.types import code_of
from cimc.isa.errors import CimcError
from cimc.proof.programs import Difference
from cimc.proof.prover import Prover
from cimc.targets import load_target

Array = NDArray[Any]
Named = dict[str, Array]

KINDS = ("node", "pytorch-converted", "pytorch-operator")
FLOAT_SLACK = 1e-5
"""Of the largest magnitude of an output: float32 orders of summation."""
SHORT_SLACK = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
"""The same where the expected output has fewer bits, by its element type: two of their steps."""
SIGNAL_TO_NOISE = 25.0
STEPS = 2.0
SLIPS = 50
MULTIPLIES = 1_000_000
"""Beyond as many multiplications the reference takes a sample of every instruction's vectors."""
TELLING = ("CIM0103", "CIM0104", "CIM0105", "CIM0107", "CIM0106", "CIM0203", "CIM0304")
"""Codes that say more than that the batch lies elsewhere, the most telling first."""
BROKEN = ("CIM0101", "CIM0102")


@dataclass(frozen=True)
class Form:
    """How a case is given to cimc."""

    unbatched: bool
    frozen: bool


FORMS = (Form(True, False), Form(True, True), Form(False, False), Form(False, True))


@dataclass(frozen=True)
class Verdict:
    """What became of a case: `supported`, `unsupported` or `failed`, and the error code or what went wrong."""

    status: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.status} {self.detail}".strip()


class Failed(Exception):
    """A promise that a case breaks."""


class TooNoisy(Failed):
    """Real outputs are further from the quantised expectation than codes explain."""


def cases(kind: str) -> dict[str, TestCase]:
    """Return the cases of one kind by name; their data is synthetic and lies inside the onnx package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ONNX's own cases overflow and divide by zero on purpose
        found = sorted(load_model_tests(kind=kind), key=lambda case: case.name)
    return {case.name: case if case.model else _from_folder(case) for case in found}


def _from_folder(case: TestCase) -> TestCase:
    """Return a case with the model and the first data set of its folder."""
    folder = Path(case.model_dir)
    data = folder / "test_data_set_0"
    sets = [[_array(path) for path in sorted(data.glob(f"{role}_*.pb"), key=_number)] for role in ("input", "output")]
    return replace(case, model=onnx.load(folder / "model.onnx"), data_sets=[(sets[0], sets[1])])


def _array(path: Path) -> Array:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return onnx.numpy_helper.to_array(tensor)


def _number(path: Path) -> int:
    return int(path.stem.partition("_")[2])


def account(case: TestCase) -> Verdict:
    """Return the verdict on a case."""
    refusals: list[CimcError] = []
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            try:
                return _attempt(case, form, Path(folder))
            except CimcError as error:
                refusals.append(error)
            except Failed as failure:
                return Verdict("failed", str(failure))
            except Exception as error:  # a bug of ours is what this counts
                last = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{Path(last.filename).name}:{last.lineno}"
                return Verdict("failed", f"{type(error).__name__} in {place}: {str(error).splitlines()[:1]}")
    broken = next((error for error in refusals if error.diagnostics[0].code in BROKEN), None)
    if broken is not None:
        return Verdict("failed", broken.diagnostics[0].render().splitlines()[0])
    codes = [error.diagnostics[0].code for error in refusals]
    return Verdict("unsupported", next((code for code in TELLING if code in codes), codes[0]))


def _attempt(case: TestCase, form: Form, folder: Path) -> Verdict:
    path, inputs, wanted = _written(case, form, folder)
    graph = load(path, Specialisation(form.unbatched))
    feeds = {op.label.data: _to_samples(inputs[op.label.data], _axis(op)) for op in _ports(graph, InputOp)}
    if not feeds:
        raise fail("CIM0110", "no input is float")
    with np.errstate(over="ignore"):
        data = {name: np.asarray(array, np.float32) for name, array in feeds.items()}
    if not all(np.isfinite(array).all() for array in data.values()):
        raise fail("CIM0203", "the inputs are beyond float32")
    _check_float(case, graph, data, wanted)
    request = Request(load_target("ideal"), data=lambda _: data, stated=Specialisation(form.unbatched))
    notes = ["with constants"] if form.frozen else []
    try:
        _check(graph, compile_model(path, request), data)
    except TooNoisy:
        _check(graph, raised(path, request, Bound(SIGNAL_TO_NOISE)).compilation, data)
        notes.append("raised")
    return Verdict("supported", ", ".join(notes))


def _check(graph: Graph, compilation: Compilation, data: Mapping[str, Array]) -> None:
    _check_equality(compilation, data)
    _check_quantised(graph, compilation, data)


def _written(case: TestCase, form: Form, folder: Path) -> tuple[Path, Named, Named]:
    """Write the case's model with its constant inputs as initialisers; return it, the inputs left, and the outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    given, results = ([_as_array(one) for one in part] for part in case.data_sets[0])
    known = {tensor.name for tensor in model.graph.initializer}
    values = [value for value in model.graph.input if value.name not in known]
    floats = [value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    fed = (floats[:1] if form.frozen else floats) or [value.name for value in values]
    inputs: Named = {}
    for value, array in zip(values, given, strict=False):
        if value.name in fed:
            inputs[value.name] = array
        elif isinstance(array, np.ndarray | np.generic):
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), value.name))
    path = folder / "case.onnx"
    path.write_bytes(model.SerializeToString())
    names = [value.name for value in model.graph.output]
    return path, inputs, dict(zip(names, results, strict=False))


def _as_array(data: Any) -> Any:
    """Return a tensor whose type numpy does not have as an array; anything else, sequences too, as it is."""
    return onnx.numpy_helper.to_array(data) if isinstance(data, onnx.TensorProto) else data


def _ports(graph: Graph, kind: type[Any]) -> Iterator[Any]:
    return (op for op in graph.module.ops if isinstance(op, kind))


def _axis(op: InputOp | OutputOp) -> int:
    return int_value(op.batch_axis) if op.batch_axis else 0


def _to_samples(array: Array, axis: int) -> Array:
    """Return [N, *per-sample shape] of one of the model's own tensors."""
    return array[np.newaxis] if axis < 0 else np.moveaxis(array, axis, 0)


def _check_float(case: TestCase, graph: Graph, feeds: Mapping[str, Array], wanted: Mapping[str, Array]) -> None:
    found = evaluate(graph, feeds)
    for op in _ports(graph, OutputOp):
        name = op.label.data
        want = _to_samples(wanted[name], _axis(op)).astype(np.float64)
        if found[name].size != want.size:
            raise Failed(f"float: '{name}' has shape {found[name].shape}, ONNX has {want.shape}")
        largest = float(np.max(np.abs(want), initial=0.0, where=np.isfinite(want)))
        slack = SHORT_SLACK.get(wanted[name].dtype.name, FLOAT_SLACK) * largest
        if not np.allclose(found[name].reshape(want.shape), want, case.rtol, case.atol + slack, equal_nan=True):
            gap = float(np.nanmax(np.abs(found[name].reshape(want.shape) - want)))
            raise Failed(f"float: '{name}' is off by {gap:.3g} of {np.nanmax(np.abs(want)):.3g}")


def _check_equality(compilation: Compilation, data: Mapping[str, Array]) -> None:
    """Hold integer graph, interpreter and reference against each other, on two samples at most."""
    few, prover = {name: array[:2] for name, array in data.items()}, Prover(compilation)
    for step in prover.prove(few, 1, sampled=prover.multiplies() > MULTIPLIES):
        if isinstance(step, Difference):
            raise Failed(f"proof: {step}")


def _check_quantised(graph: Graph, compilation: Compilation, data: Mapping[str, Array]) -> None:
    rounded = {port.name: _rounded(port, data[port.name]) for port in compilation.emission.program.inputs}
    wanted, found = evaluate(graph, rounded), Evaluator(compilation.graph).run(rounded)
    unrounded = evaluate(graph, data)  # where results jump, what was rounded to a code counts as what it was
    for op in _ports(compilation.graph, OutputOp):
        name, code = op.label.data, code_of(op.x)
        want = wanted[name].astype(np.float64)
        error = np.abs(found[name].reshape(want.shape) - want)
        if code.scale.data == 1.0 and np.array_equal(want, np.rint(want)):
            wrong = np.count_nonzero(error * (found[name].reshape(want.shape) - unrounded[name]))
            if wrong > max(want.size // SLIPS, 0):
                raise Failed(f"whole numbers: {wrong} of {want.size} elements of '{name}' differ")
            continue
        ratio = _decibels(want, error)
        if ratio < SIGNAL_TO_NOISE and error.max(initial=0.0) > STEPS * code.scale.data:
            raise TooNoisy(
                f"quantised: '{name}' has {ratio:.1f} dB, off by {error.max():.3g} of {np.abs(want).max():.3g}"
            )


def _rounded(port: Any, real: Array) -> Array:
    """Return the real values that a program's input codes stand for."""
    order = np.argsort((0, *(axis + 1 for axis in port.order)))
    codes = ports.quantise(port, real).astype(np.float64)
    return np.asarray(((codes - port.zero) * port.scale).transpose(order), np.float32)


def _decibels(want: Array, error: Array) -> float:
    noise = float(np.mean(np.square(error)))
    return float("inf") if noise == 0.0 else 10.0 * np.log10(max(float(np.mean(np.square(want))), 1e-300) / noise)
