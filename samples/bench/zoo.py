"""The table of docs/zoo.md: nine classification networks at full size, compiled, run and verified.

    python samples/bench/zoo.py [--models NAME,NAME] [--targets hermes-64,ideal] [--images N] [--folder KEEP]

`make zoo` runs this. Every row is made by `cimc compile --tiles auto`, `cimc run` and `cimc verify`; results go to
standard output as Markdown. The weights are seeded (zoo_models.py), so accuracy means nothing: what counts is that the
program equals its graph, and how far the integers are from the floats.
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from compiling import Run, measured
from zoo_models import NAMES, images, seeded_model

TARGETS = ("hermes-64", "ideal")
COLUMNS = (
    "model",
    "target",
    "tiles",
    "static instructions",
    "compile",
    "memory",
    "verify",
    "on the reference",
    "against float",
    "same top-1",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="compile, run and verify the networks inside the onnx package")
    parser.add_argument("--models", default=",".join(NAMES), help="names, separated by commas")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--images", type=int, default=2, help="images run and verified (default 2)")
    parser.add_argument("--folder", help="keep models, data and programs here")
    options = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.folder or scratch)
        for name in options.models.split(","):
            lay(name, folder, options.images)
            for target in options.targets.split(","):
                print(row(name, target, folder), flush=True)
            if not options.folder:
                for path in folder.iterdir():
                    path.unlink()


def lay(name: str, folder: Path, count: int) -> None:
    """Write a network, images to calibrate it on, and other images to verify it on."""
    model = seeded_model(name)
    onnx.save(model, folder / f"{name}.onnx")
    for kind, number, seed in (("calib", 8, 7), ("test", count, 1)):
        np.savez(folder / f"{name}_{kind}.npz", **{model.graph.input[0].name: images(number, seed)})


def row(name: str, target: str, folder: Path) -> str:
    """Compile, run and verify one network for one target; return its line of the table."""
    model, program = str(folder / f"{name}.onnx"), str(folder / f"{name}-{target}.cimb")
    calib, test = str(folder / f"{name}_calib.npz"), str(folder / f"{name}_test.npz")
    options = ["--calib", calib, "--target", target, "--tiles", "auto", "-o", program, "--json"]
    made = ended(["cimc", "compile", model, *options])
    facts = json.loads(made.output)
    ended(["cimc", "run", program, "--input", test, "-o", str(folder / "y.npz")])
    proof = ended(["cimc", "verify", model, program, "--input", test], allowed=(0, 1))
    chips = f" ({facts['chips']} chips)" if facts.get("chips", 1) > 1 else ""
    cells = [
        name,
        f"`{target}`",
        f"{facts['tiles']}{chips}",
        str(facts["static_instructions"]),
        f"{made.seconds:.0f} s",
        f"{made.peak_mib:.0f} MiB",
        *verdict(proof.output),
    ]
    return f"| {' | '.join(cells)} |"


def ended(command: list[str], allowed: tuple[int, ...] = (0,)) -> Run:
    """Run a command that must end with one of some statuses."""
    found = measured(command)
    if found.status not in allowed:
        sys.exit(f"zoo: `{' '.join(command)}` ended with status {found.status}\n{found.errors}")
    return found


def verdict(output: str) -> list[str]:
    """Return what `cimc verify` found: the verdict, the share on the reference, and the distance from float."""
    if "\nok: every tensor equal" not in output:
        return [output.strip().splitlines()[-1].replace("|", "/"), "-", "-", "-"]
    share = re.search(r"reference: (\d+) of (\d+) elements", output)
    part = f"{int(share[1]):,} of {int(share[2]):,} elements" if share else "whole"
    found = re.search(r"quantisation noise (\S+ dB), same top-1 on (\S+ %)", output)
    return ["every tensor equal", part, *(found.groups() if found else ("-", "-"))]


if __name__ == "__main__":
    main()
