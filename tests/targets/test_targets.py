"""Targets: chips as text, held to the schema."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from cimc.backends.machine.facts import machine
from cimc.isa.errors import CimcError
from cimc.targets import built_in_names, load_target
from cimc.targets.schema import CONSTANTS
from cimc.targets.target import parse_target, target_of

GOOD = load_target("aon-cim").render()
NEEDED = [*(key for key, constant in CONSTANTS.items() if not constant.optional), "timing.phase"]
"""What a target must state: the time of a phase may be said in another way."""
STATED = list(load_target("aon-cim").constants)


def refusals(source: str) -> list[str]:
    """Return the messages with which a text is refused."""
    with pytest.raises(CimcError) as caught:
        parse_target(source, "t.toml")
    assert {found.code for found in caught.value.diagnostics} == {"CIM0301"}
    return [found.message for found in caught.value.diagnostics]


def changed(key: str, entry: str) -> str:
    """Return the good text with one entry, or with nothing in its place."""
    head, _, name = key.rpartition(".")
    section = GOOD.index(f"[{head}]") if head else 0
    front, back = GOOD[:section], GOOD[section:]
    return front + re.sub(rf"^{name} = .*$", f"{name} = {entry}" if entry else "", back, count=1, flags=re.M)


@pytest.mark.parametrize("name", built_in_names())
def test_built_in_targets_survive_render_and_parse(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert parse_target(target.render(), "t.toml") == target
    assert target_of(target.sections()) == target


def test_any_name_and_summary_survive_render() -> None:
    target = replace(load_target("ideal"), name='a "b" \\ c', summary="µS\ttab\nline")
    assert parse_target(target.render(), "t.toml") == target


@pytest.mark.parametrize("key", NEEDED)
def test_a_missing_constant_is_named(key: str) -> None:
    assert refusals(changed(key, "")) == [f"t.toml: constant {key!r} is missing"]


def test_a_price_may_be_missing() -> None:
    target = parse_target(changed("energy.add", ""), "t.toml")
    assert "energy.add" not in target.constants
    assert target_of(target.sections()) == parse_target(target.render(), "t.toml") == target


@pytest.mark.parametrize("key", STATED)
def test_a_wrong_unit_is_named_with_the_right_one(key: str) -> None:
    (found,) = refusals(changed(key, '{ value = 1, unit = "furlongs", source = "verified" }'))
    assert key in found and "'furlongs'" in found and repr(CONSTANTS[key].unit) in found


@pytest.mark.parametrize(
    ("key", "entry", "said"),
    [
        ("array.rows", "3", "array.rows must be written { value = ..., unit = ..., source = ... }"),
        ("array.rows", '{ value = 3, unit = "rows" }', "array.rows has source None"),
        ("array.rows", '{ value = 3, unit = "rows", source = "hearsay" }', "array.rows has source 'hearsay'"),
        ("array.rows", '{ value = 0, unit = "rows", source = "derived" }', "array.rows: 0 is outside 1..65535"),
        ("array.rows", '{ value = 2.5, unit = "rows", source = "derived" }', "array.rows: 2.5 is not a whole number"),
        ("array.rows", '{ value = true, unit = "rows", source = "derived" }', "array.rows: True is not int"),
        ("array.rows", '{ value = "unbounded", unit = "rows", source = "derived" }', "'unbounded' is not int"),
        ("array.tiles", '{ value = "many", unit = "tiles", source = "derived" }', "'many' is not one of unbounded"),
        ("array.g_max", '{ value = nan, unit = "uS", source = "derived" }', "array.g_max: nan is outside"),
        ("array.g_max", '{ value = -1.0, unit = "uS", source = "derived" }', "array.g_max: -1.0 is outside"),
        ("dac.bits", '{ value = 9, unit = "bits", source = "derived" }', "dac.bits: 9 is outside 2..8"),
        ("adc.gain", '{ value = "row", unit = "granularity", source = "derived" }', "not one of array, tile, unity"),
        ("energy.add", '{ value = 1.0, low = 2.0, high = 3.0, unit = "pJ", source = "derived" }', "low 2.0, value 1.0"),
        ("energy.add", '{ value = 1.0, low = 0.5, unit = "pJ", source = "derived" }', "high None"),
        ("energy.add", '{ value = 1.0, low = -1, high = 2, unit = "pJ", source = "derived" }', "low -1"),
        ("energy.add", '{ value = 1.0, low = 0, high = inf, unit = "pJ", source = "derived" }', "high inf"),
        ("digital.depthwise", '{ value = 1, unit = "capability", source = "derived" }', "1 is not bool"),
    ],
)
def test_a_wrong_entry_is_named(key: str, entry: str, said: str) -> None:
    (found,) = refusals(changed(key, entry))
    assert said in found


NS = 'unit = "ns", source = "derived"'
CYCLES = 'unit = "cycles", source = "derived"'
PJ = 'unit = "pJ", source = "derived"'
FAULTS = [
    ("energy.add", f"{{ value = -0.1, {PJ} }}", "energy.add: -0.1 is outside 0.."),
    ("energy.add", f"{{ value = nan, {PJ} }}", "energy.add: nan is outside 0.."),
    ("energy.add", f"{{ value = inf, {PJ} }}", "energy.add: inf is outside 0.."),
    ("energy.add", f'{{ value = "cheap", {PJ} }}', "energy.add: 'cheap' is not float"),
    ("energy.add", '{ value = 0.1, source = "derived" }', "energy.add has unit None, not 'pJ'"),
    ("energy.add", '{ value = 0.1, unit = "nJ", source = "derived" }', "energy.add has unit 'nJ', not 'pJ'"),
    ("energy.add", '{ value = 0.1, unit = "pJ" }', "energy.add has source None"),
    ("energy.add", f"{{ value = 0.1, low = 0.2, high = 0.3, {PJ} }}", "energy.add has low 0.2, value 0.1"),
    ("energy.add", f"{{ value = 0.4, low = 0.2, high = 0.3, {PJ} }}", "energy.add has low 0.2, value 0.4"),
    ("timing.phase", f"{{ value = 0.0, {NS} }}", "timing.phase is 0 ns and energy.array_power is not 0 W"),
    ("energy.add", f"{{ value = 0.1, {PJ} }}\nconversion = {{ value = 1.0, {PJ} }}", "no constant 'energy.conversion'"),
    (
        "timing.phase_4",
        f"{{ value = 9.0, {NS} }}\nsettle = {{ value = 2, {CYCLES} }}",
        "cycles of timing.clock: state that",
    ),
]
"""Faults of prices and times; one more is that of a variant."""


@pytest.mark.parametrize(("key", "entry", "said"), FAULTS)
def test_a_price_that_cannot_be_is_refused_with_its_path(key: str, entry: str, said: str) -> None:
    (found,) = refusals(changed(key, entry))
    assert said in found


def test_a_power_without_a_time_is_refused_wherever_it_is_stated() -> None:
    said = r"timing\.phase is 0 ns and energy\.array_power is not 0 W"
    with pytest.raises(CimcError, match=said):
        load_target("aon-cim,timing.phase=0")
    sections = load_target("aon-cim").sections()
    sections["timing"]["phase"] = 0.0
    with pytest.raises(CimcError, match=said):
        target_of(sections)


def test_a_phase_is_timed_one_way() -> None:
    assert refusals(changed("timing.phase_4", f"{{ value = 9.0, {NS} }}\nclock = {{ value = 2.5, {NS} }}")) == [
        f"t.toml: timing.{name} is the time of a phase, as cycles of timing.clock are: state one or the other"
        for name in ("phase", "phase_6", "phase_4")
    ]


def test_a_variant_of_other_bits_states_the_time_of_its_phase() -> None:
    text = GOOD + '[variants.5b]\ndac.bits = { value = 5, unit = "bits", source = "derived" }\n'
    with pytest.raises(CimcError, match=r"timing\.phase is that of other input codes.*dac\.bits = 5"):
        parse_target(text, "t.toml", "5b")


def test_an_unknown_constant_is_named() -> None:
    extra = GOOD + 'colour = { value = 1, unit = "uS", source = "derived" }\n'
    assert refusals(extra) == ["t.toml: there is no constant 'bottom_up.colour'"]


def test_a_target_needs_a_name() -> None:
    assert "needs a name" in refusals(GOOD.replace('name = "aon-cim"\n', ""))[0]


def test_every_problem_is_told_at_once() -> None:
    assert len(refusals('name = "t"\n')) == len(NEEDED)


def test_what_is_not_toml_is_refused() -> None:
    assert "t.toml" in refusals("name = ")[0]


@pytest.mark.parametrize("variants", ["5", "[1]", "{ a = 5 }"])
def test_variants_that_are_no_tables_are_refused(variants: str) -> None:
    (problem,) = refusals(f"variants = {variants}")
    assert "a table of tables is needed" in problem


def test_a_variant_changes_only_what_it_says() -> None:
    base, variant = load_target("aon-cim"), load_target("aon-cim-6b")
    differ = {key for key in STATED if base.constants[key] != variant.constants[key]}
    assert differ == {"dac.bits", "adc.bits", "timing.phase"}
    assert (variant.dac_range, variant.adc_range) == ((-31, 31), (-31, 31))


@pytest.mark.parametrize(("name", "hint"), [("aon-cmi", "did you mean aon-cim?"), ("zzzz", "known targets: aon-cim")])
def test_an_unknown_target_has_a_next_step(name: str, hint: str) -> None:
    with pytest.raises(CimcError, match="CIM0302") as caught:
        load_target(name)
    assert hint in caught.value.diagnostics[0].hint


def test_a_target_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(changed("array.rows", '{ value = 77, unit = "rows", source = "derived" }'))
    assert load_target(str(path)).rows == 77
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CimcError, match=r"CIM0301.*UTF-8"):
        load_target(str(path))
    with pytest.raises(CimcError, match="CIM0001"):
        load_target(str(tmp_path / "none.toml"))


def test_an_embedded_target_is_checked() -> None:
    sections = load_target("aon-cim").sections()
    sections["array"]["rows"] = 0
    with pytest.raises(CimcError, match=r"inside the program: array\.rows"):
        target_of(sections)


def test_full_adc_codes_have_one_more_below_zero() -> None:
    base = load_target("aon-cim")
    assert base.adc_range == (-127, 127)
    assert replace(base, constants={**base.constants, "adc.codes": "full"}).adc_range == (-128, 127)


def test_tiles_can_be_another_number_of_chips() -> None:
    chip = load_target("hermes-64")
    assert chip.with_tiles(192).tiles == 192 and chip.with_tiles(None).tiles is None
    assert chip.with_tiles(3).with_tiles(192).tiles_a_chip == 64
    assert chip.with_tiles(192).sources["array.tiles"] == "derived"
    assert target_of(chip.with_tiles(192).sections()).constants == chip.with_tiles(192).constants
    with pytest.raises(CimcError, match="CIM0301"):
        chip.with_tiles(0)


@pytest.mark.parametrize("name", built_in_names())
def test_the_machine_of_a_program_has_its_targets_ranges(name: str):
    target = load_target(name)
    facts = machine({"target": target.sections()})
    assert (facts.dac_range, facts.adc_range) == (target.dac_range, target.adc_range)
    assert facts.full_conductance == target.full_conductance


def test_constants_that_do_not_go_together_are_no_change() -> None:
    with pytest.raises(CimcError, match=r"adc\.codes"):
        load_target("aon-cim,adc.codes=unsigned")
