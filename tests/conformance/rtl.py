"""Directed programs on the sequencer of samples/cosim: which it executes, their images, and its traces of them."""

import importlib.util
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from command_line.files import SAMPLES
from conformance.traces import ours

from cimc.backends.machine.ports import DTYPES
from cimc.backends.machine.traps import Refusal
from cimc.bringup.conformance import Case
from cimc.bringup.files import FORMS, words_of
from cimc.bringup.image import Memory, data, memories
from cimc.isa.program import Instruction
from cimc.isa.region import Region, region

SEQUENCER = Path(__file__).parents[2] / "samples" / "cosim" / "sequencer.sv"
KNOWN = {name.lower() for name in re.findall(r"\bOP_(\w+)", SEQUENCER.read_text())}
"""Instructions that the sequencer names: a new one is tried at once."""
MOST_COLUMNS = 64
"""Columns of a block for which the sequencer has drift factors."""
MOST_BLOCKS = 256

FAULTS = {
    "ADC half up": 1,
    "ADC floor": 2,
    "ADC keeps the lowest code": 3,
    "ADC saturation lost": 4,
    "plus and minus swapped": 5,
    "accumulator keeps the column before": 6,
    "row address off by one": 7,
    "requantise half up": 8,
    "fill taken as 0": 9,
    "pool misses the last tap": 10,
    "operands of add swapped": 11,
    "epilogue high clamp lost": 12,
    "window one column to the right": 13,
    "shift one less": 14,
    "bias lost": 15,
}
"""Fault, by its name among those of the outsider's executor -> its number in sequencer.sv."""


def is_served(target: Mapping[str, Any]) -> bool:
    """Return whether the sequencer, with parameters, is a chip of this target, given by its sections."""
    adc = target["adc"]
    is_plain = target.get("read_phases", 1) == 1 and adc["codes"] == "symmetric" and adc["rounding"] == "nearest-even"
    return bool(is_plain and isinstance(target["array"]["tiles"], int))


def parameters(target: Mapping[str, Any]) -> dict[str, int]:
    """Return the parameters that make the sequencer a chip of a target."""
    array = target["array"]
    sizes = {"TILES": array["tiles"], "ROWS": array["rows"], "COLUMNS": array["columns"]}
    return {**sizes, "ADC_HIGH": (1 << target["adc"]["bits"] - 1) - 1}


def fits(case: Case) -> bool:
    """Return whether the sequencer executes a program: its instructions, no trap, one tile, cells programmed once."""
    instructions = case.program.instructions
    if not all(one.name in KNOWN and _is_small(one) for one in instructions) or " trap " in ours(case)[-1]:
        return False
    return not any(_meet(a, b) for a, b in combinations(_cells(case), 2)) and _has_image(case)


def _is_small(one: Instruction) -> bool:
    if one.name == "program" and (one["block"] >= MOST_BLOCKS or one["cols"] > MOST_COLUMNS):
        return False
    names = {field.name for field in one.spec.fields}
    return "tile" not in names or one["tile"] == 0 or (one.name == "gain" and one.choice("scope") == "all")


def _cells(case: Case) -> list[Region]:
    return [region(one) for one in case.program.instructions if one.name in ("program", "pattern")]


def _meet(a: Region, b: Region) -> bool:
    """Return whether two regions share cells: an image holds one programming of each."""
    rows = a.row < b.row + b.rows and b.row < a.row + a.rows
    return rows and a.col < b.col + b.cols and b.col < a.col + a.cols


def _has_image(case: Case) -> bool:
    try:
        return bool(list(memories(case.program)))
    except Refusal:
        return False


def lay(case: Case, folder: Path) -> str:
    """Write a program's image, of its tile the cells that it programs; return its line of runs.txt."""
    found = {one.name: one for one in (*memories(case.program), *data(case.program, case.codes))}
    folder.mkdir()
    for name in ("code", "constants", "activations"):
        (folder / f"{name}.hex").write_bytes(FORMS["readmemh"][1](words_of(found[name], None)[0]))
    columns = int(case.program.meta["target"]["array"]["columns"])
    for name in ("tile0_plus", "tile0_minus"):
        (folder / f"{name}.hex").write_text("".join(_sparse(found[name], _cells(case), columns)))
    port = case.program.outputs[0]
    sizes = [len(found[name].words) for name in ("code", "constants", "activations")]
    size = np.dtype(DTYPES[port.type]).itemsize * int(np.prod(port.shape))
    return " ".join(map(str, (folder.name, *sizes, port.base, size)))


def _sparse(plane: Memory, cells: Iterable[Region], columns: int) -> Iterator[str]:
    """Yield the lines of a plane that hold cells, each row with its address."""
    for one in cells:
        for row in range(one.row, one.row + one.rows):
            start = row * columns + one.col
            yield f"@{start:x}\n" + "".join(f"{word:04x}\n" for word in plane.words[start : start + one.cols].tolist())


def script() -> ModuleType:
    """Return samples/cosim/cosim.py."""
    spec = importlib.util.spec_from_file_location("cosim", SAMPLES / "cosim" / "cosim.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Rtl:
    """The sequencer built in a folder by a command of cosim.py."""

    folder: Path
    command: list[str]

    def traces(self, made: list[Case], last: int) -> dict[int, list[list[str]]]:
        """Return the traces of programs, one behind the other, without a fault and with each up to number `last`."""
        lines = [lay(case, self.folder / f"{number}") for number, case in enumerate(made)]
        (self.folder / "runs.txt").write_text("\n".join(lines) + "\n")
        subprocess.run([*self.command, f"+last={last}"], cwd=self.folder, check=True, capture_output=True)
        _, *runs = ("\n" + (self.folder / "chip.records").read_text()).split("\nrun ")
        found: dict[int, list[list[str]]] = {}
        for head, *records in (run.splitlines() for run in runs):
            found.setdefault(int(head.split()[1]), []).append(records)
        return found
