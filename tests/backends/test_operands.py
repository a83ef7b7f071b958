"""Operands that are wrong by themselves: errors of the linter, and refused by every executor before anything runs."""

import pytest

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.traps import Trap
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.reference import instructions as reference
from cimc.isa.lint import lint

RANGE = {"shift": 0, "low": 5, "high": 4}
WIDE = {"shift": 0, "low": -128, "high": 127}
WINDOW = {"stream": 0, "kernel": (1, 1), "stride": (1, 1), "dilation": (1, 1), "pad": (0, 0), "out": (1, 1), "fill": 0}
TENSOR = {"stream": 0, "space": "act", "type": "i8", "base": 0, "pitch": (1, 1, 1, 1)}
TABLES = {"scale": 0, "bias": 8}
REGION = {"tile": 0, "row": 0, "col": 0, "rows": 1, "cols": 1}
LOOK_UP = {"in_": 0, "out": 1, "table": 0, "type": "i8", "first": 0}

EMPTY_RANGES = [
    ("mvm", {"in_": 0, "out": 1, "block": 0, "blocks": 1, **TABLES, **RANGE}),
    ("depthwise", {"in_": 0, "out": 1, "weights": 0, "multiplier": 1, "taps": "i8", **TABLES, **RANGE}),
    ("poolmax", {"in_": 0, "out": 1, "low": 5, "high": 4}),
    ("poolsum", {"in_": 0, "out": 1, "per": "all", **TABLES, **RANGE}),
    ("affine", {"in_": 0, "out": 1, "period": 1, **TABLES, **RANGE}),
    ("add", {"a": 0, "b": 0, "out": 1, "ma": 1, "mb": 1, "bias": 0, **RANGE}),
    ("mul", {"a": 0, "b": 0, "out": 1, "za": 0, "zb": 0, "m": 1, "bias": 0, **RANGE}),
    ("softmax", {"in_": 0, "out": 1, "table": 0, "entries": 1, "numerator": 1, "zero": 0, "low": 5, "high": 4}),
    ("matmul", {"a": 0, "b": 0, "out": 1, "za": 0, "zb": 0, "m": 1, "bias": 0, **RANGE}),
    ("norm", {"in_": 0, "out": 1, "centre": "mean", "zero": 0, "fraction": 0, "epsilon": 0, **TABLES, **RANGE}),
    ("div", {"a": 0, "b": 0, "out": 1, "za": 0, "zb": 0, "zero": 0, "m": 1, **RANGE}),
]
COUNTS_OF_0 = [
    ("tensor", {**TENSOR, "shape": (1, 1, 0, 1)}),
    ("window", {**WINDOW, "kernel": (0, 1)}),
    ("window", {**WINDOW, "stride": (1, 0)}),
    ("window", {**WINDOW, "dilation": (0, 1)}),
    ("window", {**WINDOW, "out": (1, 0)}),
    ("program", {"block": 0, **REGION, "rows": 0, "data": 0, "zeros": "program"}),
    ("pattern", {**REGION, "cols": 0, "plus": 0, "minus": 0}),
    ("calibrate", {"in_": 0, "block": 0, "blocks": 0, "reference": 0, "per": "block"}),
    ("mvm", {"in_": 0, "out": 1, "block": 0, "blocks": 0, **TABLES, **WIDE}),
    ("affine", {"in_": 0, "out": 1, "period": 0, **TABLES, **WIDE}),
    ("lut", {**LOOK_UP, "entries": 0}),
    ("softmax", {"in_": 0, "out": 1, "table": 0, "entries": 0, "numerator": 1, "zero": 0, "low": 0, "high": 1}),
    ("embed", {**LOOK_UP, "rows": 0}),
    ("pick", {"in_": 0, "out": 1, "group": 0, "table": 0, "entries": 1}),
    ("pick", {"in_": 0, "out": 1, "group": 1, "table": 0, "entries": 0}),
]
OUT_OF_RANGE = [
    *EMPTY_RANGES,
    ("gain", {"tile": 0, "scope": "all", "multiplier": (1 << 15) - 1, "divide": 3}),
    ("gain", {"tile": 1, "scope": "all", "multiplier": 1 << 15, "divide": 3}),
    ("add", {"a": 0, "b": 0, "out": 1, "ma": 1 << 16, "mb": 1, "bias": 0, **WIDE}),
    ("add", {"a": 0, "b": 0, "out": 1, "ma": 1, "mb": -1 << 16, "bias": 0, **WIDE}),
    ("mul", {"a": 0, "b": 0, "out": 1, "za": 0, "zb": 0, "m": 1 << 16, "bias": 0, **WIDE}),
    ("matmul", {"a": 0, "b": 0, "out": 1, "za": 0, "zb": 0, "m": 1 << 16, "bias": 0, **WIDE}),
]
CASES = [
    *(("CIM0517", name, operands) for name, operands in OUT_OF_RANGE),
    *(("CIM0509", name, operands) for name, operands in COUNTS_OF_0),
    ("CIM0507", "loop", {"count": 0}),
]


