"""Rules of the linter at their edges: the last value that is right has no finding, the next one has one."""

from collections.abc import Callable
from typing import Any

import pytest

from cimc.isa.author import Author
from cimc.isa.lint import lint

ROUND = {"shift": 0, "low": -9, "high": 9}


def found(sketch: Author) -> list[str]:
    return [finding.code for finding in lint(sketch.program())]


def holding(low: int, high: int) -> Author:
    """Return a program that has the codes low and high in stream 0, and a tensor of two elements in stream 1."""
    sketch = Author({}, 64).tensor(0, (1,)).put("fill", out=0, value=low)
    sketch.tensor(0, (1,), 1).put("fill", out=0, value=high)
    return sketch.tensor(0, (2,)).tensor(1, (2,), 32)


def unknown(element_type: str) -> Author:
    """Return a program with two constants of a type in stream 0, which may be any, and a tensor in stream 1."""
    return Author({}, 64).data(0, [0, 0], (2,), element_type).tensor(1, (2,), 32)


def image(height: int, width: int, channels: int) -> Author:
    sketch = Author({}, 512).tensor(0, (height, width, channels)).put("fill", out=0, value=0)
    return sketch.window(0, (2, 2), (height - 1, width - 1))


@pytest.mark.parametrize(
    ("first", "entries", "clean"), [(3, 5, True), (4, 4, False), (3, 4, False), (2, 6, True), (8, 1, False)]
)
def test_tables_cover_the_codes_written(first: int, entries: int, clean: bool) -> None:
    wanted = [] if clean else ["CIM0446"]
    sketch = holding(3, 7)
    table = sketch.table([0] * entries, "i8")
    assert found(sketch.put("lut", in_=0, out=1, table=table, type="i8", first=first, entries=entries)) == wanted
    sketch = holding(3, 7).tensor(1, (2, 3), 32)
    table = sketch.table([0] * entries * 3, "i8")
    assert found(sketch.put("embed", in_=0, out=1, table=table, type="i8", first=first, rows=entries)) == wanted


@pytest.mark.parametrize(("first", "entries", "clean"), [(0, 3, True), (1, 2, False), (0, 2, False)])
def test_the_place_of_the_largest_may_be_any(first: int, entries: int, clean: bool) -> None:
    sketch = Author({}, 64).data(0, [5, 6, 7] * 2, (2, 3)).tensor(1, (2,), 32).tensor(2, (2,), 40)
    sketch.put("argmax", in_=0, out=1, which="largest", tie="first")
    sketch.put("lut", in_=1, out=2, table=sketch.table([0] * entries, "i8"), type="i8", first=first, entries=entries)
    assert found(sketch) == ([] if clean else ["CIM0446"])


@pytest.mark.parametrize(
    ("base", "pitch", "clean"), [(3, -1, True), (2, -1, False), (60, 1, True), (61, 1, False), (0, 1, True)]
)
def test_streams_lie_inside_memory_from_their_lowest_byte_on(base: int, pitch: int, clean: bool) -> None:
    sketch = Author({}, 64).tensor(0, (4,), base, pitch=(0, 0, 0, pitch)).put("fill", out=0, value=1)
    assert found(sketch) == ([] if clean else ["CIM0430"])


@pytest.mark.parametrize(("rows", "clean"), [(2, True), (3, False), (1, False)])
def test_rows_looked_up_fill_their_output(rows: int, clean: bool) -> None:
    sketch = holding(0, 1).tensor(1, (rows, 3), 32)
    sketch.put("embed", in_=0, out=1, table=sketch.table([0] * 6, "i8"), type="i8", first=0, rows=2)
    assert found(sketch) == ([] if clean else ["CIM0435"])


@pytest.mark.parametrize(("first", "clean"), [(-129, True), (-130, False), (127, True), (128, False)])
def test_tables_meet_some_code_of_the_type(first: int, clean: bool) -> None:
    sketch = unknown("i8")
    table = sketch.table([0, 0], "i8")
    sketch.put("lut", in_=0, out=1, table=table, type="i8", first=first, entries=2)
    assert found(sketch) == ([] if clean else ["CIM0446"])


@pytest.mark.parametrize(
    ("table", "clean"), [([1, 0], True), ([0, 1], False), ([-1, 1], False), ([1, -1], False), ([5, 7], True)]
)
def test_exponentials(table: list[int], clean: bool) -> None:
    sketch = holding(1, 2)
    facts = {"table": sketch.table(table, "i32"), "entries": 2, "numerator": 1, "zero": 0, "low": 0, "high": 9}
    assert found(sketch.put("softmax", in_=0, out=1, **facts)) == ([] if clean else ["CIM0445"])


