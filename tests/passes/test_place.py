"""place and schedule: where blocks and values lie."""

from itertools import combinations, count
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder, codes
from hypothesis import given, settings
from hypothesis import strategies as st
from targets.stages import chip, layers, lowered, normal, perceptron, residual, through

from cimc.driving.driver import Request, run_pipeline
from cimc.ir import nn, xbar
from cimc.ir.attributes import int_value, int_values
from cimc.ir.facts import ACTIVATION_BYTES
from cimc.ir.graph import Graph
from cimc.ir.text import print_graph
from cimc.isa.errors import CimcError
from cimc.passes.packing import Block, blocks_of, pack_layers, tiles_of
from cimc.passes.place import Place
from cimc.passes.schedule import ALIGNMENT, Schedule, byte_size, constant_bytes
from cimc.passes.split import Split
from cimc.targets import Target

S8 = codes(-127, 127)
ANY = chip(array__tiles="unbounded", array__rows=20, array__columns=12)


def stack(sizes: list[tuple[int, int]]) -> Graph:
    """Return independent dense layers of (rows, columns)."""
    b = GraphBuilder()
    for n, (rows, cols) in enumerate(sizes):
        x = b.input((rows,), S8, f"x{n}")
        weight, bias = np.ones((1, rows, cols), np.float32), np.zeros(cols)
        y = b.op(xbar.MvmOp, [x], (cols,), S8, f"y{n}", weight=weight, bias=bias, low=-127, high=127)
        b.output(y, f"out{n}")
    return b.graph()


def placed(sizes: list[tuple[int, int]], target: Target) -> Graph:
    return through(stack(sizes), Split(target), Place(target))


def test_more_weights_than_cells_are_refused_before_any_data_is_read() -> None:
    def data(inputs: object) -> Any:
        raise AssertionError("the data was read")

    small = chip(array__tiles=2, array__rows=20, array__columns=12)
    with pytest.raises(CimcError, match="of 20 x 12 cells = 480 cells\n    model needs 500 cells in 4 blocks") as found:
        run_pipeline(perceptron(25, 20), Request(small, data=data))
    assert found.value.diagnostics[0].code == "CIM0303"
    with pytest.raises(AssertionError, match="the data was read"):
        run_pipeline(perceptron(25, 19), Request(small, data=data))


def rectangles(graph: Graph) -> list[tuple[int, int, int, int, int]]:
    """Return (tile, row, column, rows, columns) of every block."""
    found = []
    for op in layers(graph):
        spots = np.array(int_values(op.blocks)).reshape(-1, 3).tolist()
        found += [(*spot, b.rows, b.cols) for spot, b in zip(spots, blocks_of(op), strict=True)]
    return found  # type: ignore[return-value]


def alive_together(graph: Graph) -> list[tuple[int, int, int, int]]:
    """Return (address, bytes, first, last) of every value, views taken as their own."""
    operations = list(graph.module.ops)
    lives = {}
    for time, op in enumerate(operations):
        for operand in op.operands:
            lives[operand][3] = len(operations) if isinstance(op, nn.OutputOp) else max(lives[operand][3], time)
        if isinstance(op, nn.Computed):
            first = 0 if isinstance(op, nn.InputOp) else time
            lives[op.out] = [int_value(op.address), byte_size(op.out), first, time]  # type: ignore[arg-type]
    return [tuple(life) for life in lives.values()]  # type: ignore[misc]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 30)), min_size=1, max_size=6))
def test_blocks_lie_inside_tiles_and_apart(sizes: list[tuple[int, int]]) -> None:
    found = rectangles(placed(sizes, ANY))
    assert sum(rows * cols for *_, rows, cols in found) == sum(rows * cols for rows, cols in sizes)
    for _, row, col, rows, cols in found:
        assert 0 <= row <= 20 - rows and 0 <= col <= 12 - cols
    for (t, r, c, h, w), (t2, r2, c2, h2, w2) in combinations(found, 2):
        assert t != t2 or r + h <= r2 or r2 + h2 <= r or c + w <= c2 or c2 + w2 <= c


def test_placement_is_deterministic_and_numbers_blocks_in_order() -> None:
    sizes = [(50, 30), (7, 3), (20, 12), (33, 8), (1, 1)]
    graph = placed(sizes, ANY)
    assert print_graph(graph) == print_graph(placed(sizes, ANY))
    firsts = [int_value(op.first_block) for op in layers(graph)]  # type: ignore[arg-type]
    counts = [len(list(blocks_of(op))) for op in layers(graph)]
    assert firsts == [sum(counts[:n]) for n in range(len(counts))]