@pytest.mark.parametrize(("code", "name", "operands"), CASES, ids=str)
def test_a_wrong_operand_is_refused_before_anything_runs(new, ask, code, name, operands):
    sketch = new().tensor(2, (2,)).put("fill", out=2, value=1).put(name, **operands).put("endloop")
    writes, end = ask(sketch)
    assert (writes, end) == ([], (code, 2, ("node2",)))
    assert any(found.index == 2 for found in lint(sketch.program()))


def test_an_operand_that_no_word_holds_is_refused(new, ask):
    assert ask(new().put("endloop").put("advance", stream=0, by=1 << 40)) == ([], ("CIM0517", 1, ("node1",)))


def test_the_first_wrong_operand_of_the_text_is_named_even_where_it_never_runs(new, ask):
    sketch = new().put("halt").put("loop", count=0).put("gain", tile=0, scope="all", multiplier=1, divide=0)
    assert ask(sketch) == ([], ("CIM0507", 1, ("node1",)))


def test_wrong_operands_come_before_ports_and_inputs(new, ask):
    sketch = new(memory=4).port("x", (5,), 0).put("loop", count=0)
    assert ask(sketch)[1][0] == "CIM0507"


def test_too_much_memory_comes_before_inputs(new):
    program = new(memory=1 << 33).port("x", (5,), 0).program()
    for run in (reference.run, lambda program, inputs: Interpreter(program).run(inputs)):
        with pytest.raises(Trap, match="CIM0521"):
            run(program, {})


def test_what_the_noise_cannot_model_comes_before_the_data(new, ask, noise_of):
    sketch = new(adc={"bits": 16}).gain().block(0, [[1]]).data(0, [-128], (1,)).tensor(1, (1,))
    product = sketch.put("capture", in_=0, out=1, block=0)
    assert ask(product)[1][0] == "CIM0513"
    assert ask(product, noise_of("adc"))[1][0] == "CIM0533"


def test_what_an_instruction_writes_comes_before_the_noise_of_the_next(new, ask):
    """A profile that knows its devices at some times only is refused where they are read."""
    sketch = new().gain().block(0, [[1]]).data(0, [100], (1,)).tensor(1, (1,))
    sketch.put("add", a=0, b=0, out=1, ma=1, mb=1, bias=0, shift=0, low=-1000, high=1000)
    noise = Noise(load_profile("reram-wan"), time_s=3600, sources=frozenset({"drift"}))
    assert ask(sketch.put("capture", in_=0, out=1, block=0), noise)[1][:2] == ("CIM0506", 4)


def test_counts_come_before_what_the_noise_cannot_model(new, ask, noise_of):
    sketch = new(adc={"bits": 16}).gain().block(0, [[1]]).data(0, [1, 1], (2,)).tensor(1, (1,))
    assert ask(sketch.put("capture", in_=0, out=1, block=0), noise_of("adc"))[1][0] == "CIM0505"


@pytest.fixture
def noise_of():
    """Noise of the phase-change profile from one source."""
    return lambda source: Noise(load_profile("pcm"), sources=frozenset({source}))
