"""What is wrong with the devices of a tile: dead lines, swapped pairs, stuck devices, another age, bad programming.

Each explanation is weighed by the logarithm of its likelihood over that of healthy devices, and by how rare it is. A
dead row is weighed over the whole row, an age over the whole tile, all others over a column.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cimc.backends.silicon.expected_devices import Expected
from cimc.backends.silicon.tile_evidence import WIDER, Flags, Reals, TileEvidence

RARE = -math.log(1e6)
"""Weight of a fault against health before anything was read: about one column in a million has one."""
LEAST = 12.0
"""A fault is told where it is e^12 times likelier than health, its rarity included."""
LEAST_OF_DEVICE = 5.0
"""The same of a single stuck device, behind which the share of those stands already."""
TELLING = 1 / 8
"""Share of the highest target from which on devices tell how old a tile is."""
AGAINST = 0.1
"""Share of the evidence for a whole column that may speak against it."""
SURE_OF_MEAN = 0.003
"""How well the mean of many devices is known, as a share: the law of the profile is not known better."""
HEALTHY = "healthy"


@dataclass(frozen=True)
class Fault:
    """A fault: its kind and place, the columns and cells [rows, columns] that it concerns, and its weight in nats.

    `others` holds the weights of the other explanations of the same readings; health weighs 0.
    """

    kind: str
    place: str
    columns: tuple[int, ...]
    weight: float
    others: Mapping[str, float] = field(default_factory=dict)
    cells: Flags | None = None

    @property
    def second(self) -> tuple[str, float]:
        """The likeliest other explanation, and its weight."""
        return max([(HEALTHY, 0.0), *self.others.items()], key=lambda one: one[1])

    @property
    def confidence(self) -> float:
        """The probability of this explanation among all that were weighed."""
        return 1 / (1 + sum(math.exp(min(one - self.weight, 0)) for one in (0.0, *self.others.values())))


def device_faults(evidence: TileEvidence, ages: Mapping[int, Expected]) -> Iterator[Fault]:
    """Yield the faults of a tile's devices: each looks at what those before it leave unexplained."""
    explained = np.zeros(evidence.read.shape[2:], bool)
    for find in (_rows, _columns, _cells, _stuck):
        for fault in find(evidence, explained.copy()):
            assert fault.cells is not None
            explained |= fault.cells
            yield fault
    age = _age(evidence, explained, ages)
    yield from [age] if age else _programming(evidence, explained)


def _rows(evidence: TileEvidence, explained: Flags) -> Iterator[Fault]:
    """Yield the rows that conduct nothing."""
    weights = _gain(evidence, evidence.dead, explained).sum(axis=1) + RARE
    stuck = _gain(evidence, evidence.stuck, explained).sum(axis=1)
    written = np.asarray(evidence.written.any(axis=(0, 1)))
    for row in np.flatnonzero((weights > LEAST) & (weights > stuck)):
        columns = tuple(evidence.columns[written[row]].tolist())
        others = {"stuck devices": float(stuck[row])}
        yield Fault(
            "dead row", f"row {evidence.rows[row]}", columns, float(weights[row]), others, _marked(explained, row)
        )


def _columns(evidence: TileEvidence, explained: Flags) -> Iterator[Fault]:
    """Yield the columns that conduct nothing, or whose sides have changed places."""
    weights = _column_weights(evidence, explained)
    swapped = _gain(evidence, evidence.swapped, explained)
    most = -np.minimum(swapped, 0).sum(axis=0) < AGAINST * np.maximum(swapped, 0).sum(axis=0)
    for kind, possible in (("dead column", np.ones_like(most)), ("swapped pair", most)):
        others = [values for name, values in weights.items() if name != kind]
        likeliest = weights[kind] > np.maximum(LEAST, np.max(others, axis=0))
        for column in np.flatnonzero(likeliest & possible):
            cells = _marked(explained, slice(None), column)
            number = int(evidence.columns[column])
            yield Fault(kind, f"column {number}", (number,), *_weighed(weights, kind, column), cells)


def _column_weights(evidence: TileEvidence, explained: Flags) -> dict[str, Reals]:
    """Return the weights [columns] of what may be wrong with columns, by kind."""
    wider = [_gain(evidence, each, explained).sum(axis=0) for each in evidence.wider]
    return {
        "dead column": _gain(evidence, evidence.dead, explained).sum(axis=0) + RARE,
        "swapped pair": _gain(evidence, evidence.swapped, explained).sum(axis=0) + RARE,
        "stuck devices": _gain(evidence, evidence.stuck, explained).sum(axis=0),
        "programming": np.max(wider, axis=0) + RARE - math.log(len(WIDER)),
    }


