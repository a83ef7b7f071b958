"""The directed programs kill every fault of the outsider's executor, but for those that a target cannot show."""

import pytest
from conformance.faults import FAULTS, unseen
from conformance.traces import outsiders, plain

from cimc.targets import load_target

NIGHTLY = (
    "aon-cim-2p",
    "aon-cim-2r",
    "aon-cim-2s",
    "aon-cim-4b",
    "aon-cim-6b",
    "hermes-64",
    "hermes-64-2p",
    "hermes-64-4ptg",
    "hermes-64-tg",
    "ideal",
)


def is_killed(fault, made, traces):
    return any(outsiders(case, frozenset({fault})) != trace for case, trace in zip(made, traces, strict=True))


def test_there_are_enough_faults():
    assert len(FAULTS) == len(set(FAULTS)) >= 40


@pytest.mark.parametrize(
    "target", ["aon-cim", "hermes-64-4p", *(pytest.param(name, marks=pytest.mark.nightly) for name in NIGHTLY)]
)
def test_alive_is_what_the_target_cannot_show(target):
    sections = load_target(target).sections()
    made = list(plain(sections))
    traces = [outsiders(case) for case in made]
    assert {fault for fault in FAULTS if not is_killed(fault, made, traces)} == set(unseen(sections))
