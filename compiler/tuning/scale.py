"""What can be lowered, and what it costs: what layers read, or their weights, in fewer bits, by the target's prices."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from cimc.diagnostics import fail
from cimc.driving.driver import run_pipeline
from cimc.ir.graph import Graph
from cimc.ir.nn import Layer
from cimc.ir.types import code_of
from cimc.ir.xbar import DepthwiseOp, MvmOp
from cimc.isa.table import TAP_BITS, bytes_of
from cimc.passes.chosen import Chosen
from cimc.passes.costs import Cost, layer_cost
from cimc.passes.layer_bits import FULL
from cimc.passes.mixed_precision import LADDER, Knob
from cimc.passes.pipeline import Setting, bits_budget, parse_pipeline, up_to_pass
from cimc.passes.shared_codes import same_codes
from cimc.passes.weight_mapping import WeightMapping
from cimc.targets import Target
from cimc.tuning.judging import Choice, Judge

UNITS: Mapping[str, Callable[[Cost], float]] = {"ns": lambda cost: cost.time_ns, "nJ": lambda cost: cost.energy_nj}
"""What the array takes for a sample, which the bits of inputs decide."""
BYTES = "bytes"
"""Those of all weights: on the array, and of the taps of the digital unit."""
Product = MvmOp | DepthwiseOp
"""What a layer with weights becomes."""

Levels = Mapping[Knob, int]
"""Bits of everything that can be lowered."""


@dataclass(frozen=True)
class Scale:
    """What can be lowered: the cost of each knob at each of its bits, the layers it is for, and the cost of the rest.

    `limit` is the share of the cost at full bits that is granted; `reach` the factor of a value's range at fewer bits.
    """

    unit: str
    prices: Mapping[Knob, Mapping[int, float]]
    layers: Mapping[Knob, Sequence[str]]
    rest: float
    limit: float
    reach: Mapping[Knob, Mapping[int, float]] = field(default_factory=dict)

    @property
    def full(self) -> Levels:
        return {knob: max(prices) for knob, prices in self.prices.items()}

    @property
    def lowest(self) -> Levels:
        return {knob: min(prices) for knob, prices in self.prices.items()}

    def share(self, levels: Levels) -> float:
        """Return what levels cost, as a share of the cost at full bits."""
        return self._cost(levels) / (self._cost(self.full) or 1.0)

    def fits(self, levels: Levels) -> bool:
        return self.share(levels) <= self.limit

    def choice(self, levels: Levels) -> Choice:
        """Return levels as the bits of layers and factors of ranges, those at full bits left out."""
        found: dict[str, tuple[int, int]] = {}
        reach: dict[str, float] = {}
        for knob, bits in levels.items():
            if bits < max(self.prices[knob]):
                pair = (FULL, bits) if knob.weights else (bits, FULL)
                found |= dict.fromkeys(self.layers[knob], pair)
                if bits in self.reach.get(knob, {}):
                    reach[knob.label] = self.reach[knob][bits]
        return Choice(beside=Chosen(found, reach))

    def _cost(self, levels: Levels) -> float:
        return self.rest + sum(self.prices[knob][bits] for knob, bits in levels.items())


def scale_of(judge: Judge, unit: str, limit: float) -> Scale:
    """Return what can be lowered within a share of the cost.

    Raises CimcError CIM0003 where no bits meet it, a layer has no product of its own, or bits are lowered otherwise.
    """
    _require_open(judge, unit)
    compiled = judge.compiled(Choice()).graph
    products = {op.label.data: op for op in compiled.operations if isinstance(op, Product)}
    mapped = _mapped(judge)
    layers = _weights(mapped, products) if unit == BYTES else _inputs(mapped)
    _require_products(layers, products)
    target = judge.request.target
    prices = {knob: _prices(target, unit, [products[one] for one in labels]) for knob, labels in layers.items()}
    counted = {label for labels in layers.values() for label in labels}
    rest = sum(_cost(target, unit, op, None) for label, op in products.items() if label not in counted)
    scale = Scale(unit, prices, layers, rest, limit)
    if not scale.fits(scale.lowest):
        least = f"{100 * scale.share(scale.lowest):.1f} % of the {unit} that all bits take"
        raise fail(
            "CIM0003", f"the fewest bits still take {least}", hint=f"ask for that much, or more: --within {unit}="
        )
    return scale


def _mapped(judge: Judge) -> Graph:
    """Return the graph with the layers that get bits: of columns, slices or offsets, where weights are mapped so."""
    request = judge.request
    return run_pipeline(judge.graph.copy(), replace(request, pipeline=up_to_pass(request.pipeline, "weight-mapping")))


def _require_open(judge: Judge, unit: str) -> None:
    """Refuse a pipeline that lowers bits by itself, and slices, of which none holds the bits that `bytes` counts."""
    budget = bits_budget(judge.request.pipeline, judge.request.target)
    if budget > 0.0:
        found = f"mixed-precision{{budget={budget:g}}} chooses bits, and so does --within"
        raise fail("CIM0003", found, hint="leave out one of them")
    for one in parse_pipeline(judge.request.pipeline, Setting(judge.request.target)):
        if isinstance(one, WeightMapping) and one.weights == "sliced" and unit == BYTES:
            found = "--within bytes counts whole weights, and weight-mapping{weights=sliced} holds their digits apart"
            raise fail("CIM0003", found, hint="ask for ns or nJ")


def _require_products(layers: Mapping[Knob, Sequence[str]], products: Container[str]) -> None:
    """Refuse layers that are not one product on the array, as those of quantised models: no bits have a price."""
    for label in (label for labels in layers.values() for label in labels):
        if label not in products:
            found = f"layer {label!r} is no product of its own on the array: its bits have no price"
            raise fail("CIM0003", found, hint="tune the float model")


def _inputs(graph: Graph) -> dict[Knob, list[str]]:
    """Return the values that layers read and the layers that read each, those left out whose codes are tied."""
    found: dict[Knob, list[str]] = {}
    for layer in _layers(graph):
        for root in same_codes(layer)[:1]:
            found.setdefault(Knob(root.label.data, False), []).append(layer.label.data)
    return found


def _weights(graph: Graph, products: Mapping[str, Product]) -> dict[Knob, list[str]]:
    """Return the layers whose weights can be lowered: those of the array, and those of the digital unit."""
    layers = (op for op in graph.operations if isinstance(op, Layer))
    lowered = (op for op in layers if not op.is_depthwise or isinstance(products.get(op.label.data), DepthwiseOp))
    return {Knob(op.label.data, True): [op.label.data] for op in lowered}


def _layers(graph: Graph) -> list[Layer]:
    return [op for op in graph.operations if isinstance(op, Layer) and not op.is_depthwise]


def _prices(target: Target, unit: str, products: Sequence[Product]) -> dict[int, float]:
    """Return the cost of layers at full bits and at each of the fewer ones that cost less than the one before."""
    full = FULL if unit == BYTES else min(code_of(op.x).bits.data for op in products)
    found: dict[int, float] = {}
    for bits in (full, *(rung for rung in LADDER if rung < full)):
        cost = sum(_cost(target, unit, op, bits) for op in products)
        if cost < min(found.values(), default=float("inf")):
            found[bits] = cost
    return found


def _cost(target: Target, unit: str, op: Product, bits: int | None) -> float:
    """Return what a product costs with codes or weights of so many bits: the digital unit has bytes alone."""
    if isinstance(op, DepthwiseOp):
        return held_in_bytes(op, bits or FULL) if unit == BYTES else 0.0
    return prod(op.matrix) * (bits or FULL) / 8 if unit == BYTES else UNITS[unit](layer_cost(target, op, bits=bits))


def held_in_bytes(op: DepthwiseOp, bits: int) -> int:
    """Return the bytes of constant memory that the taps of the digital unit take."""
    width = min(held for held in TAP_BITS.values() if held >= bits)
    return bytes_of(int(prod(op.weights.dims)) * width)
