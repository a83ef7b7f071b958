"""IR drop against exact nodal analysis of the wire network."""

import numpy as np
import pytest

from cimc.backends.machine.facts import Machine
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.device_tables import ceiling
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.wires import SUM_BITS, wires
from cimc.backends.plan.wires import attenuated
from cimc.backends.reference import wires as reference_wires
from cimc.isa.region import Region

FULL = 508 << 12


def nodal(conductances, resistance, before, beyond):
    """Effective conductances [rows, lines] of cells between row and column wires, by solving for every node."""
    rows, lines = conductances.shape
    g, count = 1 / resistance, rows * lines
    node = np.arange(2 * count).reshape(2, rows, lines)
    matrix, drive = np.zeros((2 * count, 2 * count)), np.zeros((2 * count, rows))

    def join(a, b, conductance):
        matrix[[a, b], [a, b]] += conductance
        matrix[[a, b], [b, a]] -= conductance

    for i in range(rows):
        for line in range(lines):
            join(node[0, i, line], node[1, i, line], conductances[i, line])
            if line:
                join(node[0, i, line - 1], node[0, i, line], g)
            if i:
                join(node[1, i - 1, line], node[1, i, line], g)
        matrix[node[0, i, 0], node[0, i, 0]] += g / (before + 1)
        drive[node[0, i, 0], i] = g / (before + 1)
    for line in range(lines):
        matrix[node[1, -1, line], node[1, -1, line]] += g / (beyond + 1)
    voltages = np.linalg.solve(matrix, drive)
    return (voltages[node[1, -1]] * g / (beyond + 1)).T


def block(rows, cols, row, col, tile_rows, seed=1):
    machine = Machine(1, tile_rows, 64, 127, 2, 0, 8, "symmetric", 8, "symmetric", "nearest-even", 4)
    signed = np.random.default_rng(seed).integers(-FULL, FULL + 1, (rows, cols))
    return machine, Region(0, row, col, rows, cols), np.stack([np.maximum(signed, 0), np.maximum(-signed, 0)])


def as_lines(fine):
    return fine.transpose(1, 2, 0).reshape(fine.shape[1], -1)


@pytest.mark.parametrize(
    ("rows", "cols", "row", "col", "tile_rows"),
    [(6, 4, 0, 0, 6), (20, 3, 0, 0, 20), (3, 12, 0, 0, 3), (6, 4, 2, 5, 30)],
)
@pytest.mark.parametrize(("loss", "share"), [(0.01, 0.01), (0.1, 0.02), (0.3, 0.06)])
@pytest.mark.parametrize("profile", ["pcm", "reram-cmo"])
def test_against_nodal_analysis(rows, cols, row, col, tile_rows, loss, share, profile):
    """The error is a small share of the largest drop, where the worst cell loses 1, 10 and 30 %."""
    machine, cells, fine = block(rows, cols, row, col, tile_rows)
    numbers = load_profile(profile).numbers
    lowest, span = float(numbers["device.lowest"]), float(numbers["device.highest"] - numbers["device.lowest"])
    g = (lowest + as_lines(fine) / FULL * span) * 1e-6
    low, high = 1e-3, 1000.0
    for _ in range(14):  # the resistance that costs the worst cell this share
        ohms = (low * high) ** 0.5
        exact = nodal(g, ohms, 2 * col, tile_rows - row - rows)
        low, high = (ohms, high) if (1 - exact / np.maximum(g, 1e-12))[g > 1e-6].max() < loss else (low, ohms)
    ohms = round(ohms, 4)
    law = wires(load_profile(f"{profile},wire.resistance={ohms}"), machine)
    ours = as_lines(attenuated(law, machine, cells, fine)) / FULL
    exact = (nodal(g, ohms, 2 * col, tile_rows - row - rows) * 1e6 - lowest) / span
    dropped, error = np.abs(exact - as_lines(fine) / FULL).max(), np.abs(ours - exact).max()
    assert error < share * dropped + 1e-5


@pytest.mark.parametrize("profile", ["pcm", "reram-cmo"])
@pytest.mark.parametrize("shape", [(1, 1, 0, 0, 1), (40, 30, 500, 33, 1024), (1024, 64, 0, 0, 1024)], ids=str)
def test_both_interpreters_agree(profile, shape):
    machine, cells, fine = block(*shape)
    law = wires(load_profile(profile), machine)
    ours = as_lines(attenuated(law, machine, cells, fine))
    assert reference_wires.attenuated(law, machine, cells, as_lines(fine).tolist()) == ours.tolist()


def test_rows_nearest_the_adc_lose_least():
    machine, cells, fine = block(30, 4, 0, 0, 30)
    fine[...] = FULL
    left = as_lines(attenuated(wires(load_profile("pcm"), machine), machine, cells, fine))
    assert (np.diff(left, axis=0) > 0).all()
    assert (np.diff(left, axis=1) < 0).all()


def test_wires_without_resistance_change_nothing():
    machine, cells, fine = block(30, 4, 0, 0, 30)
    for profile in ("pcm", "reram-cmo"):
        law = wires(load_profile(profile).silent(), machine)
        assert np.array_equal(attenuated(law, machine, cells, fine), fine)


def test_rows_between_a_block_and_the_adc_cost_current():
    """The same block loses least where it ends in the last row of its tile."""
    left = []
    for row in (0, 100, 180):
        machine, cells, fine = block(20, 4, row, 0, 200)
        left.append(int(attenuated(wires(load_profile("pcm"), machine), machine, cells, fine).sum()))
    assert left == sorted(set(left))


@pytest.mark.parametrize(("rows", "columns"), [(4, 1 << 13), (1 << 14, 4), (1 << 13, 1 << 13), (6, 4)])
@pytest.mark.parametrize("profile", ["pcm", "reram-cmo"])
def test_the_largest_sums_keep_as_many_bits_as_are_multiplied(rows, columns, profile):
    """All devices at their ceiling: the last line of the first row sees the sums of 1 to all lines, and of all rows."""
    machine = Machine(1, rows, columns, 127, 2, 0, 8, "symmetric", 8, "symmetric", "nearest-even", 4)
    found, lines = wires(load_profile(profile), machine), 2 * columns
    device = ceiling(load_profile(profile), FULL >> 12) + found.base
    largest = device * (lines * (lines + 1) // 2 + rows * (rows + 1) // 2)
    assert (largest >> found.shift).bit_length() <= SUM_BITS
    assert found.shift == 0 or (4 * largest >> found.shift).bit_length() >= SUM_BITS


@pytest.mark.parametrize(
    ("profile", "columns", "bits"),
    [("pcm", 32767, 62), ("pcm", 46340, 63), ("reram-cmo", 46340, 62), ("reram-cmo", 65535, 63)],
)
def test_sums_of_more_than_62_bits_are_refused(profile, columns, bits):
    """Those that are not give the load that Python integers give."""
    machine = Machine(1, 4, columns, 65535, 0, 0, 8, "symmetric", 8, "symmetric", "nearest-even", 4)
    if bits > 62:
        with pytest.raises(Refusal) as caught:
            wires(load_profile(profile), machine)
        assert caught.value.code == "CIM0533" and f"sums of {bits} bits" in str(caught.value)
        return
    law = wires(load_profile(profile), machine)
    largest = (ceiling(load_profile(profile), 65535) + law.base) * (4 * columns**2 + 16)
    assert law.loads(np.array([largest])).tolist() == [law.loads(largest)]
