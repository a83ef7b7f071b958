"""Traces: what a record says, that every executor writes the same, and what two traces differ in."""

import zlib

import numpy as np
import pytest

from cimc.backends.machine.facts import machine
from cimc.backends.machine.traps import Refusal, Trap
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.walk import Walk
from cimc.backends.reference import instructions as reference
from cimc.bringup.difference import compare
from cimc.bringup.explaining import Explainer
from cimc.bringup.record import FIRST, SAMPLE, record_of
from cimc.bringup.tracing import EVERYTHING, Tracing
from cimc.bringup.walking import crc_of, slots
from cimc.bringup.watching import Wanted, Watch

INPUTS = np.array([[3, -5, 7, 1], [-127, 127, 0, -1], [1, 2, 3, 4]], np.int8)


@pytest.fixture
def products(new):
    """Products from port x to port y, in a loop of two turns, with everything beside them that has a record."""
    sketch = new(adc={"bits": 6}).port("x", (4,), 0).port("y", (2, 2), 64, output=True).gain(40000, 18)
    sketch.put("pattern", tile=1, row=2, col=1, rows=3, cols=2, plus=7, minus=500)
    sketch.block(0, [[508, -300], [-508, 12]], (0, 3, 5)).block(1, [[1, 2], [3, 4]], (1, 3, 1), zeros="skip")
    sketch.put("time", seconds=86400).tensor(0, (1, 4)).tensor(1, (1, 2), 64).tensor(2, (1,), 80, type="i16")
    tables = {"scale": sketch.table([33000, -5, 2, 65535], "i32"), "bias": sketch.table([777, 0], "i64")}
    reference_sums = sketch.table([90, 3, 5, 8], "i64")
    sketch.put("calibrate", in_=0, block=0, blocks=2, reference=reference_sums, per="column")
    sketch.put("loop", count=2)
    sketch.put("mvm", in_=0, out=1, block=0, blocks=2, shift=15, low=-127, high=127, **tables)
    sketch.put("advance", stream=1, by=2).put("endloop")
    sketch.put("selftest", tile=0, col=1, value=100000, out=2).put("readcell", tile=1, row=2, col=2, polarity=1, out=2)
    return sketch.program()


def traced(program, codes=INPUTS, wanted=EVERYTHING, noise=None):
    return list(Tracing(program, noise, wanted).lines({"x": codes}))


def file(program, codes=INPUTS, wanted=EVERYTHING, noise=None):
    """The lines of a whole trace."""
    tracing = Tracing(program, noise, wanted)
    return [*str(tracing.head({"x": codes})).split("\n"), *tracing.lines({"x": codes})]


def _slots(program, wanted, noise):
    walk = Walk(program, machine(program.meta), noise, unrolled=True)
    return slots(walk, wanted.streams, wanted.vectors)


def by_reference(program, codes, wanted=EVERYTHING, noise=None):
    """The lines of one sample as the reference interpreter's run gives them."""
    facts = machine(program.meta)
    watch = Watch(_slots(program, wanted, noise), wanted, facts, 1)
    try:
        outputs = reference.run(program, {"x": codes.tolist()}, watch, noise)
        ports = {port.name: np.array([outputs[port.name]], np.int8) for port in program.outputs}
        watch.end(program, ports)
    except Trap as trap:
        watch.trap(trap)
    return watch.lines[0]


def test_the_crc_is_that_of_ieee():
    assert crc_of(np.frombuffer(b"123456789", np.uint8)) == "cbf43926"


def test_the_records_of_a_run(products):
    lines = traced(products)
    assert lines[0] == "sample 0"
    assert lines[1] == f"0 0 - 20 gain 0..1 1 {zlib.crc32((40000).to_bytes(2, 'little') + bytes([18])):08x} - -"
    # rows 2 to 4, columns 1 and 2 of a tile with 8 columns
    assert lines[2] == f"1 1 - 22 tile1 11..22 6 {crc_of(np.array([7, 500] * 6, '<u2'))} - -"
    assert lines[3] == f"2 2 - 21 tile0 1d..26 4 {crc_of(np.array([508, 0, 0, 300, 0, 508, 12, 0], '<u2'))} - -"
    # devices that are skipped hold what the pattern left there
    assert lines[4] == f"3 3 - 21 tile1 19..22 4 {crc_of(np.array([1, 500, 2, 500, 3, 500, 4, 500], '<u2'))} - -"
    assert lines[5] == f"4 4 - 25 time 15180..15180 1 {crc_of(np.array([86400], '<u8'))} - -"
    kept = [record_of(line) for line in lines[6:12]]
    assert [(one.prefix.moment, one.prefix.space) for one in kept] == [
        ((8, 8, ()), "factor"),
        ((10, 10, (0,)), "act"),
        ((13, 10, (1,)), "act"),
        ((16, 13, ()), "act"),
        ((17, 14, ()), "act"),
        ((18, 15, ()), "end"),
    ]
    assert [(one.prefix.low, one.prefix.high) for one in kept[1:3]] == [(64, 65), (66, 67)]
    assert [one.clips for one in kept[3:]] == ["0 1", "- -", "- -"]
    assert kept[-1].prefix.count == 10


