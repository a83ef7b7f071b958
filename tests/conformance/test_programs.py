"""The conformance programs: every field at every boundary; the outsider's executor agrees, and its faults are seen."""

import pytest
from conformance.traces import ours, outsiders, plain

from cimc.bringup.conformance import EXCLUDED, Case, cases
from cimc.bringup.directed import INPUT, begun
from cimc.bringup.plain import by_names
from cimc.command_line import main
from cimc.isa.container import save_program
from cimc.isa.coverage import covered
from cimc.isa.table import BY_NAME, TABLE
from cimc.targets import load_target

TARGETS = ("aon-cim", "hermes-64", "hermes-64-2p", "hermes-64-4p", "hermes-64-tg", "ideal")


@pytest.mark.parametrize("name", ["affine", "argmax", "capture", "poolmax", "poolsum", "readcell", "selftest"])
def test_operands_by_their_names_find_streams_that_fit(name):
    case = Case(name, by_names(BY_NAME[name], begun(load_target("aon-cim").sections())).program(), {"x": INPUT})
    assert ours(case)[-1].split()[4] == "end"


def test_the_command_says_what_programs_cover(tmp_path, capsys):
    case = next(case for case in cases(load_target("aon-cim").sections()) if case.name == "lut")
    save_program(case.program, tmp_path / "lut.cimb")
    assert main(["conformance", "--coverage", str(tmp_path / "lut.cimb")]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["lut"][:3] == ["5", "of", "24"]
    assert rows["div"][:3] == ["0", "of", "43"]


def test_every_field_is_seen_at_every_boundary():
    found = covered(case.program for case in cases(load_target("aon-cim").sections()))
    absent = {
        (spec.name, field.name, value) for spec in TABLE for field, values in found.missing(spec) for value in values
    }
    assert absent == set(EXCLUDED)


@pytest.mark.parametrize("target", ["aon-cim", "ideal"])
def test_programs_end_as_their_names_say(target):
    for case in plain(load_target(target).sections()):
        kind, _, about = case.name.partition(".")
        end = ["trap", about.partition(".")[0]] if kind == "trap" else ["end"]
        last = ours(case)[-1].split()
        assert [last[4], *last[7:8]][: len(end)] == end, case.name


@pytest.mark.parametrize("target", ["aon-cim", "hermes-64-2p", "hermes-64-4p"])
def test_the_outsider_agrees_on_plain_programs_and_rules(target):
    for case in plain(load_target(target).sections()):
        assert outsiders(case) == ours(case), case.name


@pytest.mark.nightly
@pytest.mark.parametrize("target", TARGETS)
def test_the_outsider_agrees_on_everything(target):
    for case in cases(load_target(target).sections()):
        assert outsiders(case) == ours(case), case.name
