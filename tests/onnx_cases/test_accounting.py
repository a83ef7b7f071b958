"""The account of ONNX's own test cases is kept in cases.txt: held for a sample in every run, for all at night."""

from collections import Counter
from pathlib import Path

import pytest
from onnx_cases.accounting import KINDS, Verdict, account, cases

RECORD = Path(__file__).parent / "cases.txt"
FLOORS = {"node": 906, "pytorch-converted": 66, "pytorch-operator": 28}
"""Cases supported at least: raised when there are more. Two that counted, whose output is constant, were wrong to."""
EVERY = 20
"""Of the cases of each kind, every twentieth is in the sample."""


def recorded() -> dict[str, str]:
    """Return kind/name -> verdict."""
    lines = [line for line in RECORD.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(" ", 1) for line in lines)


def header(verdicts: dict[str, str]) -> list[str]:
    """Return the comment lines with the counts of each kind."""
    found = ["# ONNX's own test cases; what the words mean is in accounting.py. Rewritten by pytest --bless."]
    for kind in KINDS:
        counts = Counter(verdict.split()[0] for name, verdict in verdicts.items() if name.startswith(f"{kind}/"))
        shown = ", ".join(f"{counts[status]} {status}" for status in ("supported", "unsupported", "failed"))
        found.append(f"# {kind}: {sum(counts.values())} cases: {shown}")
    return found


def accounted(every: int) -> dict[str, str]:
    """Return the verdicts on every n-th case of each kind."""
    chosen = {f"{kind}/{name}": case for kind in KINDS for name, case in list(cases(kind).items())[::every]}
    return {name: str(account(case)) for name, case in chosen.items()}


def changes(found: dict[str, str]) -> list[str]:
    known = recorded()
    return [f"{name}: {found[name]}, recorded {known.get(name)}" for name in found if known.get(name) != found[name]]


def rank(verdict: str) -> int:
    return ("failed", "unsupported", "supported").index(verdict.split()[0])


def test_the_header_counts_the_lines_below_it() -> None:
    known = recorded()
    assert RECORD.read_text().splitlines()[: len(KINDS) + 1] == header(known)
    assert list(known) == sorted(known, key=lambda name: (KINDS.index(name.split("/")[0]), name))


@pytest.mark.parametrize("kind", KINDS)
def test_counts_do_not_fall_and_nothing_fails(kind: str) -> None:
    counts = Counter(verdict.split()[0] for name, verdict in recorded().items() if name.startswith(f"{kind}/"))
    assert counts["failed"] == 0
    assert counts["supported"] >= FLOORS[kind]


def test_a_sample_is_no_worse_than_recorded() -> None:
    """What is newly supported waits for the night, where the record must be exact."""
    found, known = accounted(EVERY), recorded()
    worse = [name for name, verdict in found.items() if rank(verdict) < rank(known[name])]
    assert [f"{name}: {found[name]}, recorded {known[name]}" for name in worse] == []


@pytest.mark.nightly
def test_every_case_is_as_recorded(bless: bool) -> None:
    found = accounted(1)
    if bless:
        lines = [*header(found), *(f"{name} {verdict}" for name, verdict in found.items())]
        RECORD.write_text("\n".join(lines) + "\n")
    print("\n".join(header(found)))
    assert changes(found) == []


def test_a_wrong_result_is_not_counted_as_supported() -> None:
    """The account can fail: a case whose expected output is off by a tenth."""
    case = cases("pytorch-operator")["test_operator_concat2"]
    inputs, outputs = case.data_sets[0]
    case.data_sets[0] = (inputs, [array * 1.1 for array in outputs])
    assert account(case).status == "failed"
    assert account(cases("pytorch-operator")["test_operator_concat2"]) == Verdict("supported")
