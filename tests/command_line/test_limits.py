"""Every budget and every limit of numbers is provoked from outside, by a file and a command; none is without a case."""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import pytest
from frontend.onnx_models import model, node, weights, written
from onnx import helper

from cimc.isa import limits
from cimc.isa.author import Author
from cimc.isa.budgets import Budgets, set_budgets
from cimc.isa.container import save_program
from cimc.isa.errors import BUDGET, INVALID
from cimc.targets import load_target

ROW = {"x": ("N", 4)}


@pytest.fixture(autouse=True)
def default_budgets():
    """Commands set the budgets of this process: the next test begins with the defaults."""
    yield
    set_budgets()


def calls(*names: str) -> onnx.ModelProto:
    """Return a model that calls the last of these functions; each calls the one before twice, the first Relu."""
    made = []
    for inner, name in zip(["", *names], names, strict=False):
        steps = [("a", "c"), ("c", "b")]
        nodes = [helper.make_node(inner or "Relu", [x], [y], domain="f" if inner else "") for x, y in steps]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
        made.append(helper.make_function("f", name, ["a"], ["b"], nodes, opsets))
    proto = model([helper.make_node(names[-1], ["x"], ["y"], domain="f")], ROW)
    proto.opset_import.append(helper.make_opsetid("f", 1))
    proto.functions.extend(made)
    return proto


