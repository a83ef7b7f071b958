"""A difference of two traces in the program's own terms: instruction, layer, place in its tensor, and every number."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import zip_longest

from cimc.backends.machine.facts import Machine, machine
from cimc.backends.noise.sources import Noise
from cimc.bringup.difference import Difference, Entry, entries
from cimc.bringup.record import SAMPLE, Record, record_of
from cimc.bringup.tracing import Codes, Tracing
from cimc.bringup.vectors import FIELDS, Vector, digits_of, vector_of
from cimc.bringup.watching import Wanted
from cimc.isa.disassemble import render_instruction
from cimc.isa.program import Program
from cimc.isa.streams import StreamState
from cimc.isa.writes import TensorWrite, streams_written, writes_of

SHOWN = 12
"""Numbers of a vector that are shown."""


def parts_that_differ(expected: Entry | None, found: Entry | None) -> Iterator[str]:
    """Yield a line for each part of a record that is another in the other trace."""
    lines = [entry.line if entry else "(the trace ends)" for entry in (expected, found)]
    yield f"  expected  {lines[0]}"
    yield f"  found     {lines[1]}"
    if expected and found and not any(line.startswith(SAMPLE) for line in lines):
        a, b = (_parts(record_of(line)) for line in lines)
        yield from (f"  {name}: expected {a[name]}, found {b[name]}" for name in a if a[name] != b[name])


def _parts(record: Record) -> dict[str, str]:
    numbers = {name: _shown(value) for name, value in asdict(record.prefix).items()}
    return {**numbers, "crc": record.crc, "clips": record.clips}


def _shown(value: object) -> str:
    return f"{value} (0x{value:x})" if isinstance(value, int) else str(value)


@dataclass(frozen=True)
class Explainer:
    """Says what a program's records are about; with `codes`, those of samples `first` onwards, every number as well."""

    program: Program
    codes: Codes | None = None
    first: int = 0
    noise: Noise | None = None

    def lines(self, difference: Difference) -> Iterator[str]:
        """Yield what the program knows about the first record that differs."""
        at = difference.expected or difference.found
        if at is None or at.line.startswith(SAMPLE):
            return
        record = record_of(at.line)
        index = record.prefix.index
        if index >= len(self.program.instructions):
            return
        layer = self.program.layer_at(index)
        nodes = f", ONNX node {', '.join(layer.nodes)}" if layer else ""
        yield f"  instruction {index}, layer {self.program.layer_name(index)}{nodes}"
        yield f"    {render_instruction(self.program.instructions[index])}"
        ours = self._recomputed(difference.sample, record) or difference.expected
        yield from self._inside(index, ours, difference.found)

    def _inside(self, index: int, ours: Entry | None, theirs: Entry | None) -> Iterator[str]:
        """Yield what the vectors of both sides say, or which of them are missing."""
        if ours and theirs and ours.vectors and theirs.vectors:
            yield from self._vectors(index, ours.vectors, theirs.vectors)
        elif self.program.instructions[index].spec.streams_blocks:
            missing = (
                "give --input, what both ran on" if theirs and theirs.vectors else "write its vectors there as well"
            )
            yield f"    to see inside: {missing} (`cimc trace --vectors {index}` shows their lines)"

    def _recomputed(self, sample: int, record: Record) -> Entry | None:
        """Return our own entry of a record, with its vectors; None where the sample is not given."""
        at = sample - self.first
        if self.codes is None or not 0 <= at < len(next(iter(self.codes.values()))):
            return None
        chosen = frozenset({record.prefix.index})
        one = {name: array[at : at + 1] for name, array in self.codes.items()}
        traced = Tracing(self.program, self.noise, Wanted(vectors=chosen, only=chosen)).lines(one, sample)
        records = (entry for entry in entries(traced) if not entry.line.startswith(SAMPLE))
        return next((one for one in records if record_of(one.line).prefix.moment == record.prefix.moment), None)

    def _vectors(self, index: int, ours: tuple[str, ...], theirs: tuple[str, ...]) -> Iterator[str]:
        """Yield the first number that differs, with what it was made of."""
        for expected, found in zip_longest(ours, theirs):
            if expected is None or found is None:
                yield f"    the vectors of one side end: {len(ours)} lines expected, {len(theirs)} found"
                return
            if expected != found:
                yield from self._vector(index, self._read(index, expected), self._read(index, found))
                return
        yield "    the vectors of both sides are equal"

    def _read(self, index: int, line: str) -> Vector:
        written = self._streams.get(index)
        return vector_of(line, digits_of(self._machine), 2 * written.size if written else 1)

    def _vector(self, index: int, expected: Vector, found: Vector) -> Iterator[str]:
        if (expected.block, expected.number) != (found.block, found.number):
            wanted, given = (f"vector {one.number} of block {one.block}" for one in (expected, found))
            yield f"    {wanted} expected, {given} found"
            return
        for name, values in expected.fields.items():
            pairs = list(zip_longest(values, found.fields[name]))
            for at, (a, b) in enumerate(pairs):
                if a != b:
                    yield f"    {self._place(index, expected, name, at)}: {name} expected {a}, found {b}"
                    yield from _behind(expected, found, at)
                    return

    def _place(self, index: int, vector: Vector, name: str, at: int) -> str:
        """Return where a number of a vector lies: row or column of its block, and the element of the tensor."""
        block = "" if vector.block is None else f", block {vector.block}"
        if name == FIELDS[0]:
            return f"vector {vector.number}{block}, row {at}"
        return f"vector {vector.number}{block}, column {at}{self._element(index, vector.number, at)}"

    def _element(self, index: int, number: int, at: int) -> str:
        """Return the place of an output in the layer's tensor, empty where the program does not say."""
        write, out = self._writes.get(index), self._streams.get(index)
        if write is None or out is None:
            return ""
        flat = write.start + sum(i * pitch for i, pitch in zip(_unravelled(out, number, at), write.pitch, strict=True))
        row, rest = divmod(flat, max(write.pitch[1], 1)) if write.shape[1] > 1 else (0, flat)
        column, channel = divmod(rest, max(write.pitch[2], 1)) if write.shape[2] > 1 else (0, rest)
        return f" (channel {channel}, row {row}, column {column} of {write.tensor})"

    @cached_property
    def _machine(self) -> Machine:
        return machine(self.program.meta)

    @cached_property
    def _streams(self) -> Mapping[int, StreamState]:
        return streams_written(self.program)

    @cached_property
    def _writes(self) -> Mapping[int, TensorWrite]:
        return writes_of(self.program)


def _unravelled(out: StreamState, number: int, at: int) -> tuple[int, int, int, int]:
    rest, c = divmod(number, out.shape[2])
    a, b = divmod(rest, out.shape[1])
    return a, b, c, at


def _behind(expected: Vector, found: Vector, at: int) -> Iterator[str]:
    """Yield the numbers that a code was made of."""
    if expected.block is None:
        return
    sums = [vector.fields["sum"] for vector in (expected, found)]
    codes = [vector.fields["ADC code"] for vector in (expected, found)]
    if at < min(map(len, sums)):
        yield f"      sum expected {sums[0][at]}, found {sums[1][at]}"
        yield f"      ADC code expected {codes[0][at]}, found {codes[1][at]}"
    inputs = expected.fields["DAC code"]
    yield f"      DAC codes {' '.join(map(str, inputs[:SHOWN]))}{' ...' if len(inputs) > SHOWN else ''}"
