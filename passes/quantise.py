"""Quantise activations: a code type for every value, requantisation where codes must agree."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter

from cimc.diagnostics import fail
from cimc.ir.attributes import float_value, float_values, floats, int_values
from cimc.ir.facts import BITS, EXACT, RANGE, WIDE_RANGE
from cimc.ir.functions import FUNCTIONS, compares
from cimc.ir.graph import Graph, only_user, producer
from cimc.ir.location import fused, replace
from cimc.ir.loop import ScanOp, StateOp, YieldOp, readers, retype_results, scan_of
from cimc.ir.nature import Reads, described
from cimc.ir.nn import (
    AffineOp,
    Canonical,
    Computed,
    ConcatOp,
    ConstantOp,
    InputOp,
    Layer,
    MatMulOp,
    MaxPoolOp,
    PadOp,
    QuantiseOp,
    RecodeOp,
    RequantiseOp,
    SelectOp,
    UnaryOp,
)
from cimc.ir.types import CodeType, code_of, code_tensor, integer_type, shape_of
from cimc.passes.casts import align, cast_before
from cimc.passes.chosen import Chosen
from cimc.passes.code_types import (
    BYTE,
    WIDE_BITS,
    code_type,
    input_type,
    mirrored,
    narrowed,
    no_finer,
    whole_type,
    with_value,
)
from cimc.passes.fixed_codes import fixed_code, passes_fixed
from cimc.passes.layer_bits import FULL, is_raised, raised_bits
from cimc.passes.ranges import Ranges
from cimc.passes.shared_codes import root_of
from cimc.passes.windows import places
from cimc.targets import Target

LEAST_BITS = {Reads.WEIGHTS: 13, Reads.TABLE: 12, Reads.NARROW: 0, Reads.INDEX: 0}
"""Bits that readers want where the DAC has fewer: a table is as long as the codes are many, 128 KiB for 16 bits."""


@dataclass(frozen=True)
class Quantise:
    """Give every value codes: `bits` wide, 16 where only outputs and sums read it.

    Without `bits` those that layers of the crossbar read have as many as the target's DAC, others 8 at least.

    States of loops have 16 bits. A reader that takes fewer gets them requantised, as does every function in a loop.

    Two-sided ranges are symmetric. A one-sided range uses all codes, its zero point at the end ("offset"), or only the
    codes of its sign, zero at zero ("positive"). The default, "auto", takes the positive codes for what the crossbar
    reads: zeros then drive no current, which spares the ADC's range and the devices' noise more than the bit is worth.

    `digital_bits` are the bits that the digital unit reads at least, functions and depthwise layers too. A value then
    has the bits of the reader that takes most, and is requantised for the others. 0: a table is kept short.
    Layers of more bits in what is `chosen`, or in stored `ranges`, read inputs of more bits than the DAC, or have such
    weights.
    """

    name: ClassVar[str] = "quantise"
    target: Target
    bits: int = 0
    one_sided: str = "auto"
    digital_bits: int = 0
    ranges: Ranges | None = field(default=None, repr=False)
    chosen: Chosen = field(default_factory=Chosen, repr=False)

    def __call__(self, graph: Graph) -> Graph:
        if self.digital_bits > WIDE_BITS:
            message = f"quantise{{digital_bits}} is {self.digital_bits}"
            raise fail("CIM0305", message, hint=f"codes in memory have at most {WIDE_BITS} bits")
        any_raised = self._note_raised(graph)
        computed = [op for op in graph.operations if isinstance(op, Computed)]
        bits: dict[Operation, int] = {}
        streamed: set[Operation] = set()
        for value in reversed(computed):
            found = readers(value.out)
            wanted = max if self.digital_bits or any_raised else min
            bits[value] = wanted((self._bits_read(user, bits) for user in found), default=self._narrow())
            if any(_is_product(user) or _passes_to(user, streamed) for user in found):
                streamed.add(value)
        carried = self._carried(graph)
        fixed: set[Operation] = set()
        for op in graph.operations:
            if isinstance(op, YieldOp):
                _finish_body(op, carried)
            elif isinstance(op, QuantiseOp):
                fixed.add(_settle(op))
            elif isinstance(op, Canonical):
                self._spare_reader(op, fixed)
                if isinstance(op, UnaryOp):
                    _meet_codes(op, producer(op.x) in fixed)
                code = code_of(op.operands[0]) if passes_fixed(op, fixed) else fixed_code(op)
                if code is not None:
                    fixed.add(op)
                own = code or self._own_code(graph, op, bits[op], self._is_offset(op in streamed))
                _quantise(op, carried.get(op, own))
        return graph

    def _note_raised(self, graph: Graph) -> bool:
        """Write `cim.bits` on every layer that is raised; return whether any is."""
        choice = self.chosen.bits if self.ranges is None else self.ranges.bits
        labelled = {op.label.data: op for op in graph.operations if isinstance(op, Layer) and not op.is_depthwise}
        raised = {label: bits for label, bits in choice.items() if label in labelled and is_raised(bits)}
        for label, bits in raised.items():
            BITS.note(labelled[label], bits)
        return bool(raised)

    def _narrow(self) -> int:
        return self.bits or int(self.target.constants["dac.bits"])

    def _is_offset(self, is_streamed: bool) -> bool:
        return self.one_sided == "offset" or (self.one_sided == "auto" and not is_streamed)

    def _bits_read(self, user: Operation, known: Mapping[Operation, int]) -> int:
        """Return the bits of codes that a reader takes; `known` are those of the values that pass codes on."""
        reads = described(user).reads(scan_of(user) is not None, _only_weighs(user))
        if reads is Reads.PASSED:
            return known.get(user, WIDE_BITS)
        if raised_bits(user)[0] > FULL:
            return WIDE_BITS
        least = 0 if self._is_driven(user) or reads is Reads.INDEX else self._least_digital()
        return WIDE_BITS if reads is Reads.WIDE else max(LEAST_BITS[reads], self._narrow(), least)

    def _is_driven(self, user: Operation) -> bool:
        """Return whether the DACs of an array are driven with what this user reads."""
        return _is_product(user) or (isinstance(user, Layer) and not self.target.constants["digital.depthwise"])

    def _least_digital(self) -> int:
        """Return the bits that the digital unit reads at least: bytes where nothing else is asked for."""
        return max(self.bits or BYTE, self.digital_bits)

    def _carried(self, graph: Graph) -> dict[Operation, CodeType]:
        """Return the codes of every state, and of the operations that can give them to its next and initial value."""
        found: dict[Operation, CodeType] = {}
        for scan in (op for op in graph.operations if isinstance(op, ScanOp)):
            for state, following in zip(scan.states, scan.terminator.next, strict=True):
                ends = _hull(self._range(producer(following), WIDE_BITS), self._range(state, WIDE_BITS))
                found[state] = code_type(*ends, WIDE_BITS, self._is_offset(False))
                computing = producer(following)
                if described(computing).NATURE.writes_any_codes:
                    found.setdefault(computing, found[state])
                if isinstance(state.initial.owner, ConstantOp) and len(readers(state.initial)) == 1:
                    found[state.initial.owner] = found[state]
        return found

    def _spare_reader(self, op: Canonical, fixed: Collection[Operation]) -> None:
        """Requantise operands that have more bits than their reader takes: what a loop carries is read by anything.

        Codes that the model fixes are left to what reads them (passes/dac_range.py).
        """
        if op.NATURE.reads in (Reads.INDEX, Reads.NOTHING):
            return
        most = self._bits_read(op, {})
        for value in dict.fromkeys(op.operands):
            if code_of(value).bits.data > most and producer(value) not in fixed:
                align(op, value, _fewer(value, most, self._is_offset(_is_product(op))))

    def _range(self, op: Operation, bits: int) -> tuple[float, float]:
        """Return the range that codes of so many bits shall have."""
        wide = WIDE_RANGE.get(op) if bits > self._narrow() else None
        return wide or RANGE.of(op)

    def _own_code(self, graph: Graph, op: Canonical, bits: int, offset: bool) -> CodeType:
        """Return the codes for a value's own range; what narrow codes of it would have stays for whoever needs them."""
        low, high = op.known_range or self._range(op, bits)
        if op.known_range or (low, high) == RANGE.of(op):
            RANGE.drop(op)
        WIDE_RANGE.drop(op)
        if isinstance(op, InputOp):
            return input_type(low, high, bits) if op.integers is None else integer_type(int(low), int(high))
        if isinstance(op, AffineOp) and _is_negation(graph, op):
            return mirrored(code_of(op.x))
        code = code_type(low, high, bits, offset)
        if op.is_whole:
            return whole_type(low, high, bits) or code
        if op.is_no_finer:
            return no_finer(code, max(code_of(operand).scale.data for operand in op.operands))
        return code


