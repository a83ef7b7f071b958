"""What programs are counted as equals what the literal reference does, access by access."""

from collections import Counter
from dataclasses import asdict
from math import ceil

import numpy as np
import pytest
from backends.random_programs import Case, for_each, numbers_of, sketch_of  # noqa: TID251 tests/backends

from cimc.backends.cost.counters import DATA, NAMES, Counters, total
from cimc.backends.cost.counting import BLOCK_FACTS, STREAM_FACTS, count, inside, terms
from cimc.backends.cost.observed import DataCounting
from cimc.backends.interpreter import Interpreter, on_processor
from cimc.backends.machine.traps import Trap
from cimc.backends.noise import draws
from cimc.backends.reference import instructions
from cimc.backends.reference.instructions import Reference
from cimc.isa.container import load_program, save_binary, save_text
from cimc.isa.errors import CimcError
from cimc.isa.streams import define, with_window
from cimc.isa.table import ELEMENT_TYPES, TABLE, TAP_BITS

SEEN = (
    "issued",
    "products",
    "phases",
    "conversions",
    "cells",
    "conductance",
    "row_slots",
    "act_read",
    "act_write",
    "requant",
    "programmed",
    "rows_programmed",
)


class BruteForce(Reference):
    """A reference that counts each access as it happens."""

    def __init__(self, program):
        super().__init__(program)
        self.seen = [Counter() for _ in program.instructions]
        self.memory._element = self.element
        self.crossbar.read, self._read_of = self.read, self.crossbar.read
        self.crossbar.write, self._write_of = self.written_cell, self.crossbar.write
        self.within = False
        self.rows, self.met = set(), set()
        """Rows of the instruction at hand in which a cell was programmed, and elements that its windows met."""
        self.buffers = program.meta["target"].get("memory", {}).get("line_buffer", False)

    def note(self, **counts):
        self.seen[self.index].update(counts if self.within else {})

    def step(self):
        self.within, self.rows, self.met = True, set(), set()
        super().step()
        self.note(issued=1)
        self.within = False

    def element(self, state, place):
        held = self.buffers and state.window is not None and (state, place) in self.met
        if place is not None and state.space == "act" and not held:
            self.note(act_read=state.size)
        self.met.add((state, place))
        return type(self.memory)._element(self.memory, state, place)

    def _write(self, out, values):
        super()._write(out, values)
        self.note(act_write=out.size * len(values))

    def written_cell(self, tile, row, col, targets):
        self._write_of(tile, row, col, targets)
        if targets:
            self.note(programmed=1, rows_programmed=int(row not in self.rows))
            self.rows.add(row)

    def read(self, vectors, blocks, read_phases, calibrating=False):
        found = self._read_of(vectors, blocks, read_phases, calibrating)
        for block in [] if calibrating else found:
            for codes, inputs in zip(block.codes, block.inputs, strict=True):
                self.note(products=1, cells=block.cells.rows * len(codes), charge=self.conducted(block.cells, inputs))
                self.note(conductance=self.conducted(block.cells, [1] * block.cells.rows))
            for each in block.conversions:
                self.converted(each, block)
        return found

    def converted(self, conversion, block):
        machine, sign = self.crossbar.machine, conversion.phase.inputs
        for codes, inputs in zip(conversion.codes, block.inputs, strict=True):
            phases = ceil(len(codes) / (machine.columns // machine.multiplexing))
            driven = [abs(x) for x in inputs if x and (not sign or (x > 0) == (sign > 0))]
            self.note(conversions=len(codes), phases=phases, row_slots=block.cells.rows * phases)
            self.note(row_on=phases * len(driven), pulse=phases * sum(driven), adc_mag=sum(map(abs, codes)))

    def conducted(self, cells, inputs):
        """Return |code| x (G+ + G-) summed over a block, device by device."""
        places = [(i, j, side) for i in range(cells.rows) for j in range(cells.cols) for side in "+-"]
        sides = {"+": draws.POLARITIES[0], "-": draws.POLARITIES[1]}
        at = [(i, (cells.tile, cells.row + i, cells.col + j, sides[side])) for i, j, side in places]
        return sum(abs(inputs[i]) * self.crossbar.programmed(cell) for i, cell in at)


def brute_force(program, codes, patch):
    machine = BruteForce(program)
    rounded = instructions._requantise

    def requantised(total, i):
        machine.note(requant=1)
        return rounded(total, i)

    patch.setattr(instructions, "_requantise", requantised)
    machine.run({"x": codes})
    return machine


def test_counters_equal_brute_force(new):
    """Of 350 programs, more than 200 of which have products."""
    multiplied = []
    for_each(
        numbers_of("counters", 350),
        lambda draw: counted_case(draw, new),
        lambda case: multiplied.append(require_counted(case)),
    )
    assert sum(multiplied) > 200


PRODUCTS = ("block", "mvm", "capture")


def counted_case(draw, new):
    """Draw a program that probably has products."""
    return Case.of(sketch_of(draw, new, PRODUCTS))


def counted_to_the_end(sketch, codes):
    """Return the reference's counts of what is left of a program without the instructions that trap."""
    while True:
        with pytest.MonkeyPatch.context() as patch:
            try:
                return brute_force(sketch.program(), codes, patch)
            except Trap as trap:
                del sketch.instructions[trap.index], sketch.locations[trap.index]


def require_counted(case):
    """Fail where what is counted is not what is seen; return whether there were products."""
    machine = counted_to_the_end(case.sketch, case.x[0].tolist())
    program = case.sketch.program()
    for instruction, found, seen in zip(program.instructions, count(program), machine.seen, strict=True):
        wanted = {name: seen[name] for name in SEEN}
        if instruction.name in ("calibrate", "pick", "div"):  # once; only what is picked; a rounding of its own
            continue
        assert {name: getattr(found, name) for name in SEEN} == wanted, instruction
    return any(seen["products"] for seen in machine.seen)


def test_data_counters_equal_brute_force(new):
    driven = []
    for_each(
        numbers_of("data counters", 80),
        lambda draw: counted_case(draw, new),
        lambda case: driven.append(require_counted_data(case)),
    )
    assert sum(driven) > 30


def require_counted_data(case):
    """Fail where what is counted of data is not what is seen; return whether a row was driven."""
    machine = counted_to_the_end(case.sketch, case.x[0].tolist())
    program = case.sketch.program()
    images = case.x.reshape(1, *program.inputs[0].shape)
    for counted in (counted_by(program, images, executor) for executor in on_processor()):
        for found, seen in zip(counted, machine.seen, strict=True):
            assert [getattr(found, name) for name in DATA] == [seen[name] for name in DATA]
    return any(seen["row_on"] for seen in machine.seen)


def counted_by(program, images, executor, chunk=None):
    """Return what each instruction took of one image in the mean, as an executor counts it."""
    counting = DataCounting(program)
    Interpreter(program, executor=executor, chunk=chunk).run({"x": images}, counting)
    return [total(counting.means(index).values()) for index in range(len(program.instructions))]


CAPTURE = {"in_": 0, "out": 1, "block": 0}


def overwritten(sketch, how):
    """Write cells of block 0, 3 x 2 at row 1, once more, or its number."""
    match how:
        case "block":
            sketch.block(1, [[50, -60]] * 3, at=(0, 3, 1))
        case "skipped zeros":
            sketch.block(1, [[0, 7], [-8, 0]], at=(0, 2, 0), zeros="skip")
        case "pattern":
            sketch.put("pattern", tile=0, row=0, col=1, rows=2, cols=3, plus=9, minus=4)
        case "number":
            sketch.block(0, [[1, 1]] * 3, at=(0, 4, 0))


@pytest.mark.parametrize("unprogrammed", [0, 5])
@pytest.mark.parametrize("how", ["block", "skipped zeros", "pattern", "number"])
def test_cells_that_are_written_anew_conduct_what_they_hold_then(new, how, unprogrammed):
    sketch = new(array={"unprogrammed": unprogrammed}).gain().port("x", (24,), 0)
    sketch.block(0, [[1, -2], [3, 0], [0, 4]], at=(0, 1, 0), zeros="skip")
    sketch.tensor(0, (1, 1, 2, 3)).tensor(1, (1, 1, 2, 2), 32).put("capture", **CAPTURE)
    overwritten(sketch, how)
    sketch.put("capture", **CAPTURE)
    assert require_counted(Case.of(sketch)) and require_counted_data(Case.of(sketch))
    before, after = (one.conductance for one in count(sketch.program()) if one.products)
    assert before != after


def test_a_block_that_turns_of_a_loop_write_anew_is_counted_and_its_data_are_not(new):
    sketch = new().gain().port("x", (24,), 0).block(0, [[1], [2]])
    sketch.tensor(0, (1, 1, 1, 2)).tensor(1, (1, 1, 1, 1), 32).put("loop", count=3).put("capture", **CAPTURE)
    sketch.block(0, [[3], [0]]).put("endloop")
    assert require_counted(Case.of(sketch))
    with pytest.raises(
        CimcError, match=r"(?s)CIM0003.*instruction 5 reads block b0 before and after.*leave out --input"
    ):
        counted_by(sketch.program(), np.ones((1, 24), np.int8), "numpy")


def test_the_reference_sums_for_an_observer_as_the_fast_executors_do(new):
    sketch = new().gain(1 << 15, 18).block(0, [[508, -254], [-127, 0], [3, 508]]).port("x", (2, 3), 0)
    sketch.put("capture", in_=0, out=1, block=0)
    sketch.instructions[-1:-1] = new().tensor(0, (1, 1, 2, 3)).tensor(1, (1, 1, 2, 2), 32).instructions
    program, codes = sketch.program(), np.array([[[3, 0, -7], [-1, 5, 0]]], np.int8)
    counting = DataCounting(program)
    Reference(program, counting).run({"x": codes.ravel().tolist()})
    told = [total(counting.means(index).values()) for index in range(len(program.instructions))]
    assert told == counted_by(program, codes, "numpy") and any(told)


def test_text_and_binary_of_a_program_are_counted_alike(new, tmp_path):
    sketch = new().gain().block(0, [[1, -2], [3, 0]]).tensor(0, (1, 1, 3, 2)).tensor(1, (1, 1, 3, 2), 32)
    program = sketch.put("capture", in_=0, out=1, block=0).program()
    for save, name in ((save_text, "p.asm"), (save_binary, "p.cimb")):
        save(program, tmp_path / name)
        assert count(load_program(tmp_path / name)) == count(program)
    assert total(count(program)).conversions == 3 * 2


def put(sketch, name, elements, **operands):
    """Return a sketch with vectors of 3 elements in streams 0 and 1, the result in stream 2, and one instruction."""
    for stream in range(3):
        sketch.tensor(stream, (1, 1, elements // 3, 3), 32 * stream)
    return sketch.put(name, **operands)


ROUND = {"shift": 0, "low": -128, "high": 127}
PAIR = {"a": 0, "b": 1, "out": 2}
DIGITAL = {
    "add": ({"ma": 1, "mb": 1, "bias": 0, **PAIR, **ROUND}, {"dig_mul": 12, "dig_add": 6, "requant": 6}),
    "mul": ({"za": 0, "zb": 0, "m": 1, "bias": 0, **PAIR, **ROUND}, {"dig_mul": 6, "dig_add": 12, "requant": 6}),
    "div": (
        {"za": 0, "zb": 0, "m": 1, "zero": 0, **PAIR, **ROUND},
        {"dig_mul": 6, "dig_add": 12, "dig_div": 6, "requant": 6},
    ),
    "affine": ({"in_": 0, "out": 2, "period": 3, "scale": 0, "bias": 16, **ROUND}, {"requant": 6, "const_read": 36}),
    "lut": (
        {"in_": 0, "out": 2, "table": 0, "type": "i16", "first": -128, "entries": 256},
        {"dig_table": 6, "const_read": 12},
    ),
    "softmax": (
        {"in_": 0, "out": 2, "table": 0, "entries": 9, "numerator": 255, "zero": 0, "low": 0, "high": 255},
        {"dig_add": 18, "dig_table": 6, "dig_mul": 6, "dig_div": 6, "const_read": 24},
    ),
    "argmax": ({"in_": 0, "out": 2, "which": "largest", "tie": "first"}, {"dig_add": 6}),
    "move": ({"in_": 0, "out": 2}, {}),
    "select": ({"c": 0, "a": 0, "b": 1, "out": 2, "zero": 0}, {"dig_add": 6}),
}


@pytest.mark.parametrize("name", DIGITAL)
def test_digital_work_is_counted_by_kind(new, name):
    operands, wanted = DIGITAL[name]
    found = count(put(new(), name, 6, **operands).program())[-2]
    reads = sum(1 for key in ("in_", "a", "b", "c") if key in operands)
    moved = {"issued": 1, "act_read": 6 * reads, "act_write": 6}
    assert {key: value for key, value in asdict(found).items() if value} == {**moved, **wanted}


def test_turns_of_a_loop_count_alike(new):
    sketch = new().tensor(0, (1, 1, 2, 3)).tensor(1, (1, 1, 2, 3), 16)
    sketch.put("loop", count=1_000_000).put("loop", count=1000).put("move", in_=0, out=1)
    sketch.put("advance", stream=1, by=0).put("endloop").put("endloop")
    counts = count(sketch.program())
    assert [each.issued for each in counts] == [1, 1, 1, 10**6, 10**9, 10**9, 10**9, 10**6, 1]
    assert total(counts) == Counters(issued=4 + 2 * 10**6 + 3 * 10**9, act_read=6 * 10**9, act_write=6 * 10**9)


def test_operands_that_are_wrong_by_themselves_trap_as_in_a_run(new):
    with pytest.raises(Trap, match="CIM0507"):
        count(new().put("loop", count=0).put("endloop").program())


def test_a_block_whose_data_lie_outside_traps_as_in_a_run(new):
    with pytest.raises(Trap, match="CIM0501"):
        count(new().block(0, [[1]], data=2).program())


def test_products_behind_the_end_count_nothing(new):
    sketch = new().block(0, [[1]]).tensor(0, (1,)).tensor(1, (1,), 8).put("halt").put("capture", in_=0, out=1, block=0)
    assert count(sketch.program())[-2] == Counters()


@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.name)
def test_what_an_instruction_counts_is_said_of_counters_and_operands_that_there_are(spec):
    facts = {**{name: {""} for name in ELEMENT_TYPES}, **{one.name: facts_of(one) for one in spec.fields}}
    factors = {name for formula in spec.counts.values() for _, names in terms(formula) for name in names}
    assert set(spec.counts) <= set(NAMES) - set(DATA)
    assert all(name.isdecimal() or is_fact(name, facts) for name in factors)


def facts_of(one):
    """Return what formulas may say of an operand."""
    named = {"s": STREAM_FACTS, "b": BLOCK_FACTS}.get(one.prefix, one.names or [""])
    return {*named, *(["size"] if one.names in (tuple(ELEMENT_TYPES), tuple(TAP_BITS)) else [])}


def is_fact(name, facts):
    operand, _, fact = name.partition(".")
    return fact in facts.get(operand, set())


def test_what_a_turn_changes_for_the_next_is_counted_turn_by_turn(new):
    """The first turn reads three elements, the others two."""
    sketch = new().tensor(0, (1, 1, 1, 3)).tensor(1, (1, 1, 1, 3), 16).tensor(2, (1, 1, 1, 2), 16)
    sketch.put("loop", count=5).put("argmax", in_=0, out=3, which="largest", tie="first")
    sketch.tensor(0, (1, 1, 1, 2)).put("endloop")
    sketch.instructions.insert(0, sketch.tensor(3, (1, 1, 1, 1)).instructions.pop())
    assert total(count(sketch.program())).dig_add == 3 + 4 * 2


@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize(("pad", "stride"), [((0, 0), (1, 1)), ((1, 2), (1, 3)), ((-1, 0), (3, 1))])
def test_a_line_buffer_reads_each_element_of_a_window_once(new, pad, stride, dilation):
    """Fewer than are used, where taps overlap or leave gaps; what has no window is read as often as it is used."""
    facts = {"pad": pad, "stride": stride, "dilation": dilation}
    read = []
    for memory in ({}, {"line_buffer": True}):
        sketch = new().port("x", (24,), 0).gain().block(0, [[1]] * 4)
        sketch.meta["target"]["memory"] = memory
        tables = {"scale": sketch.table([1], "i32"), "bias": sketch.table([0], "i64"), **ROUND}
        sketch.tensor(0, (1, 4, 6, 1)).window(0, (2, 2), (2, 2), **facts).tensor(1, (1, 1, 4, 1), 64)
        sketch.put("mvm", in_=0, out=1, block=0, blocks=1, **tables)
        sketch.tensor(0, (1, 1, 4, 1), 64).put("move", in_=0, out=1)
        assert require_counted(Case.of(sketch))
        read.append(total(count(sketch.program())).act_read)
    assert 4 < read[1] <= read[0] and (read[1] < read[0] or dilation != (1, 1) or stride != (1, 1))


@pytest.mark.parametrize(("pad", "stride"), [((0, 0), (1, 1)), ((1, 2), (1, 2)), ((-1, 0), (2, 1))])
def test_a_window_reads_what_lies_in_its_tensor(new, pad, stride):
    facts = {"kernel": (2, 3), "out": (4, 2), "dilation": (1, 2), "fill": 0}
    sketch = new().tensor(0, (1, 4, 5, 2)).window(0, pad=pad, stride=stride, **facts)
    tensor, window = sketch.instructions
    rows = [y * stride[0] - pad[0] + i for y in range(4) for i in range(2)]
    columns = [x * stride[1] - pad[1] + 2 * j for x in range(2) for j in range(3)]
    wanted = 2 * sum(0 <= row < 4 and 0 <= column < 5 for row in rows for column in columns)
    assert inside(with_window(define(tensor), window)) == wanted
