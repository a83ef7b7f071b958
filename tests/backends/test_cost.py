"""What a program takes: sums to the last digit, prices by their counters, bounds that hold."""

import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cimc.backends.cost.advice import advice
from cimc.backends.cost.counters import NAMES, ONCE, Counters, total
from cimc.backends.cost.estimate import COMPONENTS, EACH, EVERY, Charge, Pricing, charge, estimate
from cimc.backends.cost.facts import FORMAT, facts, widening
from cimc.backends.cost.observed import DataCounting
from cimc.backends.cost.once import once, samples_worth
from cimc.backends.cost.pipelined import stages
from cimc.backends.cost.rows import GROUPS, rows
from cimc.backends.cost.schedule import DIGITAL, MEMORY, schedule
from cimc.backends.cost.waterfall import OPERATIONS, efficiency, peak, use, waterfall
from cimc.backends.cost.why import terms
from cimc.backends.interpreter import Interpreter
from cimc.driving.measures import WORK, unpriced_names
from cimc.isa.author import Author
from cimc.isa.errors import CimcError
from cimc.isa.program import Layer, Port, Program
from cimc.passes.costs import digital_cost
from cimc.targets import load_target
from cimc.targets.areas import AREAS, area, areas
from cimc.targets.prices import (
    BASES,
    BOTTOM_UP,
    Interval,
    constant,
    exact,
    phase_energy,
    phase_time,
    row_share,
    summed,
)
from cimc.targets.target import parse_target

TARGET = load_target("aon-cim")
SCHEMA = Draft202012Validator(json.loads((Path(__file__).parents[2] / "docs" / "cost.schema.json").read_text()))


@pytest.fixture
def program(new) -> Program:
    """Two products of a block of 4 x 5, and a sum of their results, on a chip with prices."""
    return multiplied(new().gain().block(0, [[1] * 5] * 4))


@pytest.fixture
def sparse(new) -> Program:
    """The same with targets in 3 of the 20 cells, in 2 rows, which alone are programmed."""
    targets = [[1, 0, 0, 0, -1], [0] * 5, [0, 1, 0, 0, 0], [0] * 5]
    return multiplied(new().gain().block(0, targets, zeros="skip"))


def multiplied(sketch: Author) -> Program:
    """Return the program of two products of the block, and a sum of their results."""
    tables = {"scale": sketch.table([1] * 5, "i32"), "bias": sketch.table([0] * 5, "i64")}
    rounding = {"shift": 0, "low": -128, "high": 127}
    sketch.tensor(0, (1, 1, 2, 4)).tensor(1, (1, 1, 2, 5), 16).tensor(2, (1, 1, 2, 5), 32)
    sketch.put("mvm", in_=0, out=1, block=0, blocks=1, **tables, **rounding)
    sketch.put("add", a=1, b=1, out=2, ma=1, mb=1, bias=0, **rounding)
    return replace(sketch.program(), meta={"target": TARGET.sections()})


@pytest.fixture
def driven(program) -> Program:
    """The same with an input: 2 vectors of 4 codes."""
    return replace(program, inputs=(Port("x", 0, "i8", (8,), (8,), (0,), 1.0, 0, -127, 127),))


def test_the_array_takes_what_its_phases_take(program):
    found = estimate(program)
    assert total(one.counters for one in found.charges).phases == 2
    assert found.component("array").value == 2 * (Fraction("0.14173") * 130 + Fraction("3.696") / 4) * 1000


def test_idle_rows_cost_between_nothing_and_all(program):
    """4 of 1024 rows are driven; the target says that idle ones take 0.26 to 1 of what driven ones take."""
    array, full = estimate(program).component("array"), phase_energy(TARGET).times(2)
    assert array.value == full.value
    assert array.low == full.low * (Fraction("0.26") + Fraction("0.74") * Fraction(4, 1024))
    assert array.high == full.high


