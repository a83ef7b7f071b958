"""What an input range for each row block could win: how far the codes of each block reach, of how far the layer's do.

    python samples/bench/row_ranges.py PROGRAM.cimb DATA.npz [--limit 64]

DATA are raw values, as they are when a program keeps how its model takes them. Of each layer with several row blocks:
the largest |code| that each reads, as a share of the layer's largest, and by how many dB the power of the inputs'
rounding would fall if each block had the range that its own codes need (rows alike, which blocks of equal weights are).
"""

import argparse
from collections.abc import Sequence

import numpy as np

import cimc
from cimc.backends.machine.observer import Products
from cimc.backends.machine.ports import codes_of
from cimc.driving.arrays import load_arrays
from cimc.driving.feeding import RAW, Feeding
from cimc.driving.scoring import program_inputs


class Reach(cimc.Observer):
    """Keeps the largest |code| and the number of rows of each block, by layer and first element."""

    def __init__(self, program: cimc.Program) -> None:
        self.program = program
        self.found: dict[str, dict[int, tuple[int, int]]] = {}

    def vectors(self, index: int, count: int) -> Sequence[int]:
        return range(count) if self.program.instructions[index].name == "mvm" else ()

    def multiplied(self, index: int, products: Products) -> None:
        layer = self.found.setdefault(self.program.layer_name(index), {})
        for block in products.blocks:
            rows = block.inputs.shape[-1]
            before, _ = layer.get(block.block, (0, rows))
            layer[block.block] = max(before, int(np.abs(block.inputs).max())), rows


def decibels(blocks: Sequence[tuple[int, int]]) -> float:
    """Return by how much rounding falls whose steps follow each block's own reach."""
    most = max(reach for reach, _ in blocks)
    power = sum(rows * (reach / most) ** 2 for reach, rows in blocks) / sum(rows for _, rows in blocks)
    return float(0.0 - 10 * np.log10(power))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("data")
    parser.add_argument("--limit", type=int, default=64)
    options = parser.parse_args()
    program = cimc.load_program(options.program)
    arrays = load_arrays(options.data)
    seen = Reach(program)
    real = program_inputs(program, {"x": arrays["x"][: options.limit]}, Feeding(kind=RAW), options.data)
    codes = codes_of(program, real)
    cimc.Interpreter(program).run(codes, seen)
    print("| layer | rows of blocks | reach of blocks % | dB |\n| --- | --- | --- | --- |")
    for layer, found in seen.found.items():
        blocks = [found[number] for number in sorted(found)]
        if len(blocks) > 1:
            most = max(reach for reach, _ in blocks)
            reaches = " ".join(f"{100 * reach / most:.0f}" for reach, _ in blocks)
            print(f"| {layer} | {' '.join(str(rows) for _, rows in blocks)} | {reaches} | {decibels(blocks):.1f} |")


if __name__ == "__main__":
    main()
