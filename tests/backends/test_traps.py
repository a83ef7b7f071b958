"""Every fault of a program is the same trap on both interpreters."""

from dataclasses import replace

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.checks import retired
from cimc.backends.machine.ports import PortError
from cimc.backends.machine.traps import CODES, Trap
from cimc.backends.plan import walk
from cimc.backends.reference import instructions as reference
from cimc.backends.reference.instructions import Reference
from cimc.isa.budgets import OverBudget
from cimc.isa.program import instruction

WIDE = {"low": -(2**32), "high": 2**32 - 1}
NEUTRAL = {"multiplier": 1 << 15, "divide": 15}


def plain(new, values=(1, 2), type_name="i8", **sections):
    """Return a program that has values in stream 0 and a tensor of as many i8 in stream 1."""
    return new(**sections).data(0, values, (len(values),), type_name).tensor(1, (len(values),))


def affine(sketch, scale=1, bias=0, shift=0, period=1, **facts):
    tables = {"scale": sketch.table([scale], "i32"), "bias": sketch.table([bias], "i64")}
    return sketch.put("affine", in_=0, out=1, period=period, shift=shift, **tables, **(WIDE | facts))


def product(sketch, scale=1, bias=0, **facts):
    tables = {"scale": sketch.table([scale], "i32"), "bias": sketch.table([bias], "i64")}
    return sketch.put("mvm", in_=0, out=1, block=0, shift=0, **tables, **({"blocks": 1} | WIDE | facts))


@pytest.mark.parametrize("base", [-1, 511])
def test_address_out_of_bounds(new, trapped, base):
    sketch = new().tensor(0, (2,)).put("advance", stream=0, by=base)
    assert trapped(sketch.put("fill", out=0, value=1)) == "CIM0501"


def test_constant_out_of_bounds(new, trapped):
    sketch = plain(new)
    facts = {"scale": 0, "bias": 1 << 20, "shift": 0}
    assert trapped(sketch.put("affine", in_=0, out=1, period=1, **facts, **WIDE)) == "CIM0501"


def test_conductances_out_of_bounds(new, trapped):
    assert trapped(new().block(0, [[1]], data=2)) == "CIM0501"


def test_stream_undefined(new, trapped):
    assert trapped(new().put("advance", stream=3, by=1)) == "CIM0502"
    assert trapped(new().put("fill", out=3, value=1)) == "CIM0502"


def test_constants_and_windows_are_read_only(new, trapped):
    assert trapped(plain(new).put("move", in_=1, out=0)) == "CIM0503"
    sketch = plain(new).tensor(1, (2, 1, 1)[::-1]).window(1, (1, 1), (1, 1))
    assert trapped(sketch.put("fill", out=1, value=1)) == "CIM0503"


def test_windows_are_needed_and_need_a_single_image(new, trapped):
    assert trapped(plain(new).put("poolmax", in_=0, out=1, **WIDE)) == "CIM0504"
    assert trapped(new().tensor(0, (2, 1, 1, 1)).window(0, (1, 1), (1, 1))) == "CIM0504"


def test_counts_differ(new, trapped):
    assert trapped(plain(new).tensor(1, (3,)).put("move", in_=0, out=1)) == "CIM0505"
    assert trapped(product(plain(new).gain().block(0, [[1], [1], [1]]).tensor(1, (1,)))) == "CIM0505"
    sketch = plain(new).gain().block(0, [[1, 1]]).block(1, [[1]], (0, 1, 0))
    assert trapped(product(sketch, blocks=2)) == "CIM0505"


def test_a_capture_has_a_code_for_each_column(new, trapped, written):
    def capture(count):
        sketch = plain(new).gain().block(0, [[1, 2], [3, 4]]).tensor(1, (count,), type="i32")
        return sketch.put("capture", in_=0, out=1, block=0)

    assert written(capture(2)) == [7, 10]
    assert trapped(capture(1)) == trapped(capture(3)) == "CIM0505"


@pytest.mark.parametrize("bias", [128, -129])
def test_value_does_not_fit(new, trapped, bias):
    assert trapped(affine(plain(new, (0,)), bias=bias)) == "CIM0506"
    assert trapped(new().tensor(0, (1,)).put("fill", out=0, value=bias)) == "CIM0506"


