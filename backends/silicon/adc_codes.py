"""The raw ADC codes of every layer, as `capture` would keep them block by block."""

from collections.abc import Mapping, Sequence

import numpy as np

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.observer import Observer, Products
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.captured import ADC
from cimc.backends.silicon.layer_equations import Array
from cimc.isa.program import Program


def adc_codes(program: Program, inputs: Mapping[str, Array], noise: Noise | None = None) -> dict[str, Array]:
    """Return the ADC codes [samples, vectors, blocks, columns] of every layer on the crossbar, by its name + ADC.

    Vectors of all copies of its blocks, and of all turns of a loop, are in a row.
    """
    seen = _Products(program)
    Interpreter(program, noise=noise).run(inputs, seen)
    chunks = [{name: np.concatenate(parts, axis=1) for name, parts in chunk.items()} for chunk in seen.chunks]
    return {name + ADC: np.concatenate([chunk[name] for chunk in chunks]) for name in (chunks or [{}])[0]}


class _Products(Observer):
    """Keeps, chunk by chunk of samples, the codes [samples, vectors, blocks, cols] of each product by layer."""

    def __init__(self, program: Program) -> None:
        self.chunks: list[dict[str, list[Array]]] = []
        self._program = program

    def begin(self, samples: range) -> None:
        self.chunks.append({})

    def vectors(self, index: int, count: int) -> Sequence[int]:
        return range(count) if self._program.instructions[index].name == "mvm" else ()

    def multiplied(self, index: int, products: Products) -> None:
        codes = np.stack([block.codes for block in products.blocks], axis=2).astype(np.int32)
        self.chunks[-1].setdefault(self._program.layer_name(index), []).append(codes)
