"""Drawings of a program as SVG, made when the page is: bars, floor plan, conductances, memory over time."""

import base64
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.backends.cost.memory_map import Span
from cimc.backends.cost.schedule import Schedule
from cimc.driving.measures import plain
from cimc.isa.conductances import targets
from cimc.isa.program import ArrayBlock, Program
from cimc.report.markup import Markup, element

WIDTH, BAR, LABEL = 720, 22, 100
MOST_OFF = 8
"""Standard deviations that are drawn darkest."""
Hues = Mapping[str, int]
"""Name of what is drawn -> the number of its colour."""
HUES = 12
"""Colours of layers, which come again where there are more."""
SIDE = 28
"""Length of the longer side of a picture of a tile, in rem."""
PIXELS = 256
"""Most pixels of a map of conductances along a side: of more cells the largest of each patch is shown."""


@dataclass(frozen=True)
class Plan:
    """The blocks of one tile and the size of its array."""

    tile: int
    rows: int
    columns: int
    blocks: Sequence[ArrayBlock]


def bars(parts: Mapping[str, float], unit: str) -> Markup:
    """Return a bar for each part, as long as it is large, with its value behind it."""
    most = max(parts.values(), default=0.0) or 1.0
    return element("div", *(_bar(name, value, value / most, unit) for name, value in parts.items()), class_="bars")


def _bar(name: str, value: float, share: float, unit: str) -> Markup:
    bar = element("span", element("span", class_="fill", style=f"width:{max(100 * share, 0.5):.2f}%"), class_="track")
    return element("div", element("span", name), bar, element("span", f"{plain(value)} {unit}"))


def legend(names: Iterable[str], hues: Hues) -> Markup:
    """Return what each colour stands for."""
    lines = (element("li", element("span", class_=f"swatch hue{hues[name]}"), name) for name in dict.fromkeys(names))
    return element("ul", *lines, class_="legend")


def hues_of(names: Iterable[str]) -> Hues:
    """Return the number of a colour for each name, the same in all drawings of a page."""
    return {name: number % HUES for number, name in enumerate(dict.fromkeys(names))}


def floor_plan(plan: Plan, hues: Hues) -> Markup:
    """Return a tile with its blocks, each in the colour of its layer and named when pointed at."""
    placed = [_block(plan, block, hues) for block in plan.blocks]
    frame = element("rect", x=0, y=0, width=plan.columns, height=plan.rows, class_="frame")
    size = {"class_": "plan", "style": _wide(plan.rows, plan.columns)}
    return drawing(plan.columns, plan.rows, f"tile {plan.tile}", frame, *placed, **size)


def _wide(rows: int, columns: int) -> str:
    """Return the style of a picture of a tile: SIDE long on its longer side, in proportion."""
    return f"width:{SIDE * columns / max(rows, columns):.2f}rem"


def _block(plan: Plan, block: ArrayBlock, hues: Hues) -> Markup:
    about = f"{block.layer}: {block.rows} x {block.cols} at row {block.row}, column {block.col} of tile {plan.tile}"
    place = {"x": block.col, "y": block.row, "width": block.cols, "height": block.rows}
    return element("rect", element("title", about), **place, class_=f"hue{hues[block.layer]}")


def conductances(plan: Plan, program: Program) -> Markup:
    """Return a picture of a tile's conductance targets: dark is high, what holds nothing is clear."""
    cells = np.full((plan.rows, plan.columns), -1, np.int64)
    written = {one["block"]: one for one in program.instructions if one.name == "program"}
    for block in plan.blocks:
        place = slice(block.row, block.row + block.rows), slice(block.col, block.col + block.cols)
        cells[place] = np.abs(targets(program.conductances, written[block.number]).astype(np.int64))
    return _heat(cells, f"conductances of tile {plan.tile}")


def deviations(tile: int, scores: NDArray[np.float64]) -> Markup:
    """Return a picture of how far cells [rows, columns] are off, in standard deviations: dark is MOST_OFF or more.

    Cells that hold nothing, NaN, are clear.
    """
    tenths = np.rint(10 * np.minimum(np.nan_to_num(scores, nan=-1), MOST_OFF))
    return _heat(np.maximum(tenths, -1).astype(np.int64), f"deviations of tile {tile}", 10 * MOST_OFF)


def _heat(cells: NDArray[np.int64], name: str, most: int | None = None) -> Markup:
    picture = base64.b64encode(_png(_smaller(cells), most)).decode()
    style = _wide(*cells.shape)
    return element("img", src=f"data:image/png;base64,{picture}", alt=name, class_="heat", style=style)


def _smaller(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the largest of each patch, at most PIXELS a side."""
    step = max(-(-max(cells.shape) // PIXELS), 1)
    rows, columns = (-(-size // step) * step for size in cells.shape)
    padded = np.full((rows, columns), -1, np.int64)
    padded[: cells.shape[0], : cells.shape[1]] = cells
    whole: NDArray[np.int64] = padded.reshape(rows // step, step, columns // step, step).max(axis=(1, 3))
    return whole


def _png(values: NDArray[np.int64], most: int | None = None) -> bytes:
    """Return a picture of grey with a channel of opacity: nothing below 0; `most`, or the largest value, is darkest."""
    grey = (235 - 215 * np.maximum(values, 0) / max(most or int(values.max()), 1)).astype(np.uint8)
    pixels = np.stack([grey, np.where(values < 0, 0, 255).astype(np.uint8)], axis=-1)
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 8, 4, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def memory_over_time(spans: Sequence[Span], length: int, size: int, hues: Hues) -> Markup:
    """Return which addresses of activation memory hold something when: time to the right, addresses upwards."""
    across, up = WIDTH / max(length, 1), 240 / max(size, 1)
    held = [
        element(
            "rect",
            element("title", f"{span.name}: bytes {span.low} to {span.high - 1}"),
            x=f"{span.start * across:.2f}",
            y=f"{240 - span.high * up:.2f}",
            width=f"{max((span.end - span.start) * across, 0.5):.2f}",
            height=f"{max((span.high - span.low) * up, 0.5):.2f}",
            class_=f"hue{hues[span.name]}",
        )
        for span in spans
    ]
    return drawing(WIDTH, 240, "activation memory over time", *held, class_="drawing fluid")


def timeline(schedule: Schedule, hues: Hues) -> Markup:
    """Return what every unit does when, a line a track."""
    across = (WIDTH - LABEL) / max(schedule.length, 1)
    tops = {track: number * BAR for number, track in enumerate(schedule.tracks)}
    lines = [element("text", track, x=0, y=top + 15) for track, top in tops.items()]
    slices = [
        element(
            "rect",
            element("title", f"{one.name}, {one.mnemonic} @{one.instruction}: {one.length / 1e6:g} us"),
            x=f"{LABEL + one.start * across:.2f}",
            y=tops[one.track] + 3,
            width=f"{max(one.length * across, 0.5):.2f}",
            height=BAR - 6,
            class_=f"hue{hues[one.name]}",
        )
        for one in schedule.slices
    ]
    return drawing(WIDTH, BAR * len(tops), "schedule", *lines, *slices)


def drawing(
    width: int, height: int, title: str, *children: Markup, class_: str = "drawing", style: str | None = None
) -> Markup:
    """Return an SVG of these shapes, with a title that is read aloud."""
    box, about = f"0 0 {width} {max(height, 1)}", element("title", title)
    return element("svg", about, *children, viewBox=box, role="img", class_=class_, style=style)