@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_the_place_of_the_last_element_must_fit(new, trapped, written, which):
    wanted = {"largest": 1, "smallest": -1}[which]
    for length in (128, 129):
        sketch = new().data(0, [0] * (length - 1) + [wanted], (1, length)).tensor(1, (1,))
        sketch.put("argmax", in_=0, out=1, which=which, tie="first")
        if length == 128:
            assert written(sketch) == [127]
        else:
            assert trapped(sketch) == "CIM0506"


SENTENCES = {
    "below the memory": (
        lambda new: new().tensor(0, (2,)).put("advance", stream=0, by=-1).put("fill", out=0, value=1),
        "bytes -1 to 0 of activation memory are named, it has 512 bytes",
    ),
    "behind the memory": (
        lambda new: new().tensor(0, (2,), 511).put("fill", out=0, value=1),
        "bytes 511 to 512 of activation memory are named, it has 512 bytes",
    ),
    "a window written": (
        lambda new: new().tensor(0, (1, 1, 1)).window(0, (1, 1), (1, 1)).put("fill", out=0, value=1),
        "the stream written is a window",
    ),
    "constants written": (
        lambda new: new().data(0, [1], (1,)).put("fill", out=0, value=1),
        "the stream written is over constant memory",
    ),
    "too low": (
        lambda new: affine(plain(new, (100, 0)), bias=-129),
        r"the value -129 does not fit i8 \(-128 to 127\)",
    ),
    "too high": (
        lambda new: affine(plain(new, (-100, 0)), bias=128),
        r"the value 128 does not fit i8 \(-128 to 127\)",
    ),
    "a loop too deep": (lambda new: nested(new(), 5), "a loop lies in 4 others, 3 are the most"),
    "the first entry of a softmax": (lambda new: softmax(new, [0, 1]), "entry 0 of .* is 0, 1 is the least"),
    "another entry of a softmax": (lambda new: softmax(new, [1, -1]), "entry 1 of .* is -1, 0 is the least"),
    "a device": (
        lambda new: new().block(0, [[508, -509]]),
        "a device is asked for 509, the highest level is 508",
    ),
    "a code in no table": (
        lambda new: lookup(new, 3),
        "the code 3 is looked up, the table holds 1 to 2",
    ),
    "a vector in no group": (
        lambda new: picked(new, 2),
        "vector 2 of a group is picked, it has 0 to 1",
    ),
}
"""What is wrong -> the program that ends with it, and what the trap says with the numbers of the case."""


def nested(sketch, depth):
    for _ in range(depth):
        sketch.put("loop", count=1)
    return sketch


def softmax(new, table):
    sketch = plain(new)
    facts = {"table": sketch.table(table, "i32"), "entries": len(table), "numerator": 1, "zero": 0}
    return sketch.put("softmax", in_=0, out=1, **facts, **WIDE)


def lookup(new, code):
    sketch = plain(new, (1, code))
    return sketch.put("lut", in_=0, out=1, table=sketch.table([1, 2], "i8"), type="i8", first=1, entries=2)


def picked(new, number):
    sketch = new().data(0, [1, 2], (2, 1)).tensor(1, (1, 1))
    return sketch.put("pick", in_=0, out=1, table=sketch.table([number], "i32"), entries=1, group=2)


@pytest.mark.parametrize("wrong", SENTENCES)
def test_a_trap_says_what_was_found(new, wrong):
    make, sentence = SENTENCES[wrong]
    program = make(new).program()
    for run in (lambda: reference.run(program, {}), lambda: Interpreter(program).run({})):
        with pytest.raises(Trap, match=sentence):
            run()


@pytest.mark.parametrize("last", [0, 1])
def test_the_ends_of_a_group_may_be_picked(new, written, last):
    assert written(picked(new, last)) == [last + 1]


def test_loops(new, trapped):
    assert trapped(new().put("loop", count=0)) == "CIM0507"
    assert trapped(new().put("endloop")) == "CIM0507"
    sketch = new()
    for _ in range(5):
        sketch.put("loop", count=1)
    assert trapped(sketch) == "CIM0507"


def test_end_without_halt(new):
    program = replace(new().put("nop").program(), instructions=(instruction("nop"),))
    for run in (lambda: reference.run(program, {}), lambda: Interpreter(program).run({})):
        with pytest.raises(Trap, match="CIM0508"):
            run()


def test_nothing_to_compute(new, trapped):
    assert trapped(affine(plain(new), period=0)) == "CIM0509"
    assert trapped(product(plain(new), blocks=0)) == "CIM0509"
    assert trapped(plain(new).tensor(0, (1, 1, 1)).window(0, (0, 1), (1, 1))) == "CIM0509"


