"""Rows that stand several times: a code is spread over rows of the same weights, each driven by a part of it.

A part has the few bits of a short phase, all parts together have `count` times as many levels; sums reach as far on the
ADC as those of so many more bits, where all layers have one gain; and errors of devices average over the rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.rewriter import Rewriter

from cimc.diagnostics import fail
from cimc.ir.attributes import int_value, integer, text
from cimc.ir.facts import ROWS
from cimc.ir.graph import Graph
from cimc.ir.loop import scan_of
from cimc.ir.nn import Canonical, Computed, ConvOp, Layer
from cimc.ir.types import CodeType, code_of, code_tensor, shape_of
from cimc.ir.xbar import AffineOp, ConcatOp, MvmOp
from cimc.passes.chosen import Chosen
from cimc.passes.code_types import BYTE
from cimc.passes.layer_bits import FULL, raised_bits
from cimc.passes.ranges import Ranges
from cimc.passes.requantise import clamp_of, rounding_of
from cimc.passes.room import Alternative, blocks_for, constant_rows_of, first_fitting, matrix_of
from cimc.passes.shared_codes import followers, same_codes
from cimc.targets import Target

COUNTS = (1, 2, 4, 8, 16, 32, 64)
"""How often rows may stand: a part is then a shift of the code."""


@dataclass(frozen=True)
class RowCopies:
    """Let rows of layers whose inputs have fewer than 8 bits stand up to `most` times (a power of two): `cim.rows`.

    The code that such a layer reads is then as many times finer, of 8 bits at most, and spread over the rows. A layer
    takes the phases that it took: its rows stay within a tile's. The packing must have room for the further rows, the
    first layers' first. Layers of groups, in loops or in slices stay as they are. Stored `ranges` win over what is
    `chosen`.
    """

    name: ClassVar[str] = "row-copies"
    target: Target
    ranges: Ranges | None = field(default=None, repr=False)
    most: int = 1
    chosen: Chosen = field(default_factory=Chosen, repr=False)

    def __call__(self, graph: Graph) -> Graph:
        if self.most not in COUNTS:
            hint = f"rows stand {', '.join(map(str, COUNTS))} times at most"
            raise fail("CIM0305", f"row-copies{{most}} is {self.most}", hint=hint)
        layers = [op for op in graph.operations if isinstance(op, Layer) and not op.is_depthwise]
        if self.ranges is None:
            most = {op.label.data: max(self.most, self.chosen.rows.get(op.label.data, 1)) for op in layers}
            _repeat_rows(graph, layers, most, self.target)
        else:
            _repeat_rows(graph, layers, self.ranges.rows, self.target)
            _require_rows(graph, self.ranges.rows)
        return graph


def _repeat_rows(graph: Graph, layers: Sequence[Layer], most: Mapping[str, int], target: Target) -> None:
    """Let rows of layers stand as often as `most` says by label, and make the codes that they read so much finer."""
    read: dict[Canonical, list[Layer]] = {}
    for layer in layers:
        for root in same_codes(layer)[:1]:
            read.setdefault(root, []).append(layer)
    wanted = {
        root: _counts(readers, code_of(root.out), min(most.get(layer.label.data, 1) for layer in readers), target)
        for root, readers in read.items()
    }
    if all(counts == [1] for counts in wanted.values()):
        return
    places = {op: place for place, op in enumerate(graph.operations)}

    def taken(layers: Iterable[Layer], count: int = 1) -> Alternative:
        return {places[layer]: blocks_for(layer, target, count) for layer in layers}

    choices = [[taken(read[root], count) for count in counts] for root, counts in wanted.items()]
    found = first_fitting([*choices, [taken(_others(graph, read, target))]], target)
    for (root, counts), number in zip(wanted.items(), found[:-1], strict=True):
        _stand(root, read[root], counts[number])


def _stand(root: Canonical, readers: Sequence[Layer], count: int) -> None:
    """Let rows of all that read a value stand so often, and make its codes so much finer."""
    finer = _finer(code_of(root.out), count)
    for layer in readers if count > 1 else ():
        ROWS.note(layer, count)
    for one in followers(root):
        Rewriter.replace_value_with_new_type(one.out, code_tensor(shape_of(one.out), finer))


def _others(graph: Graph, read: Mapping[Canonical, Sequence[Layer]], target: Target) -> list[Layer]:
    """Return the layers of the array whose rows cannot stand several times, which need their room anyway.

    Depthwise ones are among them where nothing else computes them; else they take what is left, unless an option of
    im2col puts them on the array.
    """
    known = {layer for readers in read.values() for layer in readers}
    digital = bool(target.constants["digital.depthwise"])
    layers = (op for op in graph.operations if isinstance(op, Layer) and op not in known)
    return [op for op in layers if not (op.is_depthwise and digital)]


def _require_rows(graph: Graph, stored: Mapping[str, int]) -> None:
    """Refuse stored ranges that let rows stand otherwise than they do. Raises CimcError CIM0204."""
    found = {op.label.data: ROWS.get(op) or 1 for op in graph.operations if isinstance(op, Layer)}
    for label, count in stored.items():
        if found.get(label) != count:
            times = f"they stand {found[label]} times" if label in found else "there is no such layer"
            message = f"the ranges let rows of {label!r} stand {count} times: {times}"
            raise fail("CIM0204", message, hint="they belong to another model, target or version")


def _counts(layers: Sequence[Layer], code: CodeType, most: int, target: Target) -> list[int]:
    """Return how often rows of the layers that read a code may stand, most often first, once last."""
    if not target.drives(code.low.data, code.high.data) or not all(map(_may_stand_often, layers)):
        return [1]
    further = [
        count
        for count in reversed(COUNTS[1:])
        if count <= most
        and all(_stays_in_a_tile(layer, count, target) for layer in layers)
        and whole_code(code, count).bits.data <= BYTE
    ]
    return [*further, 1]


def _stays_in_a_tile(layer: Layer, count: int, target: Target) -> bool:
    """Return whether a layer's rows fit into one tile so many times, and its constant row, if it has one, with them."""
    constant = constant_rows_of(layer, target, count) == constant_rows_of(layer, target)
    return constant and matrix_of(layer, target, count)[1] <= target.rows