def computed(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    """Return a model that adds the sum of a computed constant `c` to its input."""
    return model([*nodes, node("ReduceSum", "c", "z", keepdims=0), node("Add", "x z", "y")], ROW, constants)


def lay_external(folder: Path) -> None:
    proto = model([node("Gemm", "x w", "y")], ROW, {"w": weights(4, 3)})
    onnx.save(proto, folder / "model.onnx", save_as_external_data=True, location="w.data", size_threshold=0)


def lay_model(proto: onnx.ModelProto) -> Callable[[Path], object]:
    return lambda folder: written(proto, folder)


def lay_text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def lay_zeros(folder: Path) -> None:
    np.savez_compressed(folder / "zeros.npz", x=np.zeros((4096, 64), np.float32))


GOOD = lay_model(model([node("Gemm", "x w", "y")], ROW, {"w": weights(4, 3)}))
FILLED = computed(node("ConstantOfShape", "n", "c"), n=np.array([1 << 26], np.int64))
PRODUCT = computed(node("MatMul", "a a", "c"), a=np.ones((8, 8), np.float32))
SWEEP = '[[model]]\nfile = "m"\ncalib = "c"\ndata = "d"\n[grid]\nseeds = 1000000000000\n'

BUDGETS: dict[str, tuple[Callable[[Path], object] | None, str]] = {
    "model_bytes": (GOOD, "check model.onnx --budget model_bytes=9"),
    "external_bytes": (lay_external, "check model.onnx --budget external_bytes=9"),
    "nodes": (GOOD, "check model.onnx --budget nodes=0"),
    "nesting": (lay_model(calls("f", "g", "h")), "check model.onnx --budget nesting=1"),
    "function_calls": (lay_model(calls("f", "g", "h")), "check model.onnx --budget function_calls=3"),
    "tensor_bytes": (GOOD, "check model.onnx --budget tensor_bytes=9"),
    "value_bytes": (lay_model(FILLED), "check model.onnx"),
    "folded_bytes": (lay_model(FILLED), "check model.onnx --budget value_bytes=1GiB"),
    "folded_operations": (lay_model(PRODUCT), "check model.onnx --budget folded_operations=99"),
    "text_bytes": (None, "run selftest.asm --print --budget text_bytes=9"),
    "toml_bytes": (None, "target show same.toml --budget toml_bytes=9"),
    "json_bytes": (
        lay_text("r.json", "[0, 0, 0, 0, 0]"),
        "compile good.onnx --ranges r.json -o o.asm --budget json_bytes=9",
    ),
    "digits": (lay_text("t.toml", f"a = {'9' * 5000}"), "target show t.toml"),
    "depth": (lay_text("t.toml", f"a{'.a' * 200} = 1"), "target show t.toml"),
    "array_bytes": (lay_zeros, "compile good.onnx --calib zeros.npz -o o.asm --budget array_bytes=0"),
    "trials": (lay_text("s.toml", SWEEP), "sweep s.toml -o s.parquet"),
    "instructions": (None, "run digits.asm --input images.npz --print --budget instructions=1"),
}
ELSEWHERE = {
    "onnxruntime_bytes": "tests/inference: a bomb is refused before it is paid for",
    "onnxruntime_seconds": "tests/inference: what has no end is ended",
}
"""Budgets that bound a process of its own."""
OF_ANY_MODEL = ("tensor_bytes", "external_bytes")
"""Budgets of which the message says the figure only: no target holds a model of that size."""


def test_every_budget_has_a_case():
    assert {*BUDGETS, *ELSEWHERE} == {field.name for field in fields(Budgets)}


@pytest.mark.parametrize("name", BUDGETS)
def test_a_budget_is_provoked_by_a_file(name, cimc, folder):
    lay, words = BUDGETS[name]
    if lay:
        lay(folder)
    status, output = cimc(words)
    assert status == BUDGET, output
    assert (f"the budget {name} allows" if name not in OF_ANY_MODEL else "the limit is ") in output


WIDE = {"low": -(1 << 32), "high": (1 << 32) - 1, "shift": 0}


def author(**array: object) -> Author:
    """Return the author of a program for a small chip with 16-bit inputs."""
    known = {"tiles": 1, "rows": 16, "columns": 8, "levels": 32767, "fraction_bits": 0, "unprogrammed": 0}
    adc = {"bits": 33, "codes": "symmetric", "rounding": "nearest-even", "multiplexing": 4}
    memory = {"activation_bytes": 65536, "constant_bytes": 65536}
    return Author(
        {"array": {**known, **array}, "dac": {"bits": 16}, "adc": adc, "memory": memory, "read_phases": 1}, 512
    )


def tables(sketch: Author, scale: int, bias: int) -> dict[str, int]:
    return {"scale": sketch.table([scale], "i32"), "bias": sketch.table([bias], "i64")}


def product(value: int, rows: int, scale: int = 1) -> Author:
    """Return a program with one product of so many equal rows, each of the largest conductance."""
    sketch = author().gain().data(0, [value] * rows, (rows,), "i16").block(0, [[32767]] * rows)
    return sketch.tensor(1, (1,), type="i64").put(
        "mvm", in_=0, out=1, block=0, blocks=1, **tables(sketch, scale, 0), **WIDE
    )


def affine(scale: int, bias: int) -> Author:
    sketch = author().data(0, [1], (1,)).tensor(1, (1,), type="i64")
    return sketch.put("affine", in_=0, out=1, period=1, **tables(sketch, scale, bias), **WIDE)


def root() -> Author:
    sketch = author().data(0, [1], (1,)).tensor(1, (1,))
    facts = {"epsilon": sketch.table([limits.ROOT_LIMIT], "i64"), "fraction": 0, **tables(sketch, 1, 0)}
    return sketch.put("norm", in_=0, out=1, centre="zero", zero=0, **facts, **WIDE)


def drifted() -> Author:
    """Return a program whose drift factor would be a hundred times the highest, and that shows it as its output."""
    sketch = author().gain().data(0, [1], (1,)).block(0, [[1]])
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=sketch.table([400], "i64"), per="block")
    facts = {**tables(sketch, 1 << 14, 0), **WIDE}
    sketch.tensor(1, (1,), type="i32").put("mvm", in_=0, out=1, block=0, blocks=1, **facts)
    return sketch.port("y", (1,), 0, "i32", output=True)


def saved(sketch: Author) -> Callable[[Path], object]:
    return lambda folder: save_program(sketch.program(), folder / "p.asm")


def changed(constant: str, value: object) -> Callable[[Path], object]:
    """Return what lays a target with another value of a constant, `section.name`."""
    section, name = constant.split(".")
    head, found, tail = load_target("hermes-64").render().partition(f"[{section}]")
    tail, count = re.subn(rf"^{name} = {{ value = [^,]+,", f"{name} = {{ value = {value},", tail, count=1, flags=re.M)
    assert count
    return lay_text("t.toml", head + found + tail)


