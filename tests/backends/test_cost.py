"""What a program takes: sums to the last digit, prices by their counters, bounds that hold."""

from dataclasses import replace
from fractions import Fraction

import pytest

from cimc.backends.cost.counting import total
from cimc.backends.cost.estimate import EACH, charge, estimate
from cimc.backends.cost.facts import facts, widening
from cimc.backends.cost.waterfall import OPERATIONS, efficiency, peak, waterfall
from cimc.isa.errors import CimcError
from cimc.isa.program import Program
from cimc.targets import load_target
from cimc.targets.prices import Interval, constant, exact, phase_energy, row_share

TARGET = load_target("aon-cim")


@pytest.fixture
def program(new) -> Program:
    """Two products of a block of 4 x 5, and a sum of their results, on a chip with prices."""
    sketch = new().gain().block(0, [[1] * 5] * 4)
    tables = {"scale": sketch.table([1] * 5, "i32"), "bias": sketch.table([0] * 5, "i64")}
    rounding = {"shift": 0, "low": -128, "high": 127}
    sketch.tensor(0, (1, 1, 2, 4)).tensor(1, (1, 1, 2, 5), 16).tensor(2, (1, 1, 2, 5), 32)
    sketch.put("mvm", in_=0, out=1, block=0, blocks=1, **tables, **rounding)
    sketch.put("add", a=1, b=1, out=2, ma=1, mb=1, bias=0, **rounding)
    return replace(sketch.program(), meta={"target": TARGET.sections()})


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
    more = charge(dearer, work).energy_pj.value - charge(TARGET, work).energy_pj.value
    assert more == getattr(work, counter) * (exact(before + 0.5) - exact(before))


def test_sums_over_instructions_are_the_total_to_the_last_digit(program):
    found = estimate(program)
    work = total(one.counters for one in found.charges)
    whole = charge(found.target, work)
    assert found.energy_pj == whole.energy_pj
    assert found.energy_pj == Interval(
        *(sum(getattr(found.component(name), end) for name in whole.energy) for end in ("value", "low", "high"))
    )


def test_factors_lead_from_peak_to_chip_exactly(program):
    found = estimate(program)
    left = peak(found)
    for fall in waterfall(found):
        left *= fall.factor
    work = total(one.counters for one in found.charges)
    assert left == Fraction(OPERATIONS * work.cells) / found.energy_pj.value == efficiency(found).value
    assert peak(found) == pytest.approx(13.55, rel=5e-4)


def test_what_has_no_price_is_named(program):
    assert estimate(program).missing == ("issued",)
    assert {one["name"] for one in facts(estimate(program), program, "layer")["constants"] if "value" not in one} == {
        "energy.divide",
        "energy.instruction",
    }


def test_constants_that_widen_the_bounds_come_first_and_make_up_most(program):
    shares = widening(estimate(program))
    assert shares[0][0] == "energy.idle_rows"
    assert sum(share for _, share in shares) >= 0.9
    assert sum(share for _, share in shares[:-1]) < 0.9


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