@pytest.mark.parametrize("counter", EACH)
def test_a_price_pays_for_its_counter_and_nothing_else(program, counter):
    key = EACH[counter]
    before = TARGET.constants.get(key, 0.0)
    dearer = replace(
        TARGET, constants={**TARGET.constants, key: before + 0.5}, sources={**TARGET.sources, key: "derived"}
    )
    work = total(one.counters for one in estimate(program).charges)
    more = charge(Pricing(dearer), work).energy_pj.value - charge(Pricing(TARGET), work).energy_pj.value
    assert more == getattr(work, counter) * (exact(before + 0.5) - exact(before))


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("what", ["value", "low", "high"])
def test_a_price_changes_the_total_by_its_number_of_times(driven, basis, what):
    """Every price of every term, that of phases too: each end of the total by n times the change of that end."""
    driven = priced_so(
        driven, {"energy.leak": 0.25, "energy.pulse": 0.5, "bottom_up.row": 0.5, "energy.instruction": 2.0}
    )
    counts, found = counted(driven, [[3, 0, 0, 1] * 2]), []
    before = estimate(driven, counts, basis)
    for term in terms(before, "energy"):
        (key,) = (key for key in before.target.constants if key == term.price)
        old = constant(before.target, key)
        new = Interval(*(end * 3 for end in old.ends))
        after = estimate(restated(driven, key, new), counts, basis)
        change = getattr(after.energy_pj, what) - getattr(before.energy_pj, what)
        assert change == 2 * getattr(term.energy, what), key
        found.append(key)
    pricing, done = before.pricing, before.counters
    each = {pricing.each(name) for name in pricing.paid if getattr(done, name)} - {None}
    assert sorted(found) == sorted({"energy.leak", *each, *(BASES[basis] if basis != BOTTOM_UP else ())})


def restated(program: Program, key: str, to: Interval) -> Program:
    """Return the program on a chip with another value and bounds of one constant."""
    target = estimate(program).target
    bounds = {**target.bounds, key: (float(to.low), float(to.high))}
    changed = replace(target, constants={**target.constants, key: float(to.value)}, bounds=bounds)
    return replace(program, meta={"target": changed.sections()})


LEAKING = [Pricing(load_target(name).with_constants({"energy.leak": 0.25})) for name in ("aon-cim", "hermes-64-4p")]
AMOUNTS = st.integers(0, 10**6)
GROWING = [name for name in NAMES if name not in (*ONCE, "conversions", "row_on")]
"""What costs more the more there is: conversions alone, without a phase, only show that results need no cycle more."""


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
@pytest.mark.parametrize("pricing", LEAKING)
def test_more_of_anything_never_costs_less(pricing, data):
    done = Counters(conversions=1, phases=1, **{key: data.draw(AMOUNTS) for key in ("serial_phases", *EACH)})
    done = replace(done, row_slots=data.draw(st.integers(0, pricing.target.rows)))
    grown, by, bits = data.draw(st.sampled_from(GROWING)), data.draw(AMOUNTS), data.draw(st.integers(2, 8))
    more = replace(done, **{grown: getattr(done, grown) + by})
    assert never_less(charge(pricing, done, bits), charge(pricing, more, bits))
    assert never_less(charge(pricing, done, bits), charge(pricing, done, data.draw(st.integers(bits, 8))))


def never_less(one: Charge, other: Charge) -> bool:
    """Return whether no end of the other charge's energy and time lies below the one's."""
    pairs = ((one.energy_pj, other.energy_pj), (one.time_ns, other.time_ns))
    return all(getattr(a, end) <= getattr(b, end) for a, b in pairs for end in ("value", "low", "high"))


@given(driven=st.integers(0, 1024), more=st.integers(0, 1024))
def test_more_rows_driven_never_cost_less(driven, more):
    pricing = Pricing(TARGET, counted=True)
    few, many = (charge(pricing, Counters(phases=1, row_on=rows)) for rows in sorted((driven, more)))
    assert never_less(few, many)


def test_sums_over_instructions_are_the_total_to_the_last_digit(program):
    found = estimate(program)
    work = total(one.counters for one in found.charges)
    whole = charge(found.pricing, work)
    assert found.energy_pj == whole.energy_pj
    assert found.energy_pj == Interval(
        *(sum(getattr(found.component(name), end) for name in whole.energy) for end in ("value", "low", "high"))
    )