@pytest.mark.parametrize(("table", "clean"), [([0, 1], True), ([1, 2], False), ([-1, 0], False)])
def test_picks_stay_in_their_group(table: list[int], clean: bool) -> None:
    sketch = Author({}, 64).data(0, [1, 2, 3, 4, 5, 6, 7, 8], (4, 2)).tensor(1, (4, 2))
    sketch.put("pick", in_=0, out=1, table=sketch.table(table, "i32"), entries=2, group=2)
    assert found(sketch) == ([] if clean else ["CIM0445"])


@pytest.mark.parametrize(
    ("vectors", "out", "clean"), [(4, (4, 2), True), (4, (3, 2), False), (4, (4, 3), False), (5, (4, 2), False)]
)
def test_picks_fill_their_output(vectors: int, out: tuple[int, int], clean: bool) -> None:
    sketch = Author({}, 64).data(0, [0] * vectors * 2, (vectors, 2)).tensor(1, out)
    sketch.put("pick", in_=0, out=1, table=sketch.table([1, 0], "i32"), entries=2, group=2)
    assert found(sketch) == ([] if clean else ["CIM0435"])


def scaled(sketch: Author, scales: int, biases: int) -> dict[str, int]:
    """Return tables of so many entries, the biases at the end of constant memory."""
    return {"scale": sketch.table([1] * scales, "i32"), "bias": sketch.table([0] * biases, "i64")}


def depthwise(channels: int, entries: int) -> Author:
    sketch = image(4, 3, channels).tensor(1, (6, channels * 2), 256)
    weights = sketch.table([1] * 4 * channels * 2, "i8")
    facts = {"weights": weights, "multiplier": 2, **scaled(sketch, channels * 2, entries)}
    return sketch.put("depthwise", in_=0, out=1, taps="i8", **facts, **ROUND)


def depthwise_weights(channels: int, entries: int) -> Author:
    sketch = image(4, 3, channels).tensor(1, (6, channels * 2), 256)
    facts = scaled(sketch, channels * 2, channels * 2)
    weights = sketch.table([1] * entries, "i8")
    return sketch.put("depthwise", in_=0, out=1, weights=weights, multiplier=2, taps="i8", **facts, **ROUND)


def poolsum_all(channels: int, entries: int) -> Author:
    sketch = image(4, 3, channels).tensor(1, (6, channels), 256)
    return sketch.put("poolsum", in_=0, out=1, per="all", **scaled(sketch, 1, entries), **ROUND)


def poolsum_each(channels: int, entries: int) -> Author:
    sketch = image(4, 3, channels).tensor(1, (6, channels), 256)
    return sketch.put("poolsum", in_=0, out=1, per="position", **scaled(sketch, 6, entries), **ROUND)


def affine(channels: int, entries: int) -> Author:
    sketch = Author({}, 64).data(0, [0] * 2 * channels, (2, channels)).tensor(1, (2, channels))
    return sketch.put("affine", in_=0, out=1, period=channels, **scaled(sketch, channels, entries), **ROUND)


def norm(channels: int, entries: int) -> Author:
    sketch = Author({}, 64).data(0, [0] * 2 * channels, (2, channels)).tensor(1, (2, channels))
    facts = {"epsilon": sketch.table([1], "i64"), "centre": "mean", "zero": 0, "fraction": 0}
    return sketch.put("norm", in_=0, out=1, **facts, **scaled(sketch, channels, entries), **ROUND)


def mvm(channels: int, entries: int) -> Author:
    sketch = Author({}, 64).gain().block(0, [[1] * channels] * 3).data(0, [1, 2, 3], (3,)).tensor(1, (channels,))
    return sketch.put("mvm", in_=0, out=1, block=0, blocks=1, **scaled(sketch, channels, entries), **ROUND)


def calibrate(channels: int, entries: int) -> Author:
    sketch = Author({}, 64).gain().block(0, [[1] * channels] * 3).data(0, [1, 2, 3], (3,))
    reference = sketch.table([9] * entries, "i64")
    return sketch.put("calibrate", in_=0, block=0, blocks=1, reference=reference, per="column")


def calibrate_whole(channels: int, entries: int) -> Author:
    sketch = calibrate(channels, entries)
    sketch.amend(len(sketch.instructions) - 1, per="block")
    return sketch


