"""The peak of an array by our prices and by ZigZag's in-memory model: how each changes with rows and bits.

    pip install zigzag-dse six          # beside cimc, in an environment of its own
    python samples/bench/beside_zigzag.py

ZigZag's model (`ImcArray`) is of 28 nm SRAM with an ADC at each column and bit of a weight, ours of PCM by the figures
of AON-CiM: what can be compared are ratios, not values. Results go to standard output as Markdown.
"""

from collections.abc import Sequence
from importlib import import_module, metadata
from typing import Any

from cimc.backends.cost.waterfall import peak
from cimc.targets import load_target

COLUMNS, WEIGHT_BITS = 512, 8
ROWS, BITS = (1024, 512, 256, 128), (8, 4)
BY_BITS = {8: "aon-cim", 4: "aon-cim-4b"}


def main() -> None:
    print(f"zigzag-dse {metadata.version('zigzag-dse')}, TOPS/W at the peak\n")
    print("\n".join(table("rows, 8 bits", ROWS, [(theirs(n, 8), ours("aon-cim", n)) for n in ROWS])))
    print()
    print("\n".join(table("bits, 1,024 rows", BITS, [(theirs(1024, n), ours(BY_BITS[n], 1024)) for n in BITS])))


def theirs(rows: int, bits: int) -> float:
    """Return the TOPS/W of an array whose inputs, in one pulse, and ADCs have so many bits."""
    dimension: Any = import_module("zigzag.datatypes").OADimension
    array: Any = import_module("zigzag.hardware.architecture.imc_array").ImcArray
    sizes = {dimension("D1"): COLUMNS, dimension("D2"): rows}
    return float(array(True, bits, [bits, WEIGHT_BITS], bits, WEIGHT_BITS, 0.0, sizes).topsw_peak)


def ours(target: str, rows: int) -> float:
    return float(peak(load_target(f"{target},array.rows={rows}")).value)


def table(over: str, steps: Sequence[int], found: Sequence[tuple[float, float]]) -> list[str]:
    """Return lines of Markdown: values, and each as a share of the first."""
    first = found[0]
    lines = [f"| {over} | ZigZag | ours | ZigZag, share | ours, share |", "| --- | --- | --- | --- | --- |"]
    for step, pair in zip(steps, found, strict=True):
        shares = (f"{one / start:.3g}" for one, start in zip(pair, first, strict=True))
        lines.append(f"| {step:,} | {pair[0]:.4g} | {pair[1]:.4g} | {' | '.join(shares)} |")
    return lines


if __name__ == "__main__":
    main()