def test_factors_lead_from_peak_to_chip_exactly(program):
    found = estimate(program)
    left = peak(found.target).value
    for fall in waterfall(found):
        left *= fall.factor
    work = total(one.counters for one in found.charges)
    assert left == Fraction(OPERATIONS * work.macs) / found.energy_pj.value == efficiency(found).value
    assert peak(found.target).value == pytest.approx(13.55, rel=5e-4)


def test_advice_names_the_layer_that_loses_most_at_each_step(program):
    found = advice(estimate(program), program)
    assert set(found) <= {fall.name for fall in waterfall(estimate(program))}
    assert found["rows"].startswith("100 % of it in no layer: ") and "4 rows" in found["rows"]
    assert found["rows"].endswith("the tallest block has 4") and "5 columns" in found["converters"]


def test_cells_that_are_skipped_are_a_step_of_their_own(program, sparse):
    """Zeros are skipped, and there are no diagonals."""
    (fall,) = (fall for fall in waterfall(estimate(sparse)) if fall.name == "unprogrammed cells")
    assert fall.factor == Fraction(3, 4 * 5) and "zeros that are skipped" in fall.fact
    assert advice(estimate(sparse), sparse)[fall.name].endswith("weights in 15.0 % of the cells of its blocks")
    assert fall.name not in {other.name for other in waterfall(estimate(program))} | set(
        advice(estimate(program), program)
    )


def test_advice_is_silent_where_nothing_is_lost(program):
    kept = [index for index, one in enumerate(program.instructions) if one.name != "add"]
    parts = {"instructions": program.instructions, "locations": program.locations}
    alone = replace(program, **{name: tuple(part[index] for index in kept) for name, part in parts.items()})
    assert "digital" in advice(estimate(program), program) and "digital" not in advice(estimate(alone), alone)


@pytest.mark.parametrize("by", GROUPS)
def test_json_is_as_its_schema_says(driven, by):
    data = DataCounting(driven)
    Interpreter(driven).run({"x": np.ones((2, 8), np.int8)}, data)
    dear = estimate(priced_so(driven, OPTIONAL))
    for cost in (
        dear,
        estimate(overlapping(driven, 4.0)),
        estimate(driven),
        estimate(driven, data),
        estimate(driven, basis=BOTTOM_UP),
    ):
        told = json.loads(json.dumps({"program": "0" * 64, "feeding": None, **facts(cost, driven, by)}))
        SCHEMA.validate(told)
        assert not SCHEMA.is_valid(told | {"more": 1}) and not SCHEMA.is_valid(told | {"energy_pj": 1.0})


def test_the_schema_knows_the_format_and_every_counter():
    assert SCHEMA.schema["properties"]["format"]["const"] == FORMAT
    assert list(SCHEMA.schema["$defs"]["counters"]["properties"]) == list(NAMES)


def test_what_has_no_price_is_named(program):
    assert estimate(program).missing == ("issued",)
    assert {one["name"] for one in facts(estimate(program), program, "layer")["constants"] if "value" not in one} == {
        "energy.divide",
        "energy.instruction",
        "timing.clock",
        *OPTIONAL,
    }


OPTIONAL = {
    "energy.pulse": 0.125,
    "digital.tech_scale": 0.5,
    "energy.leak": 0.25,
    "programming.pulses": 8.0,
    "programming.pulse_energy": 3.0,
    "programming.pulse_time": 100.0,
}
"""Prices that no target of ours has."""


def priced_so(program: Program, prices: Mapping[str, float]) -> Program:
    """Return the program on a chip of the same prices and these."""
    return replace(program, meta={"target": TARGET.with_constants(prices).sections()})


def test_programming_is_paid_once_by_cells_and_by_rows(program):
    found = estimate(priced_so(program, {"programming.pulses": 8.0, "programming.pulse_energy": 3.0}))
    assert (found.counters.programmed, found.counters.rows_programmed) == (4 * 5, 4)
    assert once(found).energy_pj.value == 4 * 5 * 8 * 3 and once(found).time_ns is None
    assert samples_worth(found) == once(found).energy_pj.value / found.energy_pj.value
    assert found.energy_pj == estimate(program).energy_pj, "no part of a sample's energy"
    timed = estimate(priced_so(program, {"programming.pulses": 8.0, "programming.pulse_time": 100.0}))
    assert once(timed).time_ns.value == 4 * 8 * 100 and once(timed).energy_pj is None
    assert samples_worth(timed) is None