def _fewer(value: SSAValue, bits: int, offset: bool) -> CodeType:
    """Return codes of fewer bits for a value: for its own range where the codes it has reach further than that."""
    root = root_of(value)
    reach = RANGE.get(root) if isinstance(root, Computed) else None
    return code_type(*reach, bits, offset) if reach else narrowed(code_of(value), bits, offset)


def _meet_codes(op: UnaryOp, exact: bool) -> None:
    """Let a function whose results jump do so at codes where it would at reals; the model's own codes are reals."""
    if exact and FUNCTIONS[op.function.data].jumps is not None:
        EXACT.note(op, True)
    elif not exact and _compares(op):
        _round_number(op)


def _compares(op: UnaryOp) -> bool:
    return compares(op.function.data, float_values(op.parameters))


def _round_number(op: UnaryOp) -> None:
    """Round the number that a comparison compares with as what it compares is rounded: equal values stay equal.

    A number so near zero that it would become zero stays itself: zeros are exact in all codes and differ from it. Whole
    numbers, and codes that the model fixes, are exact too.
    """
    scale, (number, *others) = code_of(op.x).scale.data, float_values(op.parameters)
    steps = round(number / scale)
    if scale != 1.0 and steps:
        op.properties["parameters"] = floats((steps * scale, *others))


