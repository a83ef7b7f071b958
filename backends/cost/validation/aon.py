"""AON-CiM and the networks of AnalogNets."""

from collections.abc import Sequence

from cimc.backends.cost.counters import Counters
from cimc.backends.cost.estimate import Pricing, charge
from cimc.backends.cost.validation.fit import left_out
from cimc.backends.cost.validation.row import CALIBRATED, PREDICTED, Point, Row
from cimc.backends.cost.waterfall import OPERATIONS, peak, peak_rate
from cimc.targets.target import Target, load_target

TARGETS = {8: "aon-cim", 6: "aon-cim-6b", 4: "aon-cim-4b"}
"""Bits of codes -> target."""
TOPS = {8: 2.02, 6: 7.71, 4: 26.2}
TOPS_PER_W = {8: 13.55, 6: 45.55, 4: 112.44}
PAPER = "arXiv 2111.06503, full text not available: recollected, unverified"
ABSTRACT = "abstract of arXiv 2111.06503: verified"

KWS = ((250, 864, 96), (125, 864, 96), (125, 864, 96), (125, 864, 96))
"""Vectors, rows and columns of the layers of a network of ours of regular 3 x 3 convolutions, 96 channels."""
VWW = ((576, 432, 96), (576, 864, 48), (144, 432, 96), (144, 864, 48), (36, 432, 96))
"""The same with layers of 48 and 96 channels in turn, which fill about a third of a phase."""


THIRD = 1 / 3
"""Within a factor of 1.5, below or above: the narrower of both as a share."""

VISUAL = "of its energy at 4 bits 59 % does not depend on bits, more than arrays and memory of our shapes explain"


def rows() -> tuple[Row, ...]:
    targets = {bits: load_target(name) for bits, name in TARGETS.items()}
    rates = [Point(f"{n} bits", TOPS[n], float(peak_rate(one).value) / 1000) for n, one in targets.items()]
    peaks = [Point(f"{n} bits", TOPS_PER_W[n], float(peak(one).value)) for n, one in targets.items()]
    return (
        Row("AON-CiM", "peak TOPS", PAPER, CALIBRATED, rates, most=0.005, fitted=3),
        Row("AON-CiM", "peak TOPS/W", PAPER, CALIBRATED, peaks, most=0.005, fitted=2),
        Row("AON-CiM", "energy of a phase, leave one out", PAPER, PREDICTED, _others(targets), most=0.015),
        *_networks(targets),
    )


def _others(targets: dict[int, Target]) -> list[Point]:
    """Return the energy of a full phase in pJ, each predicted by the line through the other two."""
    spent = [OPERATIONS * one.rows * one.converters / TOPS_PER_W[bits] for bits, one in targets.items()]
    done = [[float(one.constants["timing.phase"]), 1.0] for one in targets.values()]
    found = left_out(done, spent)
    return [Point(f"{bits} bits", one, ours) for bits, one, ours in zip(targets, spent, found, strict=True)]


def _networks(targets: dict[int, Target]) -> tuple[Row, ...]:
    note = "a network of ours of regular 3 x 3 layers, by their shapes: those of AnalogNets are not public to us"
    published = {"KWS": (KWS, 8.58, 57.39), "VWW": (VWW, 4.37, 25.69)}
    at8, ratios = [], []
    for name, (layers, full, short) in published.items():
        ours = {bits: network(targets[bits], layers) for bits in (8, 4)}
        at8.append(Point(name, full, ours[8]))
        ratios.append(Point(name, short / full, ours[4] / ours[8]))
    ratio = "TOPS/W at 4 bits over 8 bits"
    return (
        Row("AnalogNets", "TOPS/W at 8 bits", ABSTRACT, PREDICTED, at8, most=THIRD, note=note),
        Row("AnalogNets", ratio, ABSTRACT, PREDICTED, ratios[:1], most=0.1, note=note),
        Row("AnalogNets", ratio, ABSTRACT, PREDICTED, ratios[1:], most=0.1, note=note, expected=VISUAL),
    )


def network(target: Target, layers: Sequence[tuple[int, int, int]]) -> float:
    """Return the TOPS/W (chip) of layers of (vectors, rows, columns): array, requantisation, memory by bytes."""
    work = sum((_layer(target, *layer) for layer in layers), Counters())
    return float(OPERATIONS * work.macs / charge(Pricing(target), work).energy_pj.value)


def _layer(target: Target, vectors: int, rows: int, columns: int) -> Counters:
    phases = -(-columns // target.converters)
    product = Counters(
        products=1,
        phases=phases,
        conversions=columns,
        cells=rows * columns,
        macs=rows * columns,
        row_slots=rows * phases,
        act_read=rows,
        act_write=columns,
        requant=columns,
    )
    return product.times(vectors)
