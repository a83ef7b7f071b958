"""Measure a device against the default path: images per second on the same codes, bits compared first.

Used by speed.py --device. A folder of kept programs needs neither models nor onnx where it is measured: `keep` writes
NAME.TARGET.cimb and NAME.TARGET.npz, an array of input codes for each port.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cimc.backends.interpreter import Interpreter
from cimc.backends.noise.sources import Noise
from cimc.isa.container import load_program, save_binary
from cimc.isa.program import Program

Codes = dict[str, np.ndarray]
Rates = Callable[[dict[str, Callable[[], Any]], int], dict[str, float]]


def keep(folder: Path, name: str, program: Program, codes: Codes) -> None:
    """Write a program and its input codes."""
    folder.mkdir(parents=True, exist_ok=True)
    save_binary(program, folder / f"{name}.cimb")
    np.savez_compressed(folder / f"{name}.npz", **codes)


def kept(folder: Path) -> Iterator[tuple[str, Program, Codes]]:
    """Yield what `keep` has written."""
    for file in sorted(folder.glob("*.cimb")):
        yield file.stem, load_program(file), dict(np.load(file.with_suffix(".npz")))


def measured(
    name: str,
    program: Program,
    codes: Codes,
    device: str,
    batches: list[int],
    noises: dict[str, Noise | None],
    rates: Rates,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each noise and batch: the default path on one thread, and the device."""
    model, _, target = name.rpartition(".")
    for kind, noise in noises.items():
        default = Interpreter(program, noise=noise)
        other = Interpreter(program, noise=noise, executor=device)
        _require_equal(default, other, {port: array[:32] for port, array in codes.items()})
        for batch in batches:
            given = {port: np.resize(array, (batch, *array.shape[1:])) for port, array in codes.items()}
            runs = {"cpu": lambda g=given, i=default: i.run(g), device: lambda g=given, i=other: i.run(g)}
            row = {"model": model, "target": target, "noise": kind, "batch": batch}
            yield row | {"images_per_s": rates(runs, batch)}


def _require_equal(default: Interpreter, other: Interpreter, codes: Codes) -> None:
    """Exit unless both give the same codes."""
    wanted, found = default.run(codes), other.run(codes)
    for port, array in wanted.items():
        if not np.array_equal(found[port], array):
            raise SystemExit(f"bench: the output {port} differs between the default path and the device")
