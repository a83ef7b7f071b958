"""Room in the tiles: the blocks that layers are said to take are those they get, and what is chosen is what packs."""

from collections.abc import Sequence

import pytest
from targets.stages import between, chip, layers, normal, residual, through

from cimc.ir.graph import Graph
from cimc.ir.nn import Layer
from cimc.passes import room
from cimc.passes.chosen import Chosen
from cimc.passes.packing import Block, blocks_of
from cimc.passes.pipeline import Setting
from cimc.passes.room import Alternative, blocks_for, first_fitting
from cimc.targets import Target

APART = "weights=averaged columns=3 rounding=apart"
RAISED = Chosen({"scores": (8, 12)})


@pytest.mark.parametrize(
    ("target", "mapping", "chosen"),
    [
        (chip(), "", Chosen()),
        (chip(array__rows=20, array__columns=3), "", Chosen()),
        (chip(), APART, Chosen()),
        (chip(array__rows=28), APART, Chosen()),
        (chip(read_phases=4), APART, Chosen()),
        (chip(), "", RAISED),
        (chip(), APART, RAISED),
        (chip(), APART, Chosen({"scores": (12, 8)})),
    ],
    ids=[
        "whole",
        "cut",
        "constant rows",
        "too few rows for them",
        "several phases",
        "two matrices",
        "no constant rows beside two matrices",
        "none beside two phases",
    ],
)
def test_layers_get_the_blocks_that_they_are_said_to_take(target: Target, mapping: str, chosen: Chosen) -> None:
    setting = Setting(target, {"x": normal(48, 6, 6, 3)}, None, chosen)
    options = {"weight_mapping": mapping, "im2col": "depthwise=array"}
    before = through(residual(), *between("weight-mapping", "row-copies", setting, **options))
    said = [block for op in _layers(before) for block in blocks_for(op, target)]
    after = through(before, *between("im2col", "split", setting, **options))
    assert [block for op in layers(after) for block in blocks_of(op)] == said


def _layers(graph: Graph) -> list[Layer]:
    return [op for op in graph.operations if isinstance(op, Layer)]


TALL, WIDE, HALF = ([Block(4, 2)], [Block(2, 4)], [Block(2, 2)])
NONE: list[Block] = []


def choices_of(blocks: Sequence[Sequence[Sequence[Block]]]) -> list[list[Alternative]]:
    """Return choices of which each is one layer's, in the order of the graph."""
    return [[{place: one} for one in alternatives] for place, alternatives in enumerate(blocks)]


@pytest.mark.parametrize(
    ("choices", "wanted", "asked"),
    [
        ([[TALL, HALF], [TALL, HALF]], [0, 0], 1),
        ([[TALL, HALF], [WIDE]], [1, 0], 3),
        ([[TALL, NONE], [TALL, NONE], [TALL, NONE]], [0, 0, 1], 1),
        ([[HALF], [WIDE, HALF]], [0, 0], 1),
        ([[WIDE], [HALF]], [0, 0], 0),
        ([[TALL, HALF], [WIDE], [WIDE]], [1, 0, 0], 0),
    ],
    ids=["all", "what packs", "what cells hold", "the second", "nothing to choose", "no room at all"],
)
def test_each_choice_takes_the_first_alternative_that_the_packing_has_room_for(
    choices: Sequence[Sequence[Sequence[Block]]], wanted: list[int], asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one tile of 4 x 4 cells; `asked` is how often the packing is."""
    questions, pack = [], room.pack_layers
    monkeypatch.setattr(room, "pack_layers", lambda *given: questions.append(given) or pack(*given))
    assert first_fitting(choices_of(choices), chip(array__rows=4, array__columns=4)) == wanted
    assert len(questions) == asked


def test_layers_share_no_tiles_where_each_has_a_gain_of_its_own() -> None:
    target = chip(array__rows=4, array__columns=4, array__tiles=2, adc__gain="tile")
    assert first_fitting(choices_of([[HALF, NONE]] * 3), target) == [0, 0, 1]


def test_without_an_end_of_tiles_every_first_alternative_fits() -> None:
    assert first_fitting(choices_of([[TALL, HALF]] * 9), chip(array__tiles="unbounded")) == [0] * 9


def test_the_packing_is_asked_in_the_order_of_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """`place` asks in that order, and a packing may hold blocks in one order and not in another."""
    asked, pack = list[object](), room.pack_layers
    monkeypatch.setattr(room, "pack_layers", lambda layers, *given: asked.append(layers) or pack(layers, *given))
    choices: list[list[Alternative]] = [[{2: TALL}, {2: HALF}], [{1: HALF, 3: NONE}, {1: NONE}], [{0: HALF}]]
    first_fitting(choices, chip(array__rows=4, array__columns=4))
    assert asked[0] == [HALF, HALF, TALL]
