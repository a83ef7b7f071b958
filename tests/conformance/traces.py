"""Traces of directed programs: ours and the outsider's."""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

from outsider.executor import Executor
from outsider.program import Program, load

from cimc.bringup.conformance import Case, cases
from cimc.bringup.plain import INSTRUCTIONS
from cimc.bringup.record import SAMPLE
from cimc.bringup.rules import RULES
from cimc.bringup.tracing import Tracing
from cimc.bringup.trapping import TRAPS
from cimc.isa.binary import to_parts


def plain(target: Mapping[str, Any]) -> Iterator[Case]:
    """Yield the plain program of each instruction, those of the rules and those of the traps."""
    return islice(cases(target), len(INSTRUCTIONS) + len(RULES) + len(TRAPS))


def ours(case: Case) -> list[str]:
    """Return our trace, without the line of the sample."""
    codes = {name: array[None] for name, array in case.codes.items()}
    return [line for line in Tracing(case.program).lines(codes) if not line.startswith(SAMPLE)]


def outsiders(case: Case, faults: frozenset[str] = frozenset()) -> list[str]:
    """Return the trace of the outsider's executor with faults switched on."""
    codes = {name: array.ravel().tolist() for name, array in case.codes.items()}
    return Executor(_loaded(b"".join(to_parts(case.program))), faults).run(codes)


@cache
def _loaded(data: bytes) -> Program:
    return load(data)