def test_cells_that_are_skipped_take_no_pulses(sparse):
    found = estimate(priced_so(sparse, OPTIONAL))
    assert (found.counters.programmed, found.counters.rows_programmed) == (3, 2)
    assert once(found).energy_pj.value == 3 * 8 * 3 and once(found).time_ns.value == 2 * 8 * 100


def test_leaking_tiles_take_power_all_the_time(program):
    before, found = estimate(program), estimate(priced_so(program, {"energy.leak": 0.25}))
    assert found.energy_pj.value == before.energy_pj.value + found.time_ns.value / 4
    assert found.power_mw.value == before.power_mw.value + Fraction(1, 4)
    assert waterfall(found)[-1].name == "leak" and waterfall(found)[-1].left == efficiency(found).value


def test_what_all_tiles_leak_is_told_beside_the_arrays(program):
    found = estimate(priced_so(program, {"energy.leak": 0.25}))
    told = rows(found, program, "tile")
    assert summed(one.energy["leak"] for one in told["beside the arrays"]) == found.component("leak")
    assert not any("leak" in one.energy for one in told["tile 0"])


def test_leaking_tiles_have_a_number():
    with pytest.raises(CimcError, match=r"energy\.leak: how many tiles leak.*array\.tiles"):
        TARGET.with_constants({"energy.leak": 0.25, "array.tiles": "unbounded"})


def test_power_is_energy_over_time(program):
    found = estimate(program)
    assert found.power_mw.value == found.energy_pj.value / found.time_ns.value
    assert found.power_mw.low <= found.power_mw.value <= found.power_mw.high


def test_the_digital_unit_is_priced_at_its_node(program):
    """The array is not, and one constant stands for the node of all its prices."""
    before, found = estimate(program), estimate(priced_so(program, {"digital.tech_scale": 0.5}))
    for name in ("digital", "requant"):
        assert found.component(name).value == before.component(name).value / 2
    assert found.component("array") == before.component("array")
    assert digital_cost(found.target, 12).energy_nj == digital_cost(before.target, 12).energy_nj / 2


def test_what_has_a_price_is_modelled(program):
    told = facts(estimate(priced_so(program, OPTIONAL)), program, "layer")
    assert told["not_modelled"] == ["issued", "pulse", "wires"], "pulses have a price, and nobody counted them"
    assert facts(estimate(program), program, "layer")["not_modelled"][1:] == ["wires", "idle tiles", "programming"]


def test_a_line_buffer_has_no_price_and_is_said_to_have_none(program):
    found = estimate(priced_so(program, {"memory.line_buffer": True}))
    assert facts(found, program, "layer")["not_modelled"] == [
        "issued",
        "wires",
        "line buffer",
        "idle tiles",
        "programming",
    ]


def test_what_may_have_no_price_is_told_in_words(driven):
    """Every counter that anything is paid for by the one, as it may lack its price."""
    assert set(WORK) == set(EVERY)
    words = unpriced_names(facts(estimate(driven), driven, "layer"))
    assert words == ["instructions issued", "wires", "idle tiles", "programming"]


def test_the_area_is_that_of_all_tiles():
    assert area(load_target("hermes-64")).value == 64 * Fraction("0.634")
    assert area(load_target("hermes-64").with_tiles(None)) is None and area(TARGET) is None


def test_the_area_of_a_chip_is_that_of_its_parts():
    """1 tile of 1024 x 512 cells, an ADC for 4 columns, and two memories."""
    parts = {"area.cell": 0.5, "area.adc": 700.0, "area.row": 30.0, "area.byte": 0.25, "area.digital": 0.75}
    found = areas(TARGET.with_constants(parts))
    memories = TARGET.activation_bytes + TARGET.constant_bytes
    counts = {"cells": 1024 * 512, "adcs": 128, "rows": 1024, "memory": memories}
    for part, count in counts.items():
        assert found[part].value == count * exact(parts[AREAS[part]]) / 10**6
    assert (found["digital"].value, found["tiles"]) == (Fraction("0.75"), None)
    assert area(TARGET.with_constants(parts)).value == sum(one.value for one in found.values() if one)