def test_outside_the_array(new, trapped):
    assert trapped(new().put("gain", tile=2, scope="tile", **NEUTRAL)) == "CIM0510"
    assert trapped(new().block(0, [[1]], (2, 0, 0))) == "CIM0510"
    assert trapped(new().block(0, [[1], [1]], (0, 15, 0))) == "CIM0510"
    assert trapped(new().tensor(0, (1,)).put("readcell", tile=0, row=0, col=8, polarity="plus", out=0)) == "CIM0510"


def test_block_not_programmed(new, trapped):
    assert trapped(product(plain(new).gain())) == "CIM0511"


def test_gain_not_loaded(new, trapped):
    assert trapped(product(plain(new).block(0, [[1]]))) == "CIM0512"
    sketch = plain(new).put("gain", tile=1, scope="tile", **NEUTRAL).tensor(1, (1,))
    assert trapped(sketch.put("selftest", tile=0, col=0, value=1, out=1)) == "CIM0512"


@pytest.mark.parametrize(("bits", "value"), [(8, -128), (6, 32), (4, -8)])
def test_input_outside_the_dac(new, trapped, bits, value):
    sketch = plain(new, (0, value), dac={"bits": bits}).gain().block(0, [[1], [1]]).tensor(1, (1,))
    assert trapped(product(sketch)) == "CIM0513"


def test_a_fill_outside_the_dac_traps_where_it_is_read(new, trapped, written):
    sketch = new().gain().block(0, [[1]]).data(0, [1], (1, 1, 1)).tensor(1, (1,), type="i16")
    assert written(product(sketch.window(0, (1, 1), (1, 1), fill=200))) == [1]
    assert trapped(product(sketch.window(0, (1, 1), (1, 1), pad=(1, 0), fill=200))) == "CIM0513"


def test_an_unread_element_outside_the_dac_is_no_fault(new, written):
    sketch = new().gain().block(0, [[1]]).data(0, [1, -128, 3], (1, 3, 1)).tensor(1, (2,))
    assert written(product(sketch.window(0, (1, 1), (1, 2), stride=(1, 2)))) == [1, 3]


def test_array_sum_too_large(new, trapped):
    sketch = new().gain().tensor(0, (1,))
    assert trapped(sketch.put("selftest", tile=0, col=0, value=-(2**32), out=0)) == "CIM0514"
    wide = {"array": {"levels": 32767, "fraction_bits": 0}, "dac": {"bits": 16}}
    rows, values = [[32767]] * 5, [32767] * 5
    assert trapped(product(plain(new, values, "i16", **wide).gain().block(0, rows).tensor(1, (1,)))) == "CIM0514"


@pytest.mark.parametrize("bias", [2**52, -(2**52), 2**63 - 1, -(2**63)])
def test_accumulator_too_large(new, trapped, bias):
    assert trapped(affine(plain(new, (0,)), bias=bias, shift=40)) == "CIM0515"


def test_the_largest_accumulators_are_no_fault(new, written):
    sketch = new().data(0, [2**20], (1,), "i32").tensor(1, (1,), type="i64")
    assert written(affine(sketch, scale=1, bias=2**52 - 1 - 2**20, shift=21)) == [2**31]


def test_conductance_too_large(new, trapped):
    assert trapped(new().block(0, [[508, -509]])) == "CIM0516"
    assert trapped(new().put("pattern", tile=0, row=0, col=0, rows=1, cols=1, plus=509, minus=0)) == "CIM0516"


def test_operand_out_of_range(new, trapped):
    assert trapped(affine(plain(new), scale=1 << 16)) == "CIM0517"
    assert trapped(new().put("gain", tile=0, scope="all", multiplier=(1 << 15) - 1, divide=3)) == "CIM0517"
    for table in ([0, 1], [1, -1]):
        sketch = plain(new)
        facts = {"table": sketch.table(table, "i32"), "entries": 2, "numerator": 1, "zero": 0}
        assert trapped(sketch.put("softmax", in_=0, out=1, **facts, **WIDE)) == "CIM0517"


@pytest.mark.parametrize("code", [0, 3, -(2**63)])
def test_table_index_out_of_range(new, trapped, code):
    sketch = plain(new, (1, code), "i64")
    facts = {"table": sketch.table([1, 2], "i8"), "type": "i8", "first": 1, "entries": 2}
    assert trapped(sketch.put("lut", in_=0, out=1, **facts)) == "CIM0518"


