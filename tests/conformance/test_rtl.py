"""The sequencer of samples/cosim executes the directed programs that it can, which kill each broken variant of it."""

import shutil
import subprocess

import pytest
from conformance import faults
from conformance.rtl import FAULTS, Rtl, fits, is_served, parameters, script
from conformance.traces import ours, plain

from cimc.bringup.conformance import cases
from cimc.targets import built_in_names, load_target

NAMED = "aon-cim"
SERVED = ("aon-cim-2p", "aon-cim-2r", "aon-cim-2s", "aon-cim-4b", "aon-cim-6b", "hermes-64", "hermes-64-tg")
UNSEEN: dict[str, str] = {}
"""Faults that no program shows on the targets that the sequencer serves, and why: there is none."""


@pytest.fixture
def built(tmp_path):
    """A function from a target's sections and a simulator to the sequencer as a chip of it."""

    def build(sections, simulator="icarus"):
        tool = {"icarus": "iverilog", "verilator": "verilator"}[simulator]
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed here")
        cosim = script()
        cosim.write_package(tmp_path)
        return Rtl(tmp_path, cosim.build(tmp_path, simulator, parameters(sections)))

    return build


def require_killed(sections, rtl):
    """Fail unless the plain programs' traces are ours, and each fault changes one, but for those that none shows."""
    made = [case for case in plain(sections) if fits(case)]
    traces = rtl.traces(made, max(FAULTS.values()))
    assert {case.name: found for case, found in zip(made, traces[0], strict=True)} == {
        case.name: ours(case) for case in made
    }
    assert {fault for fault, number in FAULTS.items() if traces[number] == traces[0]} == set(UNSEEN)


def test_its_faults_are_among_the_named():
    assert set(FAULTS) <= set(faults.FAULTS)
    assert sorted(FAULTS.values()) == list(range(1, 16))


def test_the_targets_it_serves():
    assert {name for name in built_in_names() if is_served(load_target(name).sections())} == {NAMED, *SERVED}


@pytest.mark.parametrize("target", [NAMED, *(pytest.param(name, marks=pytest.mark.nightly) for name in SERVED)])
def test_directed_programs_kill_its_faults(built, target):
    sections = load_target(target).sections()
    require_killed(sections, built(sections))


def has_verilator() -> bool:
    """Say whether Verilator is here that knows delays: from version 5 on."""
    if not shutil.which("verilator"):
        return False
    said = subprocess.run(["verilator", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split()[1].partition(".")[0]) >= 5


@pytest.mark.skipif(not has_verilator(), reason="verilator 5 is not installed here")
def test_verilator_takes_the_sequencer(tmp_path):
    """What it says of the programs is asked by night: it builds for a minute."""
    cosim = script()
    cosim.write_package(tmp_path)
    sources = [str(tmp_path / "cimc_isa.sv"), str(cosim.HERE / "sequencer.sv")]
    subprocess.run(["verilator", "--lint-only", "--timing", "-Wno-lint", *sources], check=True, capture_output=True)


@pytest.mark.nightly
def test_verilator_says_the_same(built):
    sections = load_target(NAMED).sections()
    require_killed(sections, built(sections, "verilator"))


@pytest.mark.nightly
@pytest.mark.parametrize("target", [NAMED, "hermes-64"])
def test_every_field_of_its_instructions(built, target):
    sections = load_target(target).sections()
    made = [case for case in cases(sections) if fits(case)]
    assert len(made) > 100
    traces = built(sections).traces(made, 0)[0]
    assert [case.name for case, found in zip(made, traces, strict=True) if found != ours(case)] == []