def test_a_tile_and_its_parts_are_no_two_areas():
    with pytest.raises(
        CimcError, match=r"area\.adc is the area of a part of a tile, and area\.tile that of a whole one"
    ):
        load_target("hermes-64,area.adc=700")


def test_constants_that_widen_the_bounds_come_first_and_make_up_most(program):
    shares = widening(estimate(program), program)
    assert shares[0][0] == "energy.idle_rows"
    assert sum(share for _, share in shares) >= 0.9
    assert sum(share for _, share in shares[:-1]) < 0.9


def test_bounds_of_what_tiles_leak_come_from_the_time_that_overlaps(program):
    """The digital unit is much the slower: phases last as long as they like, its cycle and the leak decide."""
    slow = overlapping(program, 400.0)
    found = estimate(slow)
    whole = found.energy_pj.high - found.energy_pj.low
    for key, share in widening(found, slow):
        value = found.target.constants[key]
        certain = replace(found.target, bounds={**found.target.bounds, key: (value, value)})
        energy = estimate(replace(slow, meta={"target": certain.sections()})).energy_pj
        assert share == float((whole - (energy.high - energy.low)) / whole), key
    assert {"energy.leak", "digital.cycle"} <= set(dict(widening(found, slow)))


@pytest.mark.parametrize(
    ("source", "low", "high"),
    [("verified", "0.98", "1.02"), ("secondary", "0.9", "1.1"), ("derived", "0.5", "2"), ("unverified", "0.5", "2")],
)
def test_a_constant_without_bounds_is_trusted_by_its_source(source, low, high):
    target = replace(TARGET, bounds={}, sources={**TARGET.sources, "energy.multiply": source})
    assert constant(target, "energy.multiply") == Interval(Fraction(1), Fraction(low), Fraction(high))


def test_a_target_that_does_not_speak_of_idle_rows_pays_for_them():
    bare = {key: value for key, value in TARGET.constants.items() if key != "energy.idle_rows"}
    assert row_share(replace(TARGET, constants=bare), Fraction(1, 9)) == Interval(*[Fraction(1)] * 3)


def test_a_program_without_a_whole_target_is_refused(program):
    sections = {key: value for key, value in TARGET.sections().items() if key != "energy"}
    with pytest.raises(CimcError, match=r"CIM0301.*not whole.*energy") as caught:
        estimate(replace(program, meta={"target": sections}))
    assert "cimc compile" in str(caught.value)


def test_an_array_without_a_price_has_no_peak_to_fall_from(program):
    free = {"energy.array_power": 0.0, "energy.product_fixed": 0.0}
    bounds = {key: pair for key, pair in TARGET.bounds.items() if key not in free}
    target = replace(TARGET, constants={**TARGET.constants, **free}, bounds=bounds)
    found = estimate(replace(program, meta={"target": target.sections()}))
    assert found.energy_pj.value > 0
    assert waterfall(found) == ()


@pytest.mark.parametrize(
    "changed", [lambda one: priced_so(one, {"energy.leak": 0.25}), lambda one: overlapping(one, 4.0)]
)
@pytest.mark.parametrize("by", GROUPS)
def test_rows_sum_up_to_the_program_to_the_last_digit(program, by, changed):
    found = estimate(changed(program))
    charges = [one for row in rows(found, program, by).values() for one in row]
    assert summed(one.energy_pj for one in charges) == found.energy_pj
    assert summed(one.time_ns for one in charges) == found.time_ns
    silent = sum(not any(one.counters.values()[1:]) for one in found.charges)
    whole = total(one.counters for one in found.charges)
    assert total(one.counters for one in charges) == replace(whole, issued=whole.issued - silent)