def _may_stand_often(layer: Layer) -> bool:
    grouped = isinstance(layer, ConvOp) and int_value(layer.group) > 1
    return not grouped and not scan_of(layer) and raised_bits(layer) == (FULL, FULL)


def whole_code(part: CodeType, count: int) -> CodeType:
    """Return the codes that are sums of `count` codes of `part`, worth the same each."""
    low, high = part.low.data * count, part.high.data * count
    return CodeType.of(max(-low, high).bit_length() + 1, low, high, part.zero.data * count, part.scale.data)


def code_read(op: MvmOp) -> CodeType:
    """Return the codes that a product reads: where its rows stand several times, those that are spread over them."""
    count = ROWS.get(op)
    return code_of(op.x) if count is None else whole_code(code_of(op.x), count)


def _finer(code: CodeType, count: int) -> CodeType:
    """Return codes for the same real range that are `count` times as fine: wholes, of which `code` holds the parts."""
    bits, low, high, zero = (one.data for one in (code.bits, code.low, code.high, code.zero))
    return code if count == 1 else whole_code(CodeType.of(bits, low, high, zero, code.scale.data / count), count)


def repeated(taps: NDArray[Any], count: int) -> NDArray[Any]:
    """Return weights [..., channels, outputs] with all channels so many times, one time behind the other."""
    return np.concatenate([taps] * count, axis=-2)


def spread(graph: Graph, op: MvmOp, count: int) -> list[Computed]:
    """Return what spreads a product's input over `count` rows for each of its own, and the product, which changes.

    Part j of code x is floor((x + j) / count): parts add up to x and differ by one at most.
    """
    whole, label, shape = code_of(op.x), op.label.data, shape_of(op.x)
    low, high, zero = (end.data // count for end in (whole.low, whole.high, whole.zero))
    part = CodeType.of(max(-low, high).bit_length() + 1, low, high, zero, whole.scale.data)
    parts = [_part(graph, op, number, count, part) for number in range(count)]
    joined = ConcatOp.create(
        operands=[one.out for one in parts],
        result_types=[code_tensor((*shape[:-1], count * shape[-1]), part)],
        properties={"label": text(f"{label}.parts"), "axis": integer(len(shape) - 1)},
    )
    assert op.weight is not None
    weight = graph.weights.get(op.weight)
    taps = weight.reshape(len(weight), -1, shape[-1], weight.shape[-1])
    stacked = repeated(taps, count).reshape(len(weight), -1, weight.shape[-1])
    op.properties["weight"] = graph.weights.add(f"{label}.rows", stacked)
    op.operands[0] = joined.out
    ROWS.note(op, count)
    return [*parts, joined, op]


def _part(graph: Graph, op: MvmOp, number: int, count: int, code: CodeType) -> AffineOp:
    """Return floor((x + number) / count) as a rounding: the odd numerator is never half way."""
    label = f"{op.label.data}.part{number}"
    numerator, shift = 2 * number + 1 - count, count.bit_length()
    offset = np.array([numerator], np.int64)
    return AffineOp.create(
        operands=[op.x],
        result_types=[code_tensor(shape_of(op.x), code)],
        properties={
            "label": text(label),
            **rounding_of(graph, label, np.array([2], np.int64), offset, shift),
            **clamp_of(code),
        },
    )