def _quantise(op: Canonical, code: CodeType) -> None:
    """Give a value its codes: `code`, or those that its operands force on it."""
    if isinstance(op, StateOp) and code_of(op.initial) != code:
        align(op, op.initial, code)
    if isinstance(op, ConcatOp):
        _align_parts(op, op.parts, code)
    elif isinstance(op, SelectOp):
        _align_parts(op, (op.a, op.b), code)
    elif isinstance(op, PadOp):
        code = _padded(op)
        if code != code_of(op.x):
            align(op, op.x, code)
    elif op.NATURE.keeps_codes:
        code = code_of(op.operands[0])
    elif isinstance(op, RecodeOp) and code_of(op.x) != op.source:
        align(op, op.x, op.source)
    _set_type(op, code)


def _padded(op: PadOp) -> CodeType:
    """Return the operand's codes, with one for the padding; in what only maxima read, the lowest stands for less.

    Raises CimcError CIM0304 where the padding leaves no codes to the data.
    """
    code, value = code_of(op.x), float_value(op.value)
    if value < 0.0 and all(isinstance(user, MaxPoolOp) and _sees_data(user, op) for user in readers(op.out)):
        return code
    wider, reach = with_value(code, value), (code.high.data - code.low.data) * code.scale.data
    if wider.scale.data > reach:
        hint = "pad with a number of the data's size; only in windows of maxima with data in each does any low one do"
        raise fail(
            "CIM0304", f"the padding of value {op.label.data!r} is {value:.3g}, no code is so far out", hint=hint
        )
    return wider


def _sees_data(pool: MaxPoolOp, pad: PadOp) -> bool:
    """Return whether no window of a pool lies in the padding alone."""
    spans = zip(int_values(pad.before), shape_of(pad.out), int_values(pad.after), strict=True)
    *image, channels = [(before, size - after) for before, size, after in spans]
    seen = [(low <= places(pool, axis)) & (places(pool, axis) < high) for axis, (low, high) in enumerate(image)]
    return channels == (0, shape_of(pad.out)[2]) and all(bool(taps.any(axis=1).all()) for taps in seen)


def _settle(op: QuantiseOp) -> Operation:
    """Drop a quantisation to the codes that its operand has already, under its label; else requantise.

    Return the operation that has the codes now.
    """
    before = producer(op.x)
    if code_of(op.x) != op.code:
        cast = RequantiseOp.create(
            operands=[op.x],
            result_types=[code_tensor(shape_of(op.x), op.code)],
            properties={"label": op.label},
            attributes=op.attributes,
        )
        replace(op, [cast])
        return cast
    if isinstance(before, Computed) and not isinstance(before, InputOp) and only_user(op.x) is op:
        before.properties["label"] = op.label
        before.attributes |= op.attributes
        before.location = fused([before.location, op.location])
    elif (reach := RANGE.get(op)) is not None:  # a reader of an input's own codes may need fewer of them
        RANGE.note(before, reach)
    replace(op, [], [op.x])
    return before


def _hull(*ranges: tuple[float, float]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _finish_body(end: YieldOp, carried: Mapping[Operation, CodeType]) -> None:
    """Requantise next values that do not have the codes of their state; give the loop's results their codes."""
    scan = scan_of(end)
    assert scan is not None
    for index, state in enumerate(scan.states):
        if code_of(end.next[index]) != carried[state]:
            end.operands[index] = cast_before(end, end.next[index], carried[state], state.label.data)
    retype_results(scan)


def _is_negation(graph: Graph, op: AffineOp) -> bool:
    scale, bias = (graph.weights.get(ref) for ref in (op.scale, op.bias))
    return op.clamp is None and bool((scale == -1.0).all() and not bias.any())


def _passes_to(user: Operation, chosen: set[Operation]) -> bool:
    """Return whether a user hands the codes on, unchanged, to a value in `chosen`."""
    return described(user).NATURE.hands_codes_on and user in chosen


def _only_weighs(op: Operation) -> bool:
    """Return whether a result, moved, is only multiplied with matrices: the weights of attention."""
    found = [user for result in op.results for user in readers(result)]
    return bool(found) and all(
        isinstance(user, MatMulOp) or (described(user).NATURE.hands_codes_on and _only_weighs(user)) for user in found
    )


def _is_product(user: Operation) -> bool:
    """Return whether the crossbar multiplies what this user reads; depthwise layers count as digital."""
    return isinstance(user, Layer) and not user.is_depthwise


def _set_type(op: Computed, code: CodeType) -> None:
    Rewriter.replace_value_with_new_type(op.out, code_tensor(shape_of(op.out), code))


def _align_parts(op: Computed, parts: Iterable[SSAValue], code: CodeType) -> None:
    for part in dict.fromkeys(parts):
        if code_of(part) != code:
            align(op, part, code)