def test_a_block_as_large_as_a_tile_is_alone() -> None:
    tiles = [tile for tile, *_ in rectangles(placed([(20, 12), (1, 1), (20, 12)], ANY))]
    assert len(set(tiles)) == 3


def test_what_exactly_fits_is_placed() -> None:
    exact = chip(array__tiles=2, array__rows=20, array__columns=12)
    assert len(rectangles(placed([(20, 24)], exact))) == 2


@pytest.mark.parametrize("sizes", [[(20, 25)], [(20, 12), (20, 12), (1, 1)], [(21, 13), (20, 12), (19, 12)]])
def test_what_does_not_fit_names_every_layer(sizes: list[tuple[int, int]]) -> None:
    small = chip(array__tiles=2, array__rows=20, array__columns=12)
    with pytest.raises(CimcError, match="CIM0303") as caught:
        placed(sizes, small)
    report = caught.value.diagnostics[0].message
    assert "2 of 20 x 12 cells" in report or "2 tiles of 20 x 12 cells = 480 cells" in report
    for n, (rows, cols) in enumerate(sizes):
        assert f"y{n}: 1 x {rows} x {cols} = {rows * cols} cells" in report


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw a graph of tables, sums and views over values of several sizes and widths."""
    b, values = GraphBuilder(), []
    for n in range(draw(st.integers(1, 3))):
        values.append(b.input((draw(st.integers(1, 40)), 2), draw(st.sampled_from([S8, codes(-999, 999)])), f"x{n}"))
    for n in range(draw(st.integers(1, 10))):
        a = draw(st.sampled_from(values))
        shape, code = a.type.get_shape(), a.type.element_type  # type: ignore[attr-defined]
        facts = {"ma": 1, "mb": 1, "bias": 0, "shift": 0, "low": -127, "high": 127}
        kind = draw(st.sampled_from(["view", "add", "copy"]))
        if kind == "view":
            values.append(b.op(xbar.ViewOp, [a], shape[::-1], code, f"v{n}"))
        elif kind == "add":
            values.append(b.op(xbar.AddOp, [a, a], shape, S8, f"v{n}", **facts))
        else:
            part = (draw(st.integers(1, 60)),)
            values.append(b.op(xbar.MoveOp, [a], part, code, f"v{n}", start=0, pitch=[0]))
    for n, value in enumerate(draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))):
        b.output(value, f"out{n}")
    return b.graph()


@settings(max_examples=60)
@given(graphs())
def test_values_alive_together_never_overlap(graph: Graph) -> None:
    graph = through(graph, Schedule(chip()))
    total = ACTIVATION_BYTES.of(graph.module)
    views = {op.out for op in graph.module.ops if isinstance(op, xbar.ViewOp)}
    for op in graph.module.ops:
        if isinstance(op, nn.Computed):
            address = int_value(op.address)  # type: ignore[arg-type]
            assert address % ALIGNMENT == 0 and address + byte_size(op.out) <= total
            if op.out in views:
                assert address == int_value(op.operands[0].owner.address)  # type: ignore[union-attr]
    lives = alive_together(graph)
    roots = {id(op.out): _root(op.out) for op in graph.module.ops if isinstance(op, nn.Computed)}
    names = list(roots.values())
    for (n, (a, size, first, last)), (m, (a2, size2, first2, last2)) in combinations(enumerate(lives), 2):
        if names[n] != names[m] and first <= last2 and first2 <= last:
            assert a + size <= a2 or a2 + size2 <= a


@settings(max_examples=60)
@given(graphs())
def test_each_value_lies_at_the_lowest_address_free_during_its_life(graph: Graph) -> None:
    """Large ones first, then those that begin first: tried here address by address."""
    graph = through(graph, Schedule(chip()))
    values = [op for op in graph.module.ops if isinstance(op, nn.Computed)]
    whole: dict[int, list[int]] = {}
    for op, (address, size, first, last) in zip(values, alive_together(graph), strict=True):
        root = whole.setdefault(_root(op.out), [address, size, first, last])
        root[3] = max(root[3], last)
    taken: list[list[int]] = []
    for address, size, first, last in sorted(whole.values(), key=lambda life: (-life[1], life[2])):
        rivals = [one for one in taken if first <= one[3] and one[2] <= last]
        lowest = next(a for a in count(0, ALIGNMENT) if all(a + size <= r[0] or r[0] + r[1] <= a for r in rivals))
        assert address == lowest
        taken.append([address, size, first, last])


def _root(value: object) -> int:
    while isinstance(value.owner, xbar.ViewOp):  # type: ignore[attr-defined]
        value = value.owner.x  # type: ignore[attr-defined]
    return id(value)


def test_memory_is_used_again() -> None:
    graph = lowered(perceptron(*[32] * 8), {"x": normal(4, 32)})
    assert ACTIVATION_BYTES.of(graph.module) <= 3 * 64


def test_the_budget_is_exact_and_the_largest_values_are_named() -> None:
    data = {"x": normal(3, 6, 6, 3)}
    total = ACTIVATION_BYTES.of(lowered(residual(), data).module)
    lowered(residual(), data, target=chip(memory__activation_bytes=total))
    with pytest.raises(CimcError, match=rf"CIM0303.*{total} bytes") as caught:
        lowered(residual(), data, target=chip(memory__activation_bytes=total - 1))
    assert "joined: 288 bytes" in str(caught.value) or "joined: 576 bytes" in str(caught.value)


def test_constants_have_a_budget_too() -> None:
    graph = lowered(perceptron(30, 4), {"x": normal(4, 30)})
    need = constant_bytes(list(graph.module.ops))
    lowered(perceptron(30, 4), {"x": normal(4, 30)}, target=chip(memory__constant_bytes=need))
    with pytest.raises(CimcError, match=rf"CIM0303.*constants need {need} bytes"):
        lowered(perceptron(30, 4), {"x": normal(4, 30)}, target=chip(memory__constant_bytes=need - 1))


def test_blocks_stand_side_by_side_at_the_end_of_the_adc() -> None:
    """Three blocks that fit beside each other end in the last row; `start` packs them from the first row on."""
    target = chip(array__tiles=1, array__rows=20, array__columns=12)
    sizes = [(9, 4), (16, 3), (4, 5)]
    near = rectangles(placed(sizes, target))
    assert [row + rows for _, row, _, rows, _ in near] == [20, 20, 20]
    packed = rectangles(through(stack(sizes), Split(target), Place(target, near="start")))
    assert min(row for _, row, _, _, _ in packed) == 0 and len({row + rows for _, row, _, rows, _ in packed}) > 1


def test_what_fits_only_when_packed_densely_is_packed_densely() -> None:
    """Whatever `start` fits into a tile, `adc` fits as well."""
    generator = np.random.default_rng(0)
    target = chip(array__tiles=1, array__rows=20, array__columns=12)
    for _ in range(60):
        sizes = [(int(a), int(b)) for a, b in generator.integers(1, 9, (6, 2))]
        try:
            through(stack(sizes), Split(target), Place(target, near="start"))
        except CimcError:
            continue
        assert all(row >= 0 and row + rows <= 20 for _, row, _, rows, _ in rectangles(placed(sizes, target)))


def test_an_unknown_end_is_refused() -> None:
    with pytest.raises(CimcError) as error:
        through(stack([(2, 2)]), Split(ANY), Place(ANY, near="dac"))
    assert error.value.diagnostics[0].code == "CIM0305"


@pytest.mark.parametrize(("copies", "gains", "wanted"), [([1, 1], "ab", 2), ([2, 1], "aa", 2), ([2, 2], "ab", 4)])
def test_copies_and_gains_have_tiles_of_their_own_and_no_more_than_there_are(
    copies: list[int], gains: str, wanted: int
) -> None:
    """Two small blocks that one tile would hold."""
    blocks = [[Block(4, 3)], [Block(5, 2)]]
    small = {"array__rows": 20, "array__columns": 12}
    assert pack_layers(blocks, copies, gains, chip(array__tiles=wanted - 1, **small)) is None
    found = pack_layers(blocks, copies, gains, chip(array__tiles=wanted, **small))
    assert found is not None and {tile for spots in found for tile, _, _ in spots} == set(range(wanted))
    assert [len(spots) for spots in found] == copies


@pytest.mark.parametrize(("tiles", "count"), [([], 0), ([0], 1), ([0, 2, 1], 3)])
def test_a_packing_takes_the_tiles_up_to_its_last(tiles: list[int], count: int) -> None:
    assert tiles_of([(tile, 0, 0) for tile in tiles]) == count
