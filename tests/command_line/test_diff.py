"""What changed between two programs, targets or reports, and conditions on it."""

import json

import pytest
from command_line.files import lay

from cimc.command_line import main
from cimc.driving.difference import Change, changes_of, condition, values_of
from cimc.isa.errors import CimcError


def report(tmp_path, name, **facts):
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(facts))
    return str(path)


def test_two_targets_differ_in_what_the_variant_says():
    changed = {one.path for one in changes_of(values_of("hermes-64"), values_of("hermes-64"))}
    assert changed == set()
    changed = {one.path for one in changes_of(values_of("aon-cim"), values_of("aon-cim-6b"))}
    assert changed == {"name", "dac.bits", "adc.bits", "timing.phase", "bounds.timing.phase"}


def test_a_target_with_changed_constants_and_a_macro_are_compared():
    changed = changes_of(values_of("aon-cim"), values_of("aon-cim,array.rows=512"))
    assert {one.path for one in changed} == {"name", "array.rows", "sources.array.rows"}
    changed = changes_of(values_of("rram-28nm-2b"), values_of("rram-28nm-4b"))
    assert Change("constants.timing.phase", 30.0, 23.08) in changed


def test_rows_are_compared_by_name_and_lists_of_numbers_as_one(tmp_path):
    before = report(tmp_path, "a", rows=[{"name": "b", "phases": 2}, {"name": "c", "phases": 5}], shape=[1, 2])
    after = report(tmp_path, "b", rows=[{"name": "c", "phases": 6}], shape=[1, 3])
    assert changes_of(values_of(before), values_of(after)) == [
        Change("rows.b.name", "b", None),
        Change("rows.b.phases", 2, None),
        Change("rows.c.phases", 5, 6),
        Change("shape", "[1, 2]", "[1, 3]"),
    ]


@pytest.mark.parametrize(
    ("text", "after", "met"),
    [
        ("energy>5%", 106.0, True),
        ("energy>5%", 105.0, False),
        ("energy>5%", 90.0, False),
        ("energy<-5%", 94.0, True),
        ("energy<-5%", 96.0, False),
        ("energy>0%", 100.5, True),
        ("energy_pj.value>5 %", 106.0, True),
        ("pj.value>5%", 106.0, False),
    ],
)
def test_conditions_on_a_change(text, after, met):
    changes = [Change("energy_pj.value", 100.0, after)]
    assert bool(condition(text).met(changes)) is met


@pytest.mark.parametrize("text", ["energy", "energy>5", "energy=5%", ">5%", "energy<5%"])
def test_what_is_no_condition_is_refused_with_an_example(text):
    with pytest.raises(CimcError, match=r"(?s)CIM0003.*energy>5%"):
        condition(text)


def test_a_change_of_what_was_nothing_or_no_number_has_no_share():
    assert Change("a", 0, 5).share is None
    assert Change("a", True, False).share is None
    assert Change("a", 2, 3).share == 0.5


def test_the_command_ends_with_1_where_a_condition_is_met(tmp_path, capsys):
    files = report(tmp_path, "a", energy_pj={"value": 1.0}), report(tmp_path, "b", energy_pj={"value": 2.0})
    assert main(["diff", *files]) == 0
    assert main(["diff", *files, "--fail-on", "energy>99%"]) == 1
    assert "failed: energy>99%, energy_pj.value has changed by +100.00 %" in capsys.readouterr().out
    assert main(["diff", *files, "--fail-on", "energie>5%"]) == 2
    assert "try energy" in capsys.readouterr().err
    assert main(["diff", files[0], files[0]]) == 0
    assert capsys.readouterr().out == "nothing differs\n"
    assert main(["diff", *files, "--json", "--fail-on", "energy>5%"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] == ["energy>5%"]
    assert found["changes"][0]["path"] == "energy_pj.value"


def test_a_program_is_compared_by_mapping_instructions_data_and_costs(folder):
    lay("digits.cimb", folder)
    values = values_of("digits.cimb")
    assert values["mapping.node_linear"].startswith("96x10 at 0:")
    assert values["instructions.mvm"] == 4
    assert values["energy_pj.value"] > 0
    assert not changes_of(values, values_of("digits.cimb"))
