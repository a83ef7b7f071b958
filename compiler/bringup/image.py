"""A program as the memories of a test bench: words, tables, devices of every tile, inputs and expected outputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.facts import machine
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.converters import adc_errors, has_levels
from cimc.backends.noise.draws import POLARITIES
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.memory import Chunk
from cimc.backends.plan.walk import Walk
from cimc.isa.encode import encode_all
from cimc.isa.program import Program
from cimc.isa.region import Region, blocks_streamed
from cimc.isa.table import WORD_BYTES

Array = NDArray[Any]

FRESH = ("cycle", "output")
"""Sources that are drawn anew for each product: no memory holds them."""
BOTH = 0
"""Both sides of a pair carry current at once."""
APART = 4
"""Read phases of a target that reads the sides apart: wires then take another share from each."""


@dataclass(frozen=True)
class Memory:
    """One memory: words [n], `bits` each, in the order of their addresses; signed ones as two's complement."""

    name: str
    words: Array
    bits: int
    about: str


def memories(program: Program, noise: Noise | None = None) -> Iterator[Memory]:
    """Yield the memories of a program: code, tables, conductance section, and the devices of each tile as they conduct.

    Raises Refusal CIM0563 where one image cannot stand for a noisy chip, and Trap as a run does.
    """
    code = np.frombuffer(encode_all(program.instructions), np.uint8).reshape(-1, WORD_BYTES)
    yield Memory("code", code, 8 * WORD_BYTES, "instruction words")
    yield Memory("constants", np.frombuffer(program.constants, np.uint8), 8, "constant memory")
    yield Memory("conductances", np.frombuffer(program.conductances, "<i2"), 16, "conductance section, signed")
    yield from _devices(program, noise)


def data(program: Program, codes: Mapping[str, Array], noise: Noise | None = None) -> Iterator[Memory]:
    """Yield activation memory at the start of one sample, its input codes [*port.shape], and the outputs expected."""
    chunk = Chunk(1, program.activation_bytes, b"")
    for port in program.inputs:
        chunk.codes(port)[0] = codes[port.name]
    memory = chunk.memories["act"][0, : program.activation_bytes]
    yield Memory("activations", memory, 8, "activation memory at the start, with the inputs")
    found = Interpreter(program, noise=noise).run({name: array[None] for name, array in codes.items()})
    for number, port in enumerate(program.outputs):
        words = found[port.name].reshape(-1)
        yield Memory(
            f"output{number}", words, 8 * words.itemsize, f"expected codes of {port.name}, signed as {port.type}"
        )


def _devices(program: Program, noise: Noise | None) -> Iterator[Memory]:
    """Yield plus and minus of each tile, row by row, cells that no instruction programs as the target leaves them."""
    require_frozen(noise)
    facts = machine(program.meta)
    for tile, (values, _) in sorted(_planes(program, noise).items()):
        for polarity, plane in zip(POLARITIES, values, strict=True):
            yield Memory(
                f"tile{tile}_{polarity}", plane.reshape(-1), 16, f"{polarity} devices of tile {tile}, row by row"
            )
        if noise and noise.has("adc"):
            errors = [adc_errors(facts, noise, tile, column) for column in range(facts.columns)]
            words = np.array([[one.offset, one.gain, one.bow] for one in errors], np.int32).reshape(-1)
            yield Memory(f"tile{tile}_adc", words, 32, "offset, gain and bow of each column's ADC, signed")


def require_frozen(noise: Noise | None) -> None:
    """Raise Refusal CIM0563 where noise is drawn anew for each product, or ADCs have levels of their own."""
    if noise and has_levels(noise):
        message = "levels of ADCs are off, an image has offset, gain error and bow of each alone"
        raise Refusal("CIM0563", message, "leave `levels` out of --sources")
    for source in FRESH:
        if noise and noise.has(source):
            hint = f"leave it out: --sources without {source}"
            raise Refusal("CIM0563", f"{source} noise is fresh in each product, no image holds it", hint)


def _planes(program: Program, noise: Noise | None) -> dict[int, tuple[Array, Array]]:
    """Return of each tile what its devices [2, rows, columns] conduct in products, and which cells products read."""
    facts, planes = machine(program.meta), dict[int, tuple[Array, Array]]()
    if noise and noise.has("ir_drop") and facts.read_phases == APART:
        raise Refusal("CIM0563", "with IR drop, devices conduct otherwise in each of four read phases", "leave it out")
    walk = Walk(program, facts, noise, unrolled=True)
    while not walk.is_over:
        index = walk.index
        walk.step()
        if walk.fault:
            raise walk.fault
        one = program.instructions[index]
        if one.name == "program" or one.name == "pattern":
            tile = one["tile"]
            planes.setdefault(tile, _blank(walk, tile))
        for number in blocks_streamed(one):
            _see(walk, planes, walk.state.crossbar.block(number), index)
    _leave(walk, planes)
    return planes


def _blank(walk: Walk, tile: int) -> tuple[Array, Array]:
    facts = walk.state.machine
    shape = (facts.rows, facts.columns)
    return np.full((2, *shape), facts.unprogrammed, np.int32), np.zeros(shape, bool)


def _see(walk: Walk, planes: dict[int, tuple[Array, Array]], cells: Region, index: int) -> None:
    """Note what a product sees of a block. Raises Refusal CIM0563 where an earlier one has seen something else."""
    values, seen = planes[cells.tile]
    present = walk.state.crossbar.tile(cells.tile).conductances(cells, walk.state.crossbar.seconds, BOTH)
    known = seen[cells.window]
    if (values[cells.window] != present)[:, known].any():
        message = f"instruction {index} reads cells of tile {cells.tile} that conduct otherwise than before"
        raise Refusal("CIM0563", message, "one image holds one time, one programming, and blocks that do not overlap")
    values[cells.window] = present
    seen[cells.window] = True


def _leave(walk: Walk, planes: dict[int, tuple[Array, Array]]) -> None:
    """Fill in the cells that no product reads: what they were programmed to."""
    facts = walk.state.machine
    for tile, (values, seen) in planes.items():
        everything = walk.state.crossbar.programmed(Region(tile, 0, 0, facts.rows, facts.columns))
        values[:, ~seen] = everything[:, ~seen]