def copies(new, *tiles: int, layer: tuple[str, ...] = ("layer",)) -> Program:
    """Two products of 3 vectors each, of blocks in these tiles."""
    sketch = new().gain()
    for number, tile in enumerate(tiles):
        sketch.block(number, [[1] * 5] * 4, at=(tile, 4 * number, 0))
    tables = {"scale": sketch.table([1] * 5, "i32"), "bias": sketch.table([0] * 5, "i64")}
    for number in range(2):
        sketch.tensor(0, (1, 1, 3, 4)).tensor(1, (1, 1, 3, 5), 32)
        sketch.put("mvm", in_=0, out=1, block=number, blocks=1, shift=0, low=-128, high=127, **tables)
    program = sketch.program()
    located = tuple(layer if one.name == "mvm" else () for one in program.instructions)
    return replace(program, locations=located, meta={"target": {**TARGET.sections(), "array": TILES}})


def test_a_layer_is_told_where_it_lies(new):
    """Two copies of a block in tiles of their own."""
    program = copies(new, 0, 1, layer=("a",))
    (row,) = (one for one in facts(estimate(program), program, "layer")["rows"] if one["name"] == "a")
    assert (row["matrix"], row["tiles"], row["use"]) == ("2 of 4x5", 2, 4 * 5 / (1024 * 128))
    blank = next(one for one in facts(estimate(program), program, "layer")["rows"] if one["name"] != "a")
    assert (blank["matrix"], blank["tiles"], blank["use"]) == ("", 0, None)
    assert "matrix" not in facts(estimate(program), program, "tile")["rows"][0]


def test_the_use_of_phases_is_what_the_waterfall_says(program):
    found = {fall.name: fall.factor for fall in waterfall(estimate(program))}
    assert use(TARGET, estimate(program).counters) == found["rows"] * found["converters"]


TILES = {**TARGET.sections()["array"], "tiles": 2}


@pytest.mark.parametrize(("tiles", "layer", "phases"), [((0, 1), ("a",), 3), ((0, 0), ("a",), 6), ((0, 1), (), 6)])
def test_products_of_one_layer_run_at_the_same_time_in_tiles_of_their_own(new, tiles, layer, phases):
    work = total(one.counters for one in estimate(copies(new, *tiles, layer=layer)).charges)
    assert (work.serial_phases, work.phases) == (phases, 6)


def test_a_phase_of_converters_with_a_clock_lasts_as_long_as_they_settle_and_decide():
    """Two cycles to settle and one for each of 8 bits, whatever the bits of input codes."""
    text = TARGET.render().replace(PHASE_TIMES, CLOCK)
    target = parse_target(text, "t.toml")
    assert {phase_time(target, bits) for bits in (None, 8, 4)} == {
        Interval(Fraction(25), Fraction(225, 10), Fraction(275, 10))
    }
    assert phase_energy(target).value == (Fraction("0.14173") * 25 + Fraction("3.696") / 4) * 1000


@pytest.mark.parametrize(("bits", "wanted"), [(8, "130"), (7, "130"), (6, "34"), (5, "34"), (4, "10"), (2, "10")])
def test_a_phase_lasts_as_long_as_the_bits_of_its_codes_need(bits, wanted):
    assert phase_time(TARGET, bits).value == Fraction(wanted)


def test_a_layer_of_few_bits_has_short_phases(program):
    """Both products and the sum belong to a layer whose input was lowered to 4 bits."""
    layer = Layer("mm", "tensor", ("mm",))
    located = tuple(("mm",) for _ in program.locations)
    lowered = {**program.meta, "ranges": {"bits": {"tensor": [4, 8]}}}
    full, short = (
        estimate(replace(program, meta=meta, layers=(layer,), locations=located)) for meta in (program.meta, lowered)
    )
    assert full.charges[-3].array_ns == phase_time(TARGET).times(2)
    assert short.charges[-3].array_ns == phase_time(TARGET, 4).times(2)
    assert short.component("array") == (phase_energy(TARGET, 4) * row_share(TARGET, Fraction(4, 1024))).times(2)
    fall = next(fall for fall in waterfall(short) if fall.name == "input bits")
    assert fall.factor == phase_energy(TARGET).value / phase_energy(TARGET, 4).value


