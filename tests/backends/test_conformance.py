"""The conformance programs: every field at every boundary; the outsider's executor agrees, and its faults are seen."""

from itertools import islice

import pytest
from outsider.executor import Executor
from outsider.faults import FAULTS
from outsider.program import load

from cimc.backends.bringup.conformance import EXCLUDED, INSTRUCTIONS, RULES, cases
from cimc.backends.bringup.record import SAMPLE
from cimc.backends.bringup.tracing import Tracing
from cimc.command_line import main
from cimc.isa.binary import to_parts
from cimc.isa.container import save_program
from cimc.isa.coverage import covered
from cimc.isa.table import TABLE
from cimc.targets import load_target

TARGETS = ("aon-cim", "hermes-64", "ideal")


def ours(case):
    codes = {name: array[None] for name, array in case.codes.items()}
    return [line for line in Tracing(case.program).lines(codes) if not line.startswith(SAMPLE)]


def outsiders(case, faults=frozenset()):
    codes = {name: array.ravel().tolist() for name, array in case.codes.items()}
    return Executor(load(b"".join(to_parts(case.program))), faults).run(codes)


def test_every_instruction_has_a_plain_program():
    assert set(INSTRUCTIONS) == {spec.name for spec in TABLE}


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


def test_plain_programs_and_rules_end_well():
    for case in islice(cases(load_target("aon-cim").sections()), len(INSTRUCTIONS) + len(RULES)):
        assert ours(case)[-1].split()[4] == "end", case.name


@pytest.mark.parametrize("target", ["aon-cim"])
def test_the_outsider_agrees_on_plain_programs_and_rules(target):
    for case in islice(cases(load_target(target).sections()), len(INSTRUCTIONS) + len(RULES)):
        assert outsiders(case) == ours(case), case.name


@pytest.mark.nightly
@pytest.mark.parametrize("target", TARGETS)
def test_the_outsider_agrees_on_everything(target):
    for case in cases(load_target(target).sections()):
        assert outsiders(case) == ours(case), case.name


def test_every_fault_is_killed():
    made = list(islice(cases(load_target("aon-cim").sections()), len(INSTRUCTIONS) + len(RULES)))
    traces = [outsiders(case) for case in made]
    alive = {
        fault
        for fault in FAULTS
        if all(outsiders(case, frozenset({fault})) == trace for case, trace in zip(made, traces, strict=True))
    }
    assert alive == set()
