"""cimc image: a program, its data and its devices as the memories of a test bench."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cimc.backends.machine.origin import origin
from cimc.backends.noise.sources import Noise
from cimc.bringup.bench import bench
from cimc.bringup.files import image_files
from cimc.bringup.image import data, memories
from cimc.command_line.compensation_options import compensate
from cimc.command_line.files import keep_inputs, writing
from cimc.command_line.noise_options import noise_of
from cimc.command_line.tracing import instructions, sample_codes
from cimc.diagnostics import fail
from cimc.isa.atomic import write_files
from cimc.isa.container import load_program
from cimc.isa.encode import isa_hash
from cimc.isa.manifest import target_hash
from cimc.isa.program import Program


def image_command(options: argparse.Namespace) -> int:
    if options.only is not None and not options.input:
        raise fail("CIM0003", "--only writes what an instruction does with a sample", hint="give --input X.npz")
    program, noise = load_program(options.program), noise_of(options)
    program = compensate(program, options, noise)
    codes = _one_sample(program, options) if options.input else None
    if options.only is not None:
        files = _bench_files(program, options, codes or {}, noise)
    else:
        found = [*memories(program, noise), *(data(program, codes, noise) if codes else ())]
        files = image_files(program, found, options.format, options.width, _facts(program, codes, noise))
    _write(files, options)
    return 0


def _bench_files(
    program: Program, options: argparse.Namespace, codes: Mapping[str, NDArray[Any]], noise: Noise | None
) -> dict[str, bytes]:
    chosen = list(instructions(program, options.only, "--only"))
    if len(chosen) != 1:
        raise fail("CIM0003", f"--only {options.only} names {len(chosen)} instructions", hint="give one number")
    made = bench(program, codes, chosen[0], noise)
    facts = {**_facts(program, codes, noise), "instruction": chosen[0]}
    files = image_files(program, made.memories(), options.format, None, facts)
    return files | {"bench.sv": made.module().encode()}


def _one_sample(program: Program, options: argparse.Namespace) -> dict[str, NDArray[Any]]:
    if len(options.samples) != 1:
        raise fail("CIM0003", f"an image holds one sample, --samples names {len(options.samples)}")
    return {name: array[0] for name, array in sample_codes(program, options).items()}


def _facts(program: Program, codes: Mapping[str, NDArray[Any]] | None, noise: Noise | None) -> dict[str, Any]:
    """Return what the manifest says of the whole image."""
    found = origin(program, {name: array[None] for name, array in (codes or {}).items()})
    return {
        "program_sha256": found["program"],
        "target_sha256": target_hash(program.meta),
        "isa_sha256": isa_hash(),
        "inputs_sha256": found["inputs"] if codes else None,
        "noise": noise.description if noise else None,
        "seed": noise.seed if noise else None,
        "time_s": noise.time_s if noise else None,
        "devices": "as products see them; `program` need only define blocks",
        "address": "word n of a tile is row * columns + column, n = 0 first; bytes are little-endian in words",
    }


def _write(files: Mapping[str, bytes], options: argparse.Namespace) -> None:
    folder = Path(options.output)
    paths = {folder / name: (content,) for name, content in files.items()}
    keep_inputs(options, [], made=paths)
    with writing(folder / "manifest.json"):
        folder.mkdir(parents=True, exist_ok=True)
        write_files(paths)