PHASE_TIMES = "".join(line + "\n" for line in TARGET.render().splitlines() if line.startswith("phase"))
CLOCK = """clock = { value = 2.5, unit = "ns", source = "secondary" }
settle = { value = 2, unit = "cycles", source = "secondary" }
"""


def counted(program: Program, codes: list[int]) -> DataCounting:
    counting = DataCounting(program)
    Interpreter(program).run({"x": np.array(codes, np.int8).reshape(-1, *program.inputs[0].shape)}, counting)
    return counting


def test_rows_that_data_leave_idle_cost_less_where_idle_rows_do(driven):
    """Two samples drive 2 and 1 of 2 x 4 rows."""
    found = estimate(driven, counted(driven, [[1, 0, -3, 0] + [0] * 4, [0] * 7 + [9]]))
    assert found.samples == 2
    work = total(one.counters for one in found.charges)
    assert (work.row_on, work.pulse, work.charge, work.adc_mag) == (
        Fraction(3, 2),
        Fraction(13, 2),
        5 * Fraction(13, 2),
        Fraction(2 * 5 + 9 * 5, 2),
    )
    share = row_share(TARGET, Fraction(3, 2) / (2 * 1024))
    assert found.component("array").low == 2 * phase_energy(TARGET).low * share.low
    assert found.component("array").value == 2 * phase_energy(TARGET).value


def test_data_counters_of_a_batch_are_the_sums_of_its_samples(driven):
    codes = np.random.default_rng(5).integers(-127, 128, (6, 8)).tolist()
    whole = counted(driven, codes)
    parts = [counted(driven, [one]) for one in codes]
    for index in range(len(driven.instructions)):
        alone = total(part.means(index).get(0, total([])) for part in parts)
        assert whole.means(index).get(0, total([])).times(6) == alone


def test_the_bottom_up_basis_prices_converters_and_charge_and_no_phase(driven):
    found = estimate(driven, counted(driven, [[1] * 8]), BOTTOM_UP)
    assert found.component("array").value == 10 * Fraction("0.36") + 8 * 5 * Fraction("2.015") / 10**6
    assert found.component("memory").value == 0
    assert set(found.missing) == {"act_read", "act_write", "const_read", "issued", "row_on"}
    assert waterfall(found) == ()
    assert estimate(driven, basis=BOTTOM_UP).missing == (*found.missing, "charge")
    words = unpriced_names(facts(found, driven, "layer"))
    assert {"DACs", "references, drivers and clocks of tiles"} <= set(words)
    words = unpriced_names(facts(estimate(driven, basis=BOTTOM_UP), driven, "layer"))
    assert {"DACs", "charge through cells (needs --input)"} <= set(words)


def test_dacs_are_priced_by_rows_driven_where_a_target_prices_them(driven):
    codes = [[1, 0, -3, 0] + [0] * 4]
    before = estimate(driven, counted(driven, codes), BOTTOM_UP)
    found = estimate(priced_so(driven, {"bottom_up.row": 0.5}), counted(driven, codes), BOTTOM_UP)
    assert found.component("array").value == before.component("array").value + 2 * Fraction(1, 2)
    assert "row_on" not in found.missing


def test_pulses_are_paid_beside_phases_where_a_target_prices_them(driven):
    """Codes 1 and -3 for one product, nothing for the other: 4 units of pulses."""
    priced, codes = priced_so(driven, {"energy.pulse": 0.5}), [[1, 0, -3, 0] + [0] * 4]
    before, found = (estimate(one, counted(one, codes)) for one in (driven, priced))
    assert found.component("array").value == before.component("array").value + 4 * Fraction(1, 2)
    (fall,) = (fall for fall in waterfall(found) if fall.name == "pulses")
    assert fall.factor == before.component("array").value / found.component("array").value
    assert waterfall(found)[-1].left == efficiency(found).value
    assert estimate(priced).energy_pj == estimate(driven).energy_pj, "nobody counted any"
    assert "pulse" in estimate(priced).missing and "pulse" not in (*found.missing, *before.missing)