def test_faults_come_in_execution_order(new, trapped):
    sketch = affine(plain(new, (0,)), bias=128)
    assert trapped(sketch) == "CIM0506"
    with pytest.raises(Trap, match="CIM0506"):
        Interpreter(sketch.put("endloop").program()).run({})


def test_turns_that_change_the_chip_are_too_many_for_the_fast_interpreter(new, monkeypatch):
    monkeypatch.setattr(walk, "LONGEST", 100)
    sketch = new().put("loop", count=60).put("time", seconds=1).put("endloop")
    with pytest.raises(Trap, match="CIM0519"):
        Interpreter(sketch.program()).run({})


def test_a_program_that_never_ends_is_refused_before_it_starts(new):
    sketch = new()
    for _ in range(4):
        sketch.put("loop", count=60000)
    for _ in range(4):
        sketch.put("endloop")
    with pytest.raises(OverBudget, match="instructions allows 268,435,456"):
        reference.run(sketch.program(), {})


@pytest.mark.parametrize("loops", [0, 1, 2])
def test_retired_instructions_are_counted_as_they_run(new, loops):
    sketch = new()
    for _ in range(loops):
        sketch.put("nop").put("loop", count=3)
    sketch.put("nop")
    for _ in range(loops):
        sketch.put("endloop").put("nop")
    run = Reference(sketch.program())
    steps = []
    step, run.step = run.step, lambda: steps.append(1) or step()
    run.run({})
    assert retired(run.code) == len(steps)


def test_memory_budget(new):
    huge = new(memory=1 << 33).program()
    for run in (lambda: reference.run(huge, {}), lambda: Interpreter(huge).run({})):
        with pytest.raises(Trap, match="CIM0521"):
            run()
    sketch = new().data(0, [1], (1, 1, 1)).tensor(1, (1,), type="i64")
    sketch.window(0, (4095, 4095), (1, 1), dilation=(4095, 4095))
    tables = {"scale": sketch.table([1], "i32"), "bias": sketch.table([0], "i64")}
    with pytest.raises(Trap, match="CIM0521"):
        Interpreter(sketch.put("poolsum", in_=0, out=1, per="all", shift=0, **tables, **WIDE).program()).run({})


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("array", "rows", None),
        ("array", "tiles", True),
        ("dac", "bits", 40),
        ("adc", "codes", "odd"),
        ("adc", "rounding", 1),
    ],
)
def test_unusable_targets(new, section, name, value):
    program = new(**{section: {name: value}}).program()
    with pytest.raises(Trap, match="CIM0500"):
        reference.run(program, {})
    with pytest.raises(Trap, match="CIM0500"):
        Interpreter(program)


@pytest.mark.parametrize(("phases", "codes"), [(3, "symmetric"), (True, "full"), (1, "unsigned"), (2, "unsigned")])
def test_impossible_read_phases_are_refused(new, phases, codes):
    program = new(read_phases=phases, adc={"codes": codes}).program()
    for run in (lambda: Interpreter(program), lambda: reference.run(program, {})):
        with pytest.raises(Trap, match="CIM0520"):
            run()


def test_ports_outside_memory(new):
    program = new(memory=4).port("x", (5,), 0).program()
    for run in (lambda: reference.run(program, {}), lambda: Interpreter(program).run({})):
        with pytest.raises(Trap, match="CIM0501"):
            run()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "CIM0550"),
        ({"x": [1, 2], "y": [1]}, "CIM0550"),
        ({"x": [1, 2, 3]}, "CIM0551"),
        ({"x": [1, 128]}, "CIM0553"),
    ],
)
def test_wrong_inputs(new, given, code):
    program = new().port("x", (2,), 0).program()
    with pytest.raises(PortError, match=code):
        reference.run(program, given)
    with pytest.raises(PortError, match=code):
        Interpreter(program).run({name: np.array([values]) for name, values in given.items()})


def test_every_code_says_what_it_is():
    for code, (title, status, explanation, _) in CODES.items():
        assert code.startswith("CIM05"), code
        assert title, code
        assert status in (2, 3, 4, 5, 6), code
        assert explanation.endswith("."), code
    assert str(Trap("CIM0501", "a", "b", 3, ("n", "m"))) == "trap[CIM0501] at instruction 3 (n, m): a\n  hint: b"