FAR = "kernel=[2, 1], stride=[1, 1], dilation=[4096, 1], pad=[0, 0], out=[4, 1], fill=0"
ASSEMBLED, RUN, SHOWN = "asm p.asm -o p.cimb", "run p.asm --print --codes", "target show t.toml"
LIMITS: dict[str, list[tuple[Callable[[Path], object], str, str]]] = {
    "PLACES": [
        (lay_text("p.asm", ".cimc 1\n    tile=65536\n"), ASSEMBLED, "CIM"),
        (changed("array.tiles", 1 << 16), SHOWN, "tiles.* 65536.*65535"),
    ],
    "ADC": [(changed("adc.bits", 34), SHOWN, "bits.* 34.*33")],
    "FRACTION": [(changed("array.fraction_bits", 9), SHOWN, "fraction_bits.* 9.*8")],
    "MULTIPLIER": [(saved(affine(1 << 16, 0)), RUN, "CIM0517.*65536")],
    "GAIN": [
        (saved(author().gain((1 << 15) - 1)), RUN, "CIM0517.*32767, wanted 32768..65535"),
        (lay_text("p.asm", ".cimc 1\n    gain tile=0, scope=all, multiplier=65536, divide=3\n"), ASSEMBLED, "65536"),
    ],
    "SHIFT": [
        (lay_text("p.asm", ".cimc 1\n    gain tile=0, scope=all, multiplier=32768, divide=64\n"), ASSEMBLED, "64")
    ],
    "SUM": [(saved(product(32767, 5)), RUN, "CIM0514")],
    "ACCUMULATOR": [(saved(affine(1, limits.ACCUMULATOR_LIMIT)), RUN, "CIM0515")],
    "ROOT": [(saved(root()), RUN, "CIM0515.*under the root")],
    "VALUE": [(changed("array.unprogrammed", 65536), SHOWN, "unprogrammed.* 65536.*65535")],
    "PAIRS": [(changed("array.pairs_per_weight", 3), SHOWN, "pairs_per_weight.* 3.*2")],
    "SIGNIFICANCE": [(changed("array.significance", 17), SHOWN, "significance.* 17.*16")],
    "CODES": [(changed("dac.codes", '"odd"'), SHOWN, "codes.*odd.*symmetric")],
    "WINDOW": [(lay_text("p.asm", f".cimc 1\n    window s0, {FAR}\n"), ASSEMBLED, "dilation.*4096")],
    "ADC_CODES": [(changed("adc.codes", '"odd"'), SHOWN, "codes.*odd.*unsigned")],
}
BY_OTHERS = {
    "FACTOR": "not refused: a factor beyond the highest is the highest",
    "PRODUCT": "never reached: array sums and multipliers that keep to their own limits stay below it",
    "NORM": "how fine a normalised element is, not how large",
}
"""Limits that no file can exceed, and why."""


def test_every_limit_of_numbers_has_a_case():
    names = [name for name in vars(limits) if name.isupper()]
    subjects = {re.sub("_(BITS|MOST|LIMIT|LOWEST|HIGHEST)$", "", name) for name in names}
    assert {"PLACE", *LIMITS, *BY_OTHERS} == subjects


@pytest.mark.parametrize(("lay", "words", "said"), [case for cases in LIMITS.values() for case in cases])
def test_a_limit_of_numbers_is_provoked_by_a_file(lay, words, said, cimc, folder):
    lay(folder)
    status, output = cimc(words)
    assert status == INVALID, output
    assert re.search(said, output), output


def test_a_drift_factor_ends_at_the_highest(cimc, folder):
    saved(drifted())(folder)
    assert cimc("run p.asm -o y.npz --codes")[0] == 0
    assert np.load(folder / "y.npz")["y"].tolist() == [[limits.FACTOR_HIGHEST]]


def test_products_of_the_adc_stay_below_their_limit():
    assert limits.SUM_LIMIT * limits.GAIN_LIMIT <= limits.PRODUCT_LIMIT