def test_a_basis_that_the_target_has_no_price_on_is_refused_by_both_names(program):
    sections = {key: value for key, value in TARGET.sections().items() if key != "bottom_up"}
    with pytest.raises(CimcError, match=r"bottom_up\.conversion.*energy\.array_power"):
        estimate(replace(program, meta={"target": sections}), basis=BOTTOM_UP)


@pytest.mark.parametrize("what", ["digital", "requant", "memory"])
def test_the_price_of_a_term_times_its_count_is_its_energy(program, what):
    """Prices of the digital unit as they are paid at the target's node, not as their source has them."""
    for term in terms(estimate(priced_so(program, {"digital.tech_scale": 0.5})), what):
        assert term.unit == "pJ" and term.count * term.value == pytest.approx(float(term.energy.value)), term.price


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("what", ["energy", *COMPONENTS])
def test_the_terms_of_an_energy_sum_up_to_it(driven, what, basis):
    driven = priced_so(driven, {"energy.leak": 0.25, "digital.tech_scale": 0.5, "energy.pulse": 0.5})
    found = estimate(driven, counted(driven, [[3, 0, 0, 1] * 2]), basis)
    wanted = found.energy_pj if what == "energy" else found.component(what)
    assert summed(term.energy for term in terms(found, what)) == wanted


def overlapping(program: Program, cycle: float) -> Program:
    """The program on a chip of one lane, which works beside its arrays."""
    return priced_so(program, {"timing.overlap": True, "digital.lanes": 1, "digital.cycle": cycle, "energy.leak": 0.25})


@pytest.mark.parametrize("cycle", [0.25, 4.0, 400.0])
def test_a_layer_lasts_as_long_as_its_busier_unit_and_a_fill(program, cycle):
    """Two products, the first of which is the fill, and the digital work behind them."""
    found = estimate(overlapping(program, cycle))
    array, digital = (sum(getattr(one, name).value for one in found.charges) for name in ("array_ns", "digital_ns"))
    assert (array, digital > array) == (2 * 130, cycle > 4)
    assert found.time_ns.value == min(array + digital, max(array, digital) + 130)
    assert found.component("leak").value == found.time_ns.value / 4
    assert found.time_ns.low <= found.time_ns.value <= found.time_ns.high


def test_turns_of_a_loop_wait_for_each_other(new):
    """Each turn has one product and the work behind it: the one vector is the fill, so that nothing overlaps."""
    sketch = new().gain().block(0, [[1] * 5] * 4)
    tables = {"scale": sketch.table([1] * 5, "i32"), "bias": sketch.table([0] * 5, "i64")}
    rounding = {"shift": 0, "low": -128, "high": 127}
    sketch.tensor(0, (1, 1, 1, 4)).tensor(1, (1, 1, 1, 5), 64).put("loop", count=7)
    sketch.put("mvm", in_=0, out=1, block=0, blocks=1, **tables, **rounding)
    sketch.put("add", a=1, b=1, out=1, ma=1, mb=1, bias=0, **rounding)
    program = overlapping(sketch.put("endloop").program(), 4.0)
    turns = [one.name for one in program.instructions]
    assert [list(map(turns.__getitem__, stage)) for stage in stages(program)][1][0] == "loop"
    found = estimate(program)
    assert found.array_ns.value == 7 * 130
    assert found.time_ns.value == found.array_ns.value + sum(one.digital_ns.value for one in found.charges)


@pytest.mark.parametrize("cycle", [0.25, 400.0])
def test_a_schedule_of_units_that_overlap_adds_up_to_the_time(program, cycle):
    found = estimate(overlapping(program, cycle))
    planned = schedule(found, overlapping(program, cycle))
    assert planned.length == found.time_ns.value * 1000 == max(one.end for one in planned.slices)
    starts = {name: min(one.start for one in planned.slices if one.track == name) for name in ("tile 0", DIGITAL)}
    assert 0 == starts["tile 0"] < 130_000 <= starts[DIGITAL]
    assert sum(one.length for one in planned.slices if one.track == MEMORY) == planned.length
