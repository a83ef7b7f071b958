"""Every trap of every instruction, as isa.md lists them, is met by a directed program, but for those listed here."""

import pytest
from conformance.traces import ours

from cimc.bringup.conformance import cases
from cimc.bringup.spoiling import SIGNLESS
from cimc.bringup.trapping import TRAPS
from cimc.isa.faults import ALWAYS, traps_of
from cimc.isa.table import TABLE
from cimc.targets import load_target

ALIKE = "the streaming of vectors to blocks is one: capture or mvm shows it"
EXCLUDED = {
    **{(name, "CIM0533"): "noise brings it about" for name in ("calibrate", "mvm", "capture", "selftest")},
    **{("calibrate", code): ALIKE for code in ("CIM0512", "CIM0513", "CIM0514")},
    **{("mvm", code): ALIKE for code in ("CIM0512", "CIM0513", "CIM0514")},
    ("capture", "CIM0514"): "the ends of selftest show it: no array of ours has as many rows",
    ("selftest", "CIM0512"): ALIKE,
    ("mvm", "CIM0515"): "affine shows it: the accumulator is one",
    ("div", "CIM0515"): "affine shows it: the accumulator is one",
    **{(name, "CIM0506"): "its plain program writes no negative value" for name in SIGNLESS},
    ("fill", "CIM0505"): "its output says how many elements there are",
}
"""Instruction and trap -> why no program ends so."""


def end(case):
    """The instruction and the trap that a program ends with, None where it ends with `halt`."""
    last = ours(case)[-1].split()
    instructions = (*case.program.instructions, None)
    return (instructions[int(last[1], 16)], last[7]) if last[4] == "trap" else None


def trapping(target):
    return (case for case in cases(load_target(target).sections()) if case.name.startswith("trap."))


@pytest.mark.parametrize("target", ["aon-cim", pytest.param("hermes-64-4p", marks=pytest.mark.nightly)])
def test_outputs_that_cannot_take_a_result_trap_as_named(target):
    spoiled = [case for case in trapping(target) if case.name not in TRAPS]
    assert len(spoiled) > 80
    for case in spoiled:
        _, code, name = case.name.split(".")
        one, found = end(case)
        assert (one.name, found) == (name, code), case.name


def test_every_code_has_a_program():
    known = {code for spec in TABLE for code in traps_of(spec)} - {code for _, code in EXCLUDED if code == "CIM0533"}
    assert known <= {name.split(".")[1] for name in TRAPS}
    assert ALWAYS == ("CIM0517", "CIM0521")  # the second is an executor's own budget


@pytest.mark.nightly
def test_every_trap_of_every_instruction_is_met():
    ends = [end(case) for case in cases(load_target("aon-cim").sections())]
    met = {(found[0].name, found[1]) for found in ends if found and found[0]}
    assert {(spec.name, code) for spec in TABLE for code in traps_of(spec)} - met == set(EXCLUDED)