@pytest.mark.parametrize(
    ("make", "entries"),
    [
        (depthwise, 6),
        (depthwise_weights, 24),
        (poolsum_all, 1),
        (poolsum_each, 6),
        (affine, 3),
        (norm, 3),
        (mvm, 3),
        (calibrate, 3),
        (calibrate_whole, 1),
    ],
)
def test_tables_lie_within_constant_memory(make: Callable[[int, int], Author], entries: int) -> None:
    assert found(make(3, entries)) == []
    assert found(make(3, entries - 1)) == ["CIM0430"]


@pytest.mark.parametrize("name", ["poolmax", "poolsum", "depthwise"])
@pytest.mark.parametrize(("vectors", "clean"), [(6, True), (5, False), (7, False)])
def test_windows_fill_their_output(name: str, vectors: int, clean: bool) -> None:
    facts: dict[str, Any] = {"low": -9, "high": 9}
    sketch = image(4, 3, 3).tensor(1, (vectors, 3), 256)
    if name != "poolmax":
        facts |= {"shift": 0, **scaled(sketch, 3, 3)}
    facts |= {"per": "all"} if name == "poolsum" else {}
    facts |= {"weights": sketch.table([1] * 12, "i8"), "multiplier": 1, "taps": "i8"} if name == "depthwise" else {}
    assert found(sketch.put(name, in_=0, out=1, **facts)) == ([] if clean else ["CIM0435"])


@pytest.mark.parametrize(
    ("a", "b", "out", "clean"),
    [
        ((2, 3, 4), (2, 5, 4), (2, 3, 5), True),
        ((2, 3, 4), (1, 5, 4), (2, 3, 5), False),
        ((2, 3, 4), (2, 5, 3), (2, 3, 5), False),
        ((2, 3, 4), (2, 5, 4), (2, 3, 4), False),
        ((2, 3, 4), (2, 5, 4), (2, 5, 3), False),
    ],
)
def test_matrices_fit(a: tuple[int, ...], b: tuple[int, ...], out: tuple[int, ...], clean: bool) -> None:
    sketch = Author({}, 64).data(0, [0] * 24, a).data(2, [0] * 60, b).tensor(1, out)
    sketch.put("matmul", a=0, b=2, out=1, za=0, zb=0, m=1, bias=0, **ROUND)
    assert found(sketch) == ([] if clean else ["CIM0435"])


@pytest.mark.parametrize(("length", "wanted"), [(128, []), (129, ["CIM0445"]), (0, ["CIM0435", "CIM0445"])])
def test_places_fit_their_type(length: int, wanted: list[str]) -> None:
    sketch = Author({}, 64).data(0, [0] * length, (2, length)).tensor(1, (2,))
    if length:
        sketch.tensor(0, (2, length), 0, space="const", pitch=(0, 0, 0, 1))
    assert found(sketch.put("argmax", in_=0, out=1, which="largest", tie="first")) == wanted


@pytest.mark.parametrize(("fill", "clean"), [(-128, True), (127, True), (-129, False), (128, False)])
def test_fills_fit_their_type(fill: int, clean: bool) -> None:
    sketch = Author({}, 64).tensor(0, (2, 2, 1)).window(0, (1, 1), (2, 2), fill=fill)
    assert found(sketch) == ([] if clean else ["CIM0436"])


@pytest.mark.parametrize(("rows", "cols", "clean"), [(4, 3, True), (5, 3, False), (4, 4, False)])
def test_regions_lie_within_a_tile(rows: int, cols: int, clean: bool) -> None:
    target = {"array": {"tiles": 2, "rows": 6, "columns": 5}}
    for name, last in (("pattern", {"plus": 0, "minus": 0}), ("program", {"block": 0, "data": 0, "zeros": "program"})):
        sketch = Author(target, 64)
        sketch.matrix([[0] * cols] * rows)
        sketch.put(name, tile=1, row=2, col=2, rows=rows, cols=cols, **last)
        assert found(sketch) == ([] if clean else ["CIM0433"])


@pytest.mark.parametrize("tile", [1, 2])
def test_tiles_exist(tile: int) -> None:
    sketch = Author({"array": {"tiles": 2}}, 64)
    sketch.put("gain", tile=tile, scope="tile", multiplier=1 << 15, divide=15)
    assert found(sketch) == ([] if tile == 1 else ["CIM0433"])