@pytest.mark.parametrize("noise", [None, Noise(load_profile("pcm"), 7, 3600)], ids=["exact", "pcm"])
@pytest.mark.parametrize(
    "wanted", [EVERYTHING, Wanted(vectors=frozenset({8, 10}), streams=True), Wanted(only=frozenset({1, 10}))]
)
def test_every_interpreter_writes_the_same(products, wanted, noise):
    lines = traced(products, wanted=wanted, noise=noise)
    parts = "\n".join(lines).split("sample ")[1:]
    for number, (part, codes) in enumerate(zip(parts, INPUTS, strict=True)):
        found, *rest = part.rstrip("\n").split("\n")
        assert found == f"{number:x}"
        assert rest == by_reference(products, codes, wanted, noise)


def test_clips_are_counted_on_both_sides(new):
    sketch = new().port("x", (4,), 0).gain(1 << 15, 15).block(0, [[508], [508], [508], [508]])
    program = sketch.tensor(0, (1, 4)).tensor(1, (1, 1), 64).put("capture", in_=0, out=1, block=0).program()
    lines = traced(program, np.array([[127, 0, 0, 0], [-127, 0, 0, 0], [0, 0, 0, 0]], np.int8))
    assert [line.split()[-2:] for line in lines if " 31 " in line] == [["0", "1"], ["1", "0"], ["0", "0"]]


