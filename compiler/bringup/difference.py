"""Two traces held against each other, up to the first record in which they differ."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest

from cimc.backends.machine.traps import Refusal
from cimc.bringup.record import HEAD, LINE, SAMPLE, VECTOR, Head, Prefix, damaged, head_of, record_of

DECIDING = ("program", "target", "isa")
"""Words of a head that must be the same in both traces."""
LAST = ("end", "trap")
"""Spaces of the last record of a sample."""
PART = 1 << 12
"""Lines that are compared at once, as long as they are the same."""
AROUND = 3
"""Records shown before and behind the first that differs."""


@dataclass(frozen=True)
class Entry:
    """A line of a trace, `sample N` or a record, and the lines of vectors before it."""

    line: str
    vectors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """The first entry of a sample in which two traces differ, None where one has no more; `before` is in both."""

    sample: int
    expected: Entry | None
    found: Entry | None
    before: tuple[str, ...]
    expected_behind: tuple[str, ...]
    found_behind: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What was compared: what the heads say otherwise, the records that are equal, the first that is not."""

    notes: tuple[str, ...]
    equal: int
    difference: Difference | None


def compare(expected: Iterable[str], found: Iterable[str]) -> Comparison:
    """Return the first difference of two traces, given as lines.

    Raises Refusal CIM0560 for damage, CIM0561 for another format, CIM0562 for another program, target or instruction
    set.
    """
    ours, theirs = iter(expected), iter(found)
    heads = [head_of([line.rstrip("\n") for line in islice(lines, len(HEAD) + 1)]) for lines in (ours, theirs)]
    notes = tuple(_notes(*heads))
    kept = _common(*heads)
    start = _skipped(ours, theirs) if kept is None else Start(ours, theirs)
    left, right = (_kept(entries(lines, start.is_over), kept) for lines in (start.ours, start.theirs))
    return replace(_first(zip_longest(left, right), start), notes=notes)


@dataclass(frozen=True)
class Start:
    """Where two traces may begin to differ: the lines from there on, and what is known of those before."""

    ours: Iterator[str]
    theirs: Iterator[str]
    equal: int = 0
    sample: int = 0
    before: tuple[str, ...] = ()
    is_over: bool = True


def _skipped(ours: Iterator[str], theirs: Iterator[str]) -> Start:
    """Return where the first part of many lines begins that is not the same in both: what is, is not looked into."""
    equal, sample, before, is_over = 0, 0, deque[str](maxlen=AROUND), True
    while True:
        a, b = list(islice(ours, PART)), list(islice(theirs, PART))
        if a != b or not a or a[-1].startswith(VECTOR):
            return Start(chain(a, ours), chain(b, theirs), equal, sample, tuple(before), is_over)
        begins = [number for number, line in enumerate(a) if line.startswith(SAMPLE)]
        equal += sum(not line.startswith((SAMPLE, VECTOR)) for line in a)
        if begins:
            sample = _sample_of(a[begins[-1]])
            before.clear()
        behind = a[begins[-1] + 1 :] if begins else a
        before.extend(line.rstrip("\n") for line in behind if not line.startswith(VECTOR))
        is_over = not a[-1].startswith(SAMPLE) and record_of(a[-1].rstrip("\n")).prefix.space in LAST


def _sample_of(line: str) -> int:
    """Return the number of a sample's line. Raises Refusal CIM0560."""
    word = line.rstrip("\n").removeprefix(SAMPLE)
    if not _is_hexadecimal(word):
        raise damaged(f"{line[:80]!r} is no sample")
    return int(word, 16)


def _notes(expected: Head, found: Head) -> Iterator[str]:
    """Yield what is another in one of the heads. Raises Refusal CIM0562 where records cannot be compared then."""
    for name in HEAD:
        a, b = expected.facts[name], found.facts[name]
        if a != b and name in DECIDING:
            hint = "trace what the other trace was made of"
            raise Refusal("CIM0562", f"the traces differ in {name}: {a:.16}... and {b:.16}...", hint)
        if a != b:
            yield f"{name} differs: {a:.40} and {b:.40}"


def _common(expected: Head, found: Head) -> frozenset[int] | None:
    """Return the instructions whose records both traces hold, None where both hold the same."""
    filters = [head.facts["only"] for head in (expected, found)]
    if filters[0] == filters[1]:
        return None
    try:
        chosen = [_instructions(text) for text in filters]
    except ValueError:
        raise damaged("its head names no instructions behind `only`") from None
    named = [numbers for numbers in chosen if numbers is not None]
    return frozenset.intersection(*named) if named else None


def _instructions(text: str) -> frozenset[int] | None:
    numbers = text.partition(" ")[0]
    return None if numbers == "-" else frozenset(int(number, 16) for number in numbers.split(","))


def _kept(found: Iterator[Entry], kept: frozenset[int] | None) -> Iterator[Entry]:
    """Yield the entries of chosen instructions, and the samples; `end` counts records, so it is not kept."""
    if kept is None:
        return found
    return (one for one in found if one.line.startswith(SAMPLE) or _is_kept(record_of(one.line).prefix, kept))


def _is_kept(prefix: Prefix, kept: frozenset[int]) -> bool:
    return prefix.index in kept and prefix.space != "end"


def entries(lines: Iterable[str], is_over: bool = True) -> Iterator[Entry]:
    """Yield the samples and records of a trace behind its head. Raises Refusal CIM0560 where it is damaged.

    `is_over` says that a sample is to come first.
    """
    vectors: list[str] = []
    for raw in lines:
        line = raw.rstrip("\n")
        if line.startswith(VECTOR):
            vectors.append(line)
            continue
        is_over = _checked(line, is_over)
        yield Entry(line, tuple(vectors)) if vectors else Entry(line)
        vectors = []
    if not is_over or vectors:
        raise damaged("it ends before the last record of a sample")


def _checked(line: str, is_over: bool) -> bool:
    """Return whether a line ends a sample; `is_over` says that no sample is begun before it. Raises Refusal CIM0560."""
    if line.startswith(SAMPLE):
        if not is_over or not _is_hexadecimal(line.removeprefix(SAMPLE)):
            raise damaged(f"{line[:80]!r} where a record was to come")
        return False
    found = LINE.fullmatch(line)
    if found is None or is_over:
        raise damaged(f"{line[:80]!r} where {'a sample' if is_over else 'a record'} was to come")
    return found["space"] in LAST


def _is_hexadecimal(word: str) -> bool:
    return bool(word) and not set(word) - set("0123456789abcdef")


def _first(pairs: Iterator[tuple[Entry | None, Entry | None]], start: Start) -> Comparison:
    before, sample, equal = deque(start.before, maxlen=AROUND), start.sample, start.equal
    for a, b in pairs:
        if a is None or b is None or a.line != b.line or (a.vectors and b.vectors and a.vectors != b.vectors):
            behind = list(islice(pairs, AROUND))
            after = [tuple(pair[side].line for pair in behind if pair[side]) for side in (0, 1)]  # type: ignore[union-attr]
            return Comparison((), equal, Difference(sample, a, b, tuple(before), *after))
        if a.line.startswith(SAMPLE):
            sample = _sample_of(a.line)
            before.clear()
        else:
            before.append(a.line)
            equal += 1
    return Comparison((), equal, None)
