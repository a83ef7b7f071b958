"""What a layer's array sums do on data, and the shares of noise that follow, against sums written out in doubles."""

import math
from itertools import pairwise

import numpy as np
import pytest
from targets.stages import Array, chip, layers, lowered, normal, perceptron

from cimc.ir.attributes import int_values
from cimc.ir.facts import APART
from cimc.ir.types import code_of
from cimc.ir.xbar import MvmOp
from cimc.isa.phases import READ_PHASES
from cimc.passes.column_ranges import DeviceError, Statistics, _spread

FULL, ADC_HIGH, SCALE = 508, 127, 90000.0
ERROR = DeviceError(3.0, 0.5)


@pytest.fixture(scope="module")
def layer() -> tuple[MvmOp, Array]:
    """A layer of 30 rows in two blocks and 10 columns, whose input has a zero point, and its real weights."""
    options = {"calibrate": "inputs=full", "quantise": "one_sided=offset"}
    target = chip(array__tiles=30, array__rows=16, array__columns=6)
    graph = lowered(perceptron(30, 10, 4), {"x": np.abs(normal(20, 30))}, "split", target, **options)
    op = layers(graph)[0]
    return op, graph.weights.get(op.weight)


def vectors(count: int = 40) -> Array:
    return np.random.default_rng(0).integers(-127, 128, (count, 30)).astype(np.float32)


def collected(layer: tuple[MvmOp, Array], phases: int = 1, shared: bool = False) -> Statistics:
    """Return what is known of the layer after two helpings of vectors."""
    found = Statistics(*layer, FULL, shared, READ_PHASES[phases])
    found.add(vectors()[np.newaxis, :25])
    found.add(vectors()[np.newaxis, 25:])
    return found


def blocks(layer: tuple[MvmOp, Array], shared: bool = False) -> list[tuple[Array, Array, Array]]:
    """Return the codes, the conductances at full range and the real worth of one unit of each block."""
    op, weight = layer
    found = []
    for a, b in pairwise(int_values(op.row_cuts)):
        part = weight[0, a:b].astype(np.float64)
        step = np.abs(part).max(axis=0) / FULL
        step = np.full_like(step, step.max()) if shared else step
        found.append((vectors()[:, a:b].astype(np.float64), np.rint(part / step), step))
    return found


def signal(layer: tuple[MvmOp, Array]) -> float:
    """Return the variance of the layer's real result, over vectors, summed over columns."""
    zero = code_of(layer[0].x).zero.data
    assert zero != 0
    return float(sum((x - zero) @ matrix * step for x, matrix, step in blocks(layer)).var(axis=0).sum())


def read(x: Array, matrix: Array, phases: int) -> list[Array]:
    """Return the sums that are converted one by one."""
    signs = [np.maximum(x, 0), np.maximum(-x, 0)]
    sides = [np.maximum(matrix, 0), np.maximum(-matrix, 0)]
    return {1: [x @ matrix], 2: [s @ matrix for s in signs], 4: [s @ g for s in signs for g in sides]}[phases]


@pytest.mark.parametrize("phases", [1, 2, 4])
def test_the_largest_sums_and_their_spread(layer: tuple[MvmOp, Array], phases: int) -> None:
    found = collected(layer, phases)
    for number, (x, matrix, _) in enumerate(blocks(layer)):
        sums = np.abs(read(x, matrix, phases))
        np.testing.assert_array_equal(found.largest[0, number], sums.max(axis=(0, 1)))
        spread = (sums.mean(axis=1) + 2.5 * sums.std(axis=1)).max(axis=0)
        np.testing.assert_allclose(found.spread(2.5)[0, number], spread, rtol=1e-6)


@pytest.mark.parametrize("phases", [1, 2, 4])
def test_what_a_full_scale_costs(layer: tuple[MvmOp, Array], phases: int) -> None:
    found, zero = collected(layer, phases), code_of(layer[0].x).zero.data
    converter = conductance = 0.0
    for x, matrix, step in blocks(layer):
        largest = np.max([np.abs(sums).max(axis=0) for sums in read(x, matrix, phases)], axis=0)
        factor = np.minimum(1.0, SCALE / largest)
        assert phases == 4 or factor.min() < 1.0
        converter += phases * float(np.square(SCALE / ADC_HIGH * step / factor).sum())
        variance = 1.0 + 12.0 * (ERROR.sigma**2 + ERROR.growth * np.abs(matrix).mean(axis=0) * factor)
        conductance += float((variance * np.square(step / factor)).sum() * np.square(x - zero).sum(axis=1).mean())
    wanted = (converter / 12 / signal(layer), conductance / 12 / signal(layer))
    assert found.noise_shares(SCALE, ADC_HIGH, ERROR) == pytest.approx(wanted, rel=1e-5)


def test_copies_that_round_apart_have_finer_steps_and_more_devices(layer: tuple[MvmOp, Array]) -> None:
    op, weight = layer
    single, exact = collected(layer), DeviceError(0.0, 0.0)
    copies = op.clone()
    APART.note(copies, 4)
    apart = collected((copies, weight))
    alone, rounding = (single.noise_shares(SCALE, ADC_HIGH, error) for error in (ERROR, exact))
    found = apart.noise_shares(SCALE, ADC_HIGH, ERROR)
    assert found[0] == pytest.approx(alone[0] / 16.0)
    assert found[1] == pytest.approx(rounding[1] + (alone[1] - rounding[1]) / 4.0)


@pytest.mark.parametrize("shared", [False, True])
def test_what_codes_and_conductances_are_rounded_by(layer: tuple[MvmOp, Array], shared: bool) -> None:
    found, zero = collected(layer, shared=shared), code_of(layer[0].x).zero.data
    inputs = sum(float((np.square(matrix) * np.square(step)).sum()) for _, matrix, step in blocks(layer, shared))
    cells = sum(
        float(np.square(step).sum() * np.square(x - zero).sum(axis=1).mean()) for x, _, step in blocks(layer, shared)
    )
    wanted = (inputs / 12 / signal(layer), cells / 12 / signal(layer))
    assert found.rounding_shares() == pytest.approx(wanted, rel=0.02 if shared else 1e-5)


def test_a_signal_that_never_changes_costs_nothing_but_may_be_lost(layer: tuple[MvmOp, Array]) -> None:
    found = Statistics(*layer, FULL, False)
    assert found.noise_shares(SCALE, ADC_HIGH, ERROR) == (0.0, 0.0)
    found.add(np.full((1, 3, 30), 5, np.float32))
    assert found.noise_shares(SCALE, ADC_HIGH, ERROR) == (0.0, 0.0)
    assert found.rounding_shares() == (math.inf, math.inf)


@pytest.mark.parametrize(("count", "share", "picked"), [(10, 4, [0, 2, 5, 7]), (4, 4, [0, 1, 2, 3]), (2, 4, [0, 1])])
def test_vectors_are_picked_from_all_of_an_image(count: int, share: int, picked: list[int]) -> None:
    assert _spread(count, share).tolist() == picked