@pytest.mark.parametrize("phases", [1, 2, 4])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("blocks", [1, 2])
def test_clips_of_all_conversions_are_one_record(new, phases, sign, blocks):
    """Clips on both sides, of one conversion and of several, of inputs of both signs and of one."""
    sketch = new(read_phases=phases).port("x", (4,), 0).port("y", (2, 2), 64, output=True).gain(1 << 15, 17)
    sketch.block(0, [[508, -508], [508, 12]]).block(1, [[-508, 2], [100, -508]], (1, 0, 0))
    values = sign * np.array([127, 90, 1, 0, 120, 127, 0, 3, 0, 0, 1, 2])
    sketch.data(0, values.tolist() if phases > 1 else np.where(values % 2, values, -values), (6 // blocks, 2 * blocks))
    tables = {"scale": sketch.table([300, -500, 7, 9][: 2 * blocks], "i32"), "bias": sketch.table([777, 0], "i64")}
    sketch.tensor(1, (6 // blocks, 2), 64)
    sketch.put("mvm", in_=0, out=1, block=0, blocks=blocks, shift=9, low=-127, high=127, **tables)
    program = sketch.program()
    lines = traced(program, INPUTS[:1])
    assert lines[1:] == by_reference(program, INPUTS[0])
    assert any(line.split()[3] == "30" and line.split()[-2:] != ["0", "0"] for line in lines[1:])


@pytest.mark.parametrize("space", ["const", "act"])
def test_factors_are_told_where_no_code_can_clip(new, space):
    sketch = new(adc={"bits": 33}).port("x", (4,), 0).gain(1 << 15, 15).block(0, [[508, 1], [0, 0], [0, 2], [0, 3]])
    sketch.data(0, INPUTS[2], (1, 4)) if space == "const" else sketch.tensor(0, (1, 4))
    sums = sketch.table([254, 2 * 19], "i64")
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=sums, per="column").tensor(1, (1, 2), 64, type="i16")
    program = sketch.put("capture", in_=0, out=1, block=0).program()
    lines = traced(program, INPUTS[2:])
    assert lines[3] == f"3 3 - 26 factor 0..0 2 {crc_of(np.array([1 << 13, 1 << 15], '<u2'))} - -"
    assert lines[1:] == by_reference(program, INPUTS[2])


def test_vectors_hold_every_number(new):
    sketch = new().port("x", (4,), 0).gain(1 << 15, 17).block(0, [[508, -4], [12, 8]])
    program = sketch.tensor(0, (2, 2)).tensor(1, (2, 2), 64).put("capture", in_=0, out=1, block=0).program()
    lines = traced(program, INPUTS[:1], Wanted(vectors=frozenset({4})))
    assert [line for line in lines if line.startswith("v")] == [
        "v 4 - 0 0 03fb 00000005b8ffffffffcc 7ff3",
        "v 4 - - 0 7ff3",
        "v 4 - 0 1 0701 0000000df0ffffffffec 7ffb",
        "v 4 - - 1 7ffb",
    ]


def test_a_fault_of_data_ends_its_sample(new):
    sketch = new().port("x", (4,), 0).tensor(0, (4,)).tensor(1, (4,), 16)
    table = sketch.table(range(-10, 11), "i8")
    program = sketch.put("lut", in_=0, out=1, table=table, type="i8", first=-10, entries=21).program()
    assert [line.split()[4:8] for line in traced(program) if line.startswith("2 ")] == [
        ["act", "10..13", "4", "b2264a92"],
        ["trap", "0..0", "0", "CIM0518"],
        ["act", "10..13", "4", "b63cfbcd"],
    ]


def test_a_fault_of_the_program_is_its_last_record(new):
    program = new().port("x", (4,), 0).tensor(0, (4,)).put("nop").put("move", in_=0, out=3).program()
    assert traced(program, INPUTS[:1]) == ["sample 0", "2 2 - 48 trap 0..0 0 CIM0502 - -"]
    assert by_reference(program, INPUTS[0]) == ["2 2 - 48 trap 0..0 0 CIM0502 - -"]


def test_a_wrong_operand_is_the_only_record(new):
    program = new().port("x", (4,), 0).tensor(0, (4,)).put("loop", count=0).put("endloop").program()
    assert traced(program, INPUTS[:1]) == ["sample 0", "0 1 - 3 trap 0..0 0 CIM0507 - -"]


def test_equal_traces(products):
    lines = file(products)
    found = compare(lines, file(products, wanted=Wanted(vectors=frozenset({10}))))
    assert (found.notes, found.equal, found.difference) == ((), 33, None)


def test_the_first_difference_is_named(products):
    lines = file(products)
    at = next(n for n, line in enumerate(lines) if n > 25 and " 30 act" in line)
    changed = [*lines[:at], lines[at].replace(" act ", " act 1"), *lines[at + 1 :]]
    difference = compare(lines, changed).difference
    assert difference.sample == 1
    assert (difference.expected.line, difference.found.line) == (lines[at], changed[at])
    assert difference.before == tuple(lines[at - 3 : at])
    assert difference.expected_behind == tuple(lines[at + 1 : at + 4])


def test_a_difference_is_explained_down_to_the_number(products):
    theirs = file(products, wanted=Wanted(vectors=frozenset({10})))
    at = next(n for n, line in enumerate(theirs) if line.startswith("v a 1 1 0"))
    head, codes = theirs[at].rsplit(" ", 1)
    theirs[at] = f"{head} {codes[:2]}{int(codes[2:], 16) ^ 1:02x}"
    record = next(n for n, line in enumerate(theirs) if n > at and line.startswith("d a 1"))
    theirs[record] = theirs[record][:-12] + "00000000" + theirs[record][-4:]
    difference = compare(file(products), theirs).difference
    told = "\n".join(Explainer(products, {"x": INPUTS}).lines(difference))
    code = int(codes[2:], 16) - 256
    assert "instruction 10, layer mvm@10" in told
    assert f"vector 0, block 1, column 1: ADC code expected {code}, found {code ^ 1}" in told
    assert "DAC codes 7 1" in told


def test_long_traces_are_compared_in_parts(products, monkeypatch):
    """The same is found whatever the length of the parts, wherever the difference lies."""
    lines = file(products)
    for at in range(9, len(lines)):
        other = f"{lines[at]}0" if lines[at].startswith(SAMPLE) else lines[at].replace("1", "2", 1).replace("0", "1", 1)
        changed, found = [*lines[:at], other, *lines[at + 1 :]], set()
        for part in (1, 2, 5, 1000):
            monkeypatch.setattr("cimc.bringup.difference.PART", part)
            found.add(str(compare(lines, changed)))
        assert len(found) == 1 and "difference=None" not in found.pop(), lines[at]


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda lines: lines[:-1], "CIM0560"),
        (lambda lines: lines[1:], "CIM0560"),
        (lambda lines: lines[:5], "CIM0560"),
        (lambda lines: [*lines[:12], lines[12].upper(), *lines[13:]], "CIM0560"),
        (lambda lines: [*lines, lines[-1]], "CIM0560"),
        (lambda lines: ["cimc-trace 9", *lines[1:]], "CIM0561"),
        (lambda lines: [FIRST, "program 00", *lines[2:]], "CIM0562"),
        (lambda lines: [], "CIM0560"),
    ],
)
def test_damage_and_other_programs_are_refused(products, damage, code):
    lines = file(products)
    with pytest.raises(Refusal, match=code):
        compare(lines, damage(lines))


def test_what_is_another_in_the_heads_is_said(products):
    noise = Noise(load_profile("pcm").silent(), 3, 60)
    found = compare(file(products), file(products, noise=noise, wanted=Wanted(only=frozenset({1, 10}))))
    assert [note.split()[0] for note in found.notes] == ["noise", "seed", "time", "only"]
    assert (found.equal, found.difference) == (9, None)
