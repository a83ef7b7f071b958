"""What the linter knows of the machine at one step: streams, blocks, written memory, ranges of codes, findings."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

from cimc.isa.byte_runs import Coverage, Run, TooManyRuns, byte_runs, intersect, overlaps_itself, same_elements
from cimc.isa.errors import render
from cimc.isa.program import Instruction, Port, Program
from cimc.isa.region import Region
from cimc.isa.streams import StreamState
from cimc.isa.table import ELEMENT_TYPES

COVERAGE_LIMIT = 1 << 28
"""Bytes of activation memory beyond which the linter does not follow what was written."""


@dataclass(frozen=True)
class Finding:
    """One fault: its code, the instruction (None: the program as a whole), its ONNX nodes, and a sentence."""

    code: str
    index: int | None
    locations: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        place = "program" if self.index is None else f"instruction {self.index}"
        nodes = f" ({', '.join(self.locations)})" if self.locations else ""
        return render(f"error[{self.code}]", self.message, place=place + nodes)


class Codes(NamedTuple):
    """An interval of codes that an element may hold."""

    low: int
    high: int


@dataclass
class State:
    """The linter's machine.

    `index` is the instruction at work, `complete` whether all that happened so far was followed, `kinds` the
    intervals of codes behind the marks in `written` (1: not known), `work` a measure of the time spent.
    """

    program: Program
    index: int | None = None
    complete: bool = True
    streams: dict[int, StreamState] = field(default_factory=dict)
    blocks: dict[int, Region] = field(default_factory=dict)
    kinds: list[Codes | None] = field(default_factory=lambda: [None, None])
    findings: dict[tuple[str, int | None, str], Finding] = field(default_factory=dict)
    written: Coverage | None = None
    work: int = 0

    def __post_init__(self) -> None:
        if self.program.activation_bytes <= COVERAGE_LIMIT:
            self.written = Coverage(self.program.activation_bytes)
        else:
            self.give_up(
                f"activation memory has more than {COVERAGE_LIMIT} bytes: reads before writes were not looked for"
            )
        for port in self.program.inputs:
            run = port_run(port)
            if self.inside(run, "act", f"input {port.name!r}"):
                self._mark([run], Codes(port.low, port.high))

    def report(self, code: str, message: str) -> None:
        """Record a finding at the current instruction, where the first of each code counts, or about the program."""
        locations = () if self.index is None else self.program.locations[self.index]
        key = (code, self.index, message if self.index is None else "")
        self.findings.setdefault(key, Finding(code, self.index, locations, message))

    def give_up(self, message: str) -> None:
        """Record that something was not followed; what depends on it is not reported from then on."""
        self.complete = False
        self.report("CIM0447", message)

    def target(self, section: str, name: str) -> int | None:
        """Return a size from meta["target"]; None where it is not given or unbounded."""
        facts: Any = self.program.meta
        for key in ("target", section, name):
            facts = facts.get(key) if isinstance(facts, Mapping) else None
        return facts if type(facts) is int else None

    def stream(self, at: Instruction, name: str) -> StreamState | None:
        """Return the stream of an operand; report it if it is undefined."""
        stream = self.streams.get(at[name])
        if stream is None:
            self.report(
                "CIM0431", f"{at.name} uses stream s{at[name]} ({name}), which no tensor instruction has defined"
            )
        return stream

    def read(self, at: Instruction, name: str) -> StreamState | None:
        """Return the stream that an operand reads, checked against its memory; None if undefined or outside."""
        stream = self.stream(at, name)
        if stream is None or not self.inside(stream.extent(), stream.space, f"stream s{at[name]} ({name})"):
            return None
        if stream.space == "act":
            self.check_written(self.runs(stream), f"stream s{at[name]} ({name}) reads")
        return stream

    def write(self, at: Instruction, codes: Codes | None, **reads: StreamState | None) -> None:
        """Check and record that `out` takes codes (None: not known) of an instruction that reads `reads`."""
        stream = self.stream(at, "out")
        if stream is None or not self._is_writable(stream):
            return
        if not self.inside(stream.extent(), "act", f"stream s{at['out']} (out)"):
            return
        self._check_once(stream)
        runs = self.runs(stream)
        for name, read in reads.items():
            if read is None or read.space != "act" or same_elements(read, stream):
                continue
            if intersect(self.runs(read), runs):
                self.report(
                    "CIM0442", f"{at.name} writes memory that it reads as {name.rstrip('_')}, at other positions"
                )
        if codes is not None:
            self.check_fits(codes, stream)
        self._mark(runs, codes)

    def inside(self, run: Run, space: str, what: str) -> bool:
        """Return whether bytes lie inside a memory ("act", "const" or "data"); report them if not."""
        program = self.program
        size = {"act": program.activation_bytes, "const": len(program.constants), "data": len(program.conductances)}[
            space
        ]
        if 0 <= run[0] <= run[1] <= size:
            return True
        memory = {"act": "activation memory", "const": "constant memory", "data": "conductance section"}[space]
        self.report("CIM0430", f"{what} touches bytes {run[0]}..{run[1] - 1}, the {memory} has {size}")
        return False

    def runs(self, stream: StreamState) -> list[Run]:
        """Return the bytes that a stream touches; its whole extent, and a finding, where they are too many pieces."""
        try:
            runs = byte_runs(stream)
        except TooManyRuns:
            self.give_up("a stream touches more pieces of memory than the linter follows")
            runs = [stream.extent()]
        self.work += len(runs) + sum(end - start for start, end in runs) // 256
        return runs

    def check_written(self, runs: list[Run], who: str, code: str = "CIM0440") -> None:
        """Report the first byte that nothing has written, if everything was followed so far."""
        gap = self.written.first_gap(runs) if self.written and self.complete else None
        if gap is not None:
            self.report(code, f"{who} activation byte {gap}, which nothing has written")

    def table(self, address: int, size: int, what: str) -> bytes | None:
        """Return `size` bytes of the constants; None, and a finding, where they reach outside."""
        inside = self.inside((address, address + size), "const", what)
        return self.program.constants[address : address + size] if inside else None

    def numbers(self, address: int, count: int, type_name: str, what: str) -> tuple[int, ...]:
        """Return a table of numbers; nothing, and a finding, where it reaches outside the constants."""
        size, signed = ELEMENT_TYPES[type_name]
        data = self.table(address, count * size, what)
        self.work += count // 16
        letter = {1: "b", 2: "h", 4: "i", 8: "q"}[size]
        return () if data is None else struct.unpack(f"<{count}{letter if signed else letter.upper()}", data)

    def codes_of(self, stream: StreamState) -> Codes | None:
        """Return an interval of all codes that are known to be written where the stream reads; None if none are."""
        start, end = stream.extent()
        if stream.space != "act" or self.written is None or not 0 <= start <= end <= self.program.activation_bytes:
            return None
        found = [codes for kind in self.written.kinds(self.runs(stream)) if (codes := self.kinds[kind]) is not None]
        return Codes(min(codes.low for codes in found), max(codes.high for codes in found)) if found else None

    def check_fits(self, codes: Codes, stream: StreamState) -> None:
        """Report codes that the element type of a stream cannot hold."""
        if codes.low <= codes.high and (codes.low < stream.lowest or codes.high > stream.highest):
            self.report(
                "CIM0445",
                f"codes {codes.low}..{codes.high} do not fit {stream.type}, {stream.lowest}..{stream.highest}",
            )

    def _is_writable(self, stream: StreamState) -> bool:
        if stream.space != "act":
            self.report("CIM0444", "the output stream lies in the constants, which are read only")
        elif stream.window:
            self.report("CIM0436", "the output stream has a window, which is read only")
        return stream.space == "act" and stream.window is None

    def _check_once(self, stream: StreamState) -> None:
        try:
            if overlaps_itself(stream):
                self.report("CIM0442", f"shape {stream.shape} with pitch {stream.pitch} writes an element twice")
        except TooManyRuns:
            self.give_up("a stream writes more pieces of memory than the linter follows")

    def _mark(self, runs: list[Run], codes: Codes | None) -> None:
        if self.written is None:
            return
        if codes not in self.kinds and len(self.kinds) < 256:
            self.kinds.append(codes)
        self.written.mark(runs, self.kinds.index(codes, 1) if codes in self.kinds else 1)


def port_run(port: Port) -> Run:
    """Return the bytes of a port in activation memory."""
    return port.base, port.base + prod(port.shape) * ELEMENT_TYPES[port.type][0]
