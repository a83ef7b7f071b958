"""The ONNX files inside packages as people ship them: which compile, which are wrong, which are refused, and why.

    python samples/bench/packages.py FOLDER [--target ideal] [--with 'NAME.onnx --shape INPUT=1,3,48,192']

FOLDER holds unpacked packages (wheels, npm tarballs), each in a folder of its own; nothing of them is installed or run.
Every ONNX file is compiled as it is, without calibration data: what counts is the front end, held against onnxruntime
by the float check of `cimc compile`, not accuracy. Where the refusal says so, the file is compiled with --unbatched;
sizes that a file leaves open are stated with --with. The table goes to standard output as Markdown.
"""

import argparse
import json
import re
import shlex
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from compiling import Run, measured

COLUMNS = ("package", "file", "verdict", "options", "seconds", "why")
VERDICTS = {0: "compiles", 1: "wrong"}
REFUSED = (2, 3, 4, 5, 6)
"""Exit statuses that are the user's to mend; any other one is a crash."""


def main() -> None:
    parser = argparse.ArgumentParser(description="compile the ONNX files of unpacked packages")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", default="ideal")
    parser.add_argument("--with", dest="stated", action="append", default=[], metavar="'NAME.onnx OPTION...'")
    options = parser.parse_args()
    stated = {name: rest for name, *rest in map(shlex.split, options.stated)}
    print(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|", flush=True)
    found: Counter[str] = Counter()
    for package in sorted(path for path in options.folder.iterdir() if path.is_dir()):
        for model in sorted(package.rglob("*.onnx")):
            cells = row(model, options.target, stated.get(model.name, []))
            found[cells[0]] += 1
            print(f"| {' | '.join([version(package), str(model.relative_to(package)), *cells])} |", flush=True)
    print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.items())))


def version(package: Path) -> str:
    """Return the name and version that a package states of itself, else the name of its folder."""
    for metadata in package.glob("*.dist-info/METADATA"):
        facts = dict(re.findall(r"^(Name|Version): (.+)$", metadata.read_text(), re.MULTILINE))
        return f"{facts.get('Name', package.name)} {facts.get('Version', '')}".strip()
    for manifest in (package / "package.json", package / "package" / "package.json"):
        if manifest.is_file():
            stated = json.loads(manifest.read_text())
            return f"{stated.get('name', package.name)} {stated.get('version', '')}".strip()
    return package.name


def row(model: Path, target: str, options: Sequence[str]) -> list[str]:
    """Compile one file; return verdict, the options that it took, the seconds, and why it does not compile."""
    tried = list(options)
    run = compiled(model, target, tried)
    if run.status in REFUSED and "--unbatched" in run.errors and "--unbatched" not in tried:
        tried.append("--unbatched")
        run = compiled(model, target, tried)
    verdict = VERDICTS.get(run.status) or ("refused" if run.status in REFUSED else f"status {run.status}")
    why = " ".join(reasons(run)).replace(f"{model}: ", "").replace("|", "/")
    return [verdict, " ".join(tried) or "-", f"{run.seconds:.1f}", why or "-"]


def compiled(model: Path, target: str, options: Sequence[str]) -> Run:
    """Compile a file with the float check beside it; the program is dropped."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "program.cimb")
        return measured(["cimc", "compile", str(model), "--target", target, *options, "-o", program])


def reasons(run: Run) -> Iterator[str]:
    """Yield the first error, or what the float check found."""
    lines = [*run.output.splitlines(), *run.errors.splitlines()]
    yield from [line for line in lines if line.startswith("FAILED") or "error[" in line][:1]


if __name__ == "__main__":
    main()