def _weighed(weights: Mapping[str, Reals], kind: str, column: np.integer[Any]) -> tuple[float, dict[str, float]]:
    """Return the weight of one kind of fault in a column, and those of the others by kind."""
    each = {name: float(values[column]) for name, values in weights.items()}
    return each.pop(kind), each


def _cells(evidence: TileEvidence, explained: Flags) -> Iterator[Fault]:
    """Yield single cells whose sides have changed places."""
    weights = _gain(evidence, evidence.swapped, explained) + RARE
    stuck = _gain(evidence, evidence.stuck, explained)
    for row, column in np.argwhere((weights > LEAST) & (weights > stuck)):
        number, others = int(evidence.columns[column]), {"stuck devices": float(stuck[row, column])}
        place, cells = f"row {evidence.rows[row]}, column {number}", _marked(explained, row, column)
        yield Fault("swapped pair", place, (number,), float(weights[row, column]), others, cells)


def _stuck(evidence: TileEvidence, explained: Flags) -> Iterator[Fault]:
    """Yield, column by column, the devices that are stuck, unless bad programming explains the column better."""
    weights = _column_weights(evidence, explained)
    found = np.where(explained, 0, evidence.stuck - evidence.healthy) > LEAST_OF_DEVICE
    likelier = weights["stuck devices"] > weights["programming"]
    for column in np.flatnonzero(found.any(axis=(0, 1, 2)) & likelier):
        number, places = int(evidence.columns[column]), np.argwhere(found[..., column]).tolist()
        devices = ", ".join(_device(pair, side, int(evidence.rows[row])) for pair, side, row in places)
        cells = np.zeros_like(explained)
        cells[:, column] = found[..., column].any(axis=(0, 1))
        place = f"column {number}: {devices}"
        yield Fault("stuck devices", place, (number,), *_weighed(weights, "stuck devices", column), cells)


def _device(pair: int, side: int, row: int) -> str:
    return f"row {row} {('plus', 'minus')[side]}{f' of pair {pair}' if pair else ''}"


def _age(evidence: TileEvidence, explained: Flags, ages: Mapping[int, Expected]) -> Fault | None:
    """Return the fault of a tile that is of another age, None where its own is likelier.

    Judged by how much less, or more, the devices of large targets conduct together than they should.
    """
    telling = evidence.written & ~explained & (evidence.targets > TELLING * evidence.full)
    if not telling.any() or not ages:
        return None
    law, targets = evidence.law, evidence.targets[telling]
    precision = law.mean[targets] / np.square(law.deviation[targets])
    whole = float((precision * law.mean[targets]).sum())
    spread = math.hypot(1 / math.sqrt(whole), SURE_OF_MEAN)
    share = float((precision * evidence.read[telling]).sum()) / whole
    distances = {s: share - float((precision * one.mean[targets]).sum()) / whole for s, one in ages.items()}
    weights = {s: (np.square((share - 1) / spread) - np.square(d / spread)) / 2 for s, d in distances.items()}
    seconds = max(weights, key=lambda one: weights[one])
    weight = float(weights[seconds]) + RARE - math.log(len(ages))
    others = {"programming": float(np.maximum(_column_weights(evidence, explained)["programming"], 0).sum())}
    columns = tuple(evidence.columns.tolist())
    found = Fault("drift", f"conducts as after {seconds} s, {share:.3f} of what it should", columns, weight, others)
    return found if weight > max(LEAST, others["programming"]) else None


def _programming(evidence: TileEvidence, explained: Flags) -> Iterator[Fault]:
    """Yield the columns whose devices are spread more than the profile says."""
    weights = _column_weights(evidence, explained)
    for column in np.flatnonzero(weights["programming"] > LEAST):
        number = int(evidence.columns[column])
        yield Fault("programming", f"column {number}", (number,), *_weighed(weights, "programming", column))


def _gain(evidence: TileEvidence, likelihood: Reals, explained: Flags) -> Reals:
    """Return by how much an explanation is likelier than health [rows, columns], 0 where a cell is explained."""
    found: Reals = np.where(explained, 0, (likelihood - evidence.healthy).sum(axis=(0, 1)))
    return found


def _marked(like: Flags, *place: object) -> Flags:
    """Return the cells [rows, columns] of one place."""
    cells = np.zeros_like(like)
    cells[place] = True  # type: ignore[index]
    return cells
