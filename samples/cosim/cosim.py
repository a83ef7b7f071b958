"""The compiled digits network in a simulator of SystemVerilog, its trace held against ours.

`python samples/cosim/cosim.py --help` lists the options; README.md beside it says what they show.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent
SCALE = ("--scale", "0.0625")
HEAD_LINES = 10
"""Lines of a trace before the first record: its head, and the sample's number."""


def cimc(*arguments: str) -> str:
    """Run a command, which must end well or find a difference; return its output."""
    found = subprocess.run([sys.executable, "-m", "cimc", *arguments], capture_output=True, text=True)
    if found.returncode > 1:
        raise SystemExit(found.stderr)
    return found.stdout


def prepare(folder: Path, noise: list[str]) -> None:
    """Compile the network; write its image, our trace, and the package of the instruction set."""
    folder.mkdir(parents=True, exist_ok=True)
    program, data = str(folder / "digits.cimb"), ["--input", str(SAMPLES / "digits_test.npz")]
    cimc("compile", str(SAMPLES / "digits.onnx"), "--calib", str(SAMPLES / "digits_calib.npz"), *SCALE, "-o", program)
    cimc("image", program, *data, *noise, "-o", str(folder))
    (folder / "runs.txt").write_text(listed(folder) + "\n")
    only = ["--only", all_but_programming(program)] if noise else []
    cimc("trace", program, *data, *noise, *only, "-o", str(folder / "ours.trace"))
    write_package(folder)


def write_package(folder: Path) -> None:
    """Write the package of the instruction set, which the sequencer imports."""
    package = subprocess.run(
        [sys.executable, "-m", "cimc.isa.headers", "--sv"], capture_output=True, text=True, check=True
    )
    (folder / "cimc_isa.sv").write_text(package.stdout)


def all_but_programming(program: str) -> str:
    """Return the numbers of all instructions but `program`: the image holds what devices conduct, not their targets."""
    lines = [line.split() for line in cimc("objdump", program, "--numbers").split("\n") if line[:1] == " "]
    return ",".join(number for number, _, name, *_ in lines if name != "program")


def build(folder: Path, simulator: str, parameters: Mapping[str, int] = MappingProxyType({})) -> list[str]:
    """Build the simulation of a tile with these parameters; return the command that runs it."""
    sources = [str(folder / "cimc_isa.sv"), str(HERE / "sequencer.sv")]
    if simulator == "icarus":
        sized = [f"-Psequencer.{name}={value}" for name, value in parameters.items()]
        subprocess.run(["iverilog", "-g2012", *sized, "-o", str(folder / "sequencer"), *sources], check=True)
        return ["vvp", "-n", str(folder / "sequencer")]
    options = [
        "--binary",
        "-O3",
        "-Wno-fatal",
        "-Wno-lint",
        "--top-module",
        "sequencer",
        "--Mdir",
        str(folder / "verilated"),
        *(f"-G{name}={value}" for name, value in parameters.items()),
    ]
    subprocess.run(["verilator", *options, *sources], check=True, capture_output=True)
    return [str(folder / "verilated" / "Vsequencer")]


def listed(folder: Path) -> str:
    """Return the line of runs.txt for the image in this folder: its sizes, and the place of the output."""
    about = json.loads((folder / "manifest.json").read_text())
    words = {one["memory"]: one["words"] for one in about["memories"]}
    sizes = [words.get(name, 0) for name in ("code", "constants", "activations")]
    port = json.loads(about["program"])["outputs"][0]
    size = {"i8": 1, "u8": 1, "i16": 2, "u16": 2, "i32": 4, "i64": 8}[port["type"]] * math.prod(port["shape"])
    return " ".join(str(one) for one in (".", *sizes, port["base"], size))


def simulate(folder: Path, command: list[str], fault: int) -> None:
    """Run one sample; write its trace, with the head of ours."""
    subprocess.run([*command, f"+fault={fault}"], cwd=folder, check=True, capture_output=True)
    head = (folder / "ours.trace").read_text().split("\n")[:HEAD_LINES]
    head = ["only -" if line.startswith("only ") else line for line in head]
    _, records = (folder / "chip.records").read_text().split("\n", 1)
    (folder / "chip.trace").write_text("\n".join(head) + "\n" + records)


def lock_step(folder: Path, fault: int) -> str:
    """Run one sample in Icarus beside the golden model (lockstep.py, by cocotb); return what differs first, or ""."""
    from cocotb import config  # only this needs it

    facts = {
        "MODULE": "lockstep",
        "TOPLEVEL": "sequencer",
        "TOPLEVEL_LANG": "verilog",
        "COCOTB_RESULTS_FILE": "lockstep.xml",
        "LIBPYTHON_LOC": config.find_libpython.find_libpython(),
        "VIRTUAL_ENV": sys.prefix,  # where the simulator's Python finds what this one has
        "PYTHONPATH": str(HERE),
    }
    library = ["-M", config.libs_dir, "-m", config.lib_name("vpi", "icarus")]
    command = ["vvp", "-n", *library, "sequencer", f"+fault={fault}"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, env={**os.environ, **facts})
    differs = re.search("AssertionError: (.*)", done.stdout)
    if not differs and " PASS=1 " not in done.stdout:
        raise SystemExit(done.stdout + done.stderr)
    return differs[1] if differs else ""


def main() -> int:
    """Prepare, build, simulate, compare; the exit status is that of the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulator", choices=("icarus", "verilator"), default="icarus")
    parser.add_argument("--fault", type=int, default=0)
    parser.add_argument("--noise")
    parser.add_argument("--lock-step", action="store_true", help="hold each instruction against the golden model")
    parser.add_argument("--folder", type=Path, default=Path("cosim-run"))
    options = parser.parse_args()
    noise = ["--noise", options.noise, "--seed", "1", "--time", "1d"] if options.noise else []
    if options.lock_step and (options.noise or options.simulator != "icarus"):
        parser.error("--lock-step goes with icarus and without --noise")
    if options.lock_step and find_spec("cocotb") is None:
        parser.error("--lock-step needs cocotb, which is not installed here: pip install '.[cosim]'")
    prepare(options.folder, noise)
    command = build(options.folder, options.simulator)
    if options.lock_step:
        differs = lock_step(options.folder, options.fault)
        print(differs or "equal: each instruction wrote what the golden model did")
        return bool(differs)
    started = time.perf_counter()
    simulate(options.folder, command, options.fault)
    print(f"{options.simulator}: one sample in {time.perf_counter() - started:.1f} s")
    traces = [str(options.folder / f"{name}.trace") for name in ("ours", "chip")]
    answer = cimc("trace-diff", *traces, "--program", str(options.folder / "digits.cimb"))
    print(answer, end="")
    return 0 if answer.startswith("equal") else 1


if __name__ == "__main__":
    sys.exit(main())
