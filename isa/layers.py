"""The table of layers of a program: how it is written, and what makes it fit the instructions."""

from collections.abc import Iterable, Sequence
from typing import Any

from cimc.isa.errors import IsaError
from cimc.isa.program import Layer, Program

HINT = "a program runs without its table too: remove every .layer line, and its layers have no names"


def layer_facts(layer: Layer) -> list[str]:
    """Return name, tensor and nodes of a layer, without the nodes where it is called as its only one."""
    return [layer.name, layer.tensor, *(layer.nodes if layer.nodes != (layer.name,) else ())]


def layer_from(facts: Sequence[Any]) -> Layer:
    """Return the layer of its facts. Raises IsaError CIM0428 unless they are as `layer_facts` gives them."""
    if len(facts) < 2 or not all(isinstance(text, str) for text in facts) or not facts[0]:
        raise _wrong(f"layer {facts!r:.80}, wanted its name, its tensor (empty for a loop), its nodes")
    name, tensor, *nodes = facts
    if nodes == [name]:
        raise _wrong(f"layer {name!r:.80} with itself as its only node, which is not written")
    return Layer(name, tensor, tuple(nodes) or (name,))


def check_layers(program: Program) -> None:
    """Raise IsaError CIM0428 unless a program has no table of layers, or one that fits its instructions.

    Names and tensors are unique, a location names one layer or none, every instruction on blocks has one, every layer
    has instructions, and a block is programmed by one layer.
    """
    if not program.layers:
        return
    _check_unique("name", (layer.name for layer in program.layers))
    _check_unique("tensor", (layer.tensor for layer in program.layers if layer.tensor))
    for index, (one, location) in enumerate(zip(program.instructions, program.locations, strict=True)):
        if program.layer_at(index) is None and (location or one.name == "program" or one.spec.streams_blocks):
            found = " ".join(map(repr, location)) or "nothing"
            raise _wrong(f"instruction {index}, {one.name}, belongs to {found:.80}, wanted the name of a layer")
    used = set(program.locations)
    for layer in program.layers:
        if (layer.name,) not in used:
            raise _wrong(f"layer {layer.name!r:.80} has no instruction")
    _check_blocks(program)


def _check_unique(what: str, names: Iterable[str]) -> None:
    seen = set[str]()
    for name in names:
        if name in seen:
            raise _wrong(f"two layers have the {what} {name!r:.80}")
        seen.add(name)


def _check_blocks(program: Program) -> None:
    owners: dict[int, str] = {}
    for block in program.blocks:
        owner = owners.setdefault(block.number, block.layer)
        if owner != block.layer:
            raise _wrong(f"block b{block.number} is programmed by {owner!r:.80} and by {block.layer!r:.80}")


def _wrong(message: str) -> IsaError:
    return IsaError("CIM0428", message, HINT)
