"""Show that a change of the code changes no result: keep what the compiler gives before and after it, and compare.

    python samples/bench/unchanged.py keep FOLDER [--models MODELS_FOLDER] [--only PATTERN] [--jobs N]
    python samples/bench/unchanged.py compare OLD NEW [--only PATTERN]

`keep` compiles the two sample models, two networks of the onnx package and every ONNX file of MODELS_FOLDER (which has
calibration and test sets in data/) for every target, with as many tiles as needed where a model does not fit. It keeps
program, ranges, and outputs of a few samples without noise and with; of what is refused, the error code. All of it is
made by `cimc` commands: the one beside this Python, or else of PATH. What FOLDER has already is left as it is, so a
folder belongs to one version of the code.

`compare` reads two such folders and prints a line for each model and target. Instructions, constants, conductances,
ports, ranges and outputs must be equal, or it ends with status 1. Other facts of the header, and names of layers in
locations and ranges, may differ: they are counted; so may what outputs say of their run. PATTERN selects by
MODEL/TARGET, such as 'kws*/ideal'.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = Path(__file__).parent.parent
ZOO = ("squeezenet", "shufflenet")
UNIT = ("--scale", "0.00392156862745098")
CENTRED = ("--offset", "-128")
FEEDING = (
    ("mnist_*", "mnist_calib512", "mnist_test10k", UNIT),
    ("resnet8_*_int8_*", "cifar10_calib256", "cifar10_test1000", CENTRED),
    ("resnet8_*", "cifar10_calib256", "cifar10_test1000", ()),
    ("kws_*_int8_*", "kws01_calib100", "kws01_test500", ()),
    ("kws_*", "kws01_calib100", "kws01_test500", ("--offset", "-83", "--scale", "0.5847029")),
    ("vww_*_int8_*", "vww_coco_calib64", "vww_coco_val128", CENTRED),
    ("vww_*", "vww_coco_calib64", "vww_coco_val128", UNIT),
    ("ad01_*_int8_*", "ad01_calib64", "ad01_test132", ("--offset", "34.80035561323166", "--scale", "2.55744513042162")),
    ("ad01_*", "ad01_calib64", "ad01_test132", ()),
)
"""Models by name -> calibration set, test set, options that make the model's inputs of them; the first match counts."""

RUNS: dict[str, tuple[str, ...]] = {"exact": (), "noisy": ("--noise", "pcm", "--seed", "1", "--time", "1d")}
FACTS = "run.facts"
"""What an output file says of its run, beside the outputs."""
STEPS = "steps.json"
"""How each command ended, `ok` or an error code. Written last: a folder without it is kept anew."""

DOES_NOT_FIT = "CIM0303"
USAGE, BUG = 2, 70
"""Exit statuses that are no answer about the model."""


@dataclass(frozen=True)
class Model:
    """An ONNX file, its data, how raw arrays are fed, and how many samples of the test set are run."""

    path: Path
    calibration: Path
    test: Path
    feeding: tuple[str, ...]
    samples: int = 16

    @property
    def name(self) -> str:
        return self.path.stem


def models(shared: Path | None, zoo: Path) -> Iterator[Model]:
    """Yield the models; those of the zoo are files that `lay` writes."""
    for name in ("digits", "digits_transformer"):
        calibration, test = SAMPLES / "digits_calib.npz", SAMPLES / "digits_test.npz"
        yield Model(SAMPLES / f"{name}.onnx", calibration, test, ("--scale", "0.0625"))
    for path in sorted(shared.glob("*.onnx")) if shared else ():
        yield shared_model(path)
    for name in ZOO:
        yield Model(zoo / f"{name}.onnx", zoo / f"{name}_calib.npz", zoo / f"{name}_test.npz", (), samples=2)


def shared_model(path: Path) -> Model:
    """Return a model with what FEEDING says of it."""
    for pattern, calibration, test, feeding in FEEDING:
        if fnmatchcase(path.stem, pattern):
            data = path.parent / "data"
            return Model(path, data / f"{calibration}.npz", data / f"{test}.npz", feeding)
    sys.exit(f"unchanged: nothing says which data {path.name} takes; add a line to FEEDING")


def lay(model: Model) -> None:
    """Write a network of the zoo, two images to calibrate it on and two others to run; the network last."""
    if model.path.exists():
        return
    import onnx
    from zoo_models import images, seeded_model

    made = seeded_model(model.name)
    model.path.parent.mkdir(parents=True, exist_ok=True)
    for path, seed in ((model.calibration, 7), (model.test, 1)):
        np.savez(path, **{made.graph.input[0].name: images(model.samples, seed)})
    onnx.save(made, model.path)


def command() -> list[str]:
    """Return how cimc is started."""
    beside = Path(sys.executable).with_name("cimc")
    found = str(beside) if beside.exists() else shutil.which("cimc")
    return [found] if found else [sys.executable, "-m", "cimc"]


def ended(*arguments: str) -> str:
    """Run cimc; return `ok`, or the codes of its errors. Raises RuntimeError on wrong usage and on a bug."""
    done = subprocess.run([*command(), *arguments], capture_output=True, text=True)
    codes = re.findall(r"^error\[(\w+)\]", done.stderr, re.MULTILINE)
    if done.returncode and (not codes or done.returncode in (USAGE, BUG)):
        raise RuntimeError(f"cimc {' '.join(arguments)}\nended with status {done.returncode}\n{done.stderr}")
    return " ".join(codes) if done.returncode else "ok"


def made(model: Model, target: str, folder: Path) -> dict[str, str]:
    """Compile and run one model for one target into a folder; return how each step ended."""
    data, program = ["--calib", str(model.calibration), *model.feeding], str(folder / "program.asm")
    files = ["-o", program, "--write-ranges", str(folder / "ranges.json")]
    steps = {}
    for tiles, option in (("own", []), ("auto", ["--tiles", "auto"])):
        code = ended("compile", str(model.path), "--target", target, *option, *data, *files)
        steps = {"tiles": tiles, "compile": code}
        if code != DOES_NOT_FIT:
            break
    inputs = ["--input", str(model.test), *model.feeding, "--limit", str(model.samples), "--codes"]
    for run, noise in RUNS.items() if code == "ok" else ():
        steps[run] = ended("run", program, *inputs, *noise, "-o", str(folder / f"{run}.npz"))
    return steps


def keep_one(model: Model, target: str, folder: Path) -> bool:
    """Keep one model on one target in its place in the folder, and say so; return whether cimc answered."""
    start, folder = time.perf_counter(), folder / model.name / target
    folder.mkdir(parents=True, exist_ok=True)
    try:
        steps = made(model, target, folder)
    except RuntimeError as error:
        print(f"{model.name}/{target}: {error}", file=sys.stderr, flush=True)
        return False
    (folder / STEPS).write_text(json.dumps(steps) + "\n")
    told = ", ".join(f"{step} {how}" for step, how in steps.items())
    print(f"{model.name}/{target}: {told}, {time.perf_counter() - start:.1f} s", flush=True)
    return True


def targets() -> list[str]:
    """Return the names of all targets: the first words of a table, whose head some versions print and some do not."""
    listed = subprocess.run([*command(), "target", "list"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [line.split()[0] for line in listed.splitlines() if line.split() and line.split()[0] != "target"]


def keep(options: argparse.Namespace) -> int:
    """Keep what is selected and not there yet; return the exit status."""
    print(f"by {' '.join(command())}", file=sys.stderr, flush=True)
    every = [(m, t) for m in models(options.models, options.folder / "zoo") for t in targets()]
    chosen = [(m, t) for m, t in every if fnmatchcase(f"{m.name}/{t}", options.only)]
    wanted = [(m, t) for m, t in chosen if not (options.folder / m.name / t / STEPS).exists()]
    for model in {model: None for model, _ in wanted if model.name in ZOO}:
        lay(model)
    start = time.perf_counter()
    with ThreadPoolExecutor(options.jobs) as pool:
        answered = list(pool.map(lambda one: keep_one(one[0], one[1], options.folder), wanted))
    seconds, there = time.perf_counter() - start, len(chosen) - len(wanted)
    print(f"{sum(answered)} of {len(wanted)} kept in {seconds:.0f} s, {there} were there", file=sys.stderr)
    return 0 if chosen and all(answered) else 1


@dataclass
class Kept:
    """What was kept of one model on one target: parts that must not change, and facts that may."""

    parts: dict[str, Sequence[Any]] = field(default_factory=dict)
    ranges: dict[str, str] = field(default_factory=dict)
    header: dict[str, str] = field(default_factory=dict)
    locations: list[str] = field(default_factory=list)


def read(folder: Path) -> Kept:
    """Return what a folder holds."""
    steps = json.loads((folder / STEPS).read_text())
    kept = Kept({"steps": [f"{step} {how}" for step, how in sorted(steps.items())]})
    if steps["compile"] == "ok":
        _read_program(kept, folder)
        ranges = json.loads((folder / "ranges.json").read_text())
        kept.header["what calibration saw"] = str(ranges.pop("inputs", None))
        kept.ranges = dict(_flat(ranges, str))
    for run in RUNS:
        if steps.get(run) == "ok":
            kept.parts |= _outputs(run, folder / f"{run}.npz")
    return kept


def _read_program(kept: Kept, folder: Path) -> None:
    """Add what text and payload of a program say: directives, then instructions each under the last location."""
    instructions: list[str] = []
    ports: list[str] = []
    payload, location = b"", ""
    for line in (folder / "program.asm").read_text().splitlines():
        directive, _, rest = line.partition(" ")
        if not directive:
            instructions.append(rest.strip())
            kept.locations.append(location)
        elif directive == ".loc":
            location = rest
        elif directive in (".input", ".output"):
            ports.append(f"{directive} {_port(kept, rest)}")
        elif directive == ".activation":
            ports.append(line)
        elif directive == ".payload":
            payload = (folder / json.loads(rest)).read_bytes()
        elif directive in (".constants", ".conductances"):
            size = int(rest.split()[0])
            kept.parts[directive[1:]], payload = payload[:size], payload[size:]
        elif directive == ".code":
            kept.parts["hash of the code"] = [rest]
        else:
            kept.header |= _facts(directive, rest)
    kept.parts |= {"instructions": instructions, "ports": ports, "rest of the payload": payload}


def _port(kept: Kept, text: str) -> str:
    """Return what a port says of codes; what makes real values of raw data goes to the facts."""
    port = json.loads(text)
    kept.header[f"{port['name']}.preprocessing"] = str(port.pop("preprocessing", None))
    return json.dumps(port)


def _facts(directive: str, rest: str) -> dict[str, str]:
    """Return the facts of a line of the header, except those that say what other lines say."""
    if directive in (".target", ".manifest"):
        return {}
    if directive != ".meta":
        return {directive: rest}
    key, end = json.JSONDecoder().raw_decode(rest)
    return dict(_flat({key: json.loads(rest[end:])}, str))


def _flat(facts: Mapping[str, Any], text: Callable[[Any], str]) -> Iterator[tuple[str, str]]:
    """Yield the facts with those of the first level of nesting in place of their mapping."""
    for key, value in facts.items():
        nested = {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
        yield from ((name, text(one)) for name, one in nested.items())


def _outputs(run: str, path: Path) -> dict[str, Sequence[Any]]:
    """Return the bytes of each array, and what they mean."""
    with np.load(path) as found:
        arrays = {name: found[name] for name in sorted(found) if name != FACTS}
    forms = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    return {f"{run} arrays": forms} | {f"{run} {name}": array.tobytes() for name, array in arrays.items()}


def difference(old: Sequence[Any], new: Sequence[Any]) -> str:
    """Say how many elements of two sequences differ, and the first that does; nothing if none."""
    if old == new:
        return ""
    pairs = enumerate(zip_longest(old, new, fillvalue="nothing"))
    found = [f"number {place} was {a} and is {b}" for place, (a, b) in pairs if a != b]
    return f"{len(found)} of {max(len(old), len(new))}, {found[0]}" if found else ""


def _ranges(old: dict[str, str], new: dict[str, str]) -> str:
    """Say how ranges differ, whatever their layers are called if the names are not the same."""
    if old.keys() == new.keys():
        return difference(sorted(old.items()), sorted(new.items()))
    return difference(sorted(old.values()), sorted(new.values()))


def changes(old: Kept, new: Kept) -> list[str]:
    """Return a phrase for each part that must not differ and does."""
    names = [*old.parts, *(name for name in new.parts if name not in old.parts)]
    found = {name: difference(old.parts.get(name, b""), new.parts.get(name, b"")) for name in names}
    found["ranges"] = _ranges(old.ranges, new.ranges)
    return [f"{name}: {text}" for name, text in found.items() if text]


def remarks(old: Kept, new: Kept) -> list[str]:
    """Return a phrase for each fact that may differ and does."""
    header = sorted(key for key in old.header.keys() | new.header.keys() if old.header.get(key) != new.header.get(key))
    locations = sum(a != b for a, b in zip_longest(old.locations, new.locations))
    names = len(new.ranges.keys() - old.ranges.keys())
    found = [f"header: {' '.join(header)}"] if header else []
    found += [f"locations differ: {locations}"] if locations else []
    return found + ([f"names of ranges differ: {names}"] if names else [])


def combinations(folder: Path, pattern: str) -> list[str]:
    """Return what a folder holds, as MODEL/TARGET."""
    found = (path.parent.relative_to(folder).as_posix() for path in folder.glob(f"*/*/{STEPS}"))
    return sorted(name for name in found if fnmatchcase(name, pattern))


def verdict(old: Path, new: Path) -> tuple[str, list[str]]:
    """Return whether two combinations are the same, in words, and what differs that may."""
    if not (new / STEPS).exists():
        return "missing in NEW", []
    before, after = read(old), read(new)
    compiled = before.parts["steps"][0]
    same = "same" if compiled == "compile ok" else f"same: {compiled}"
    return "; ".join(changes(before, after)) or same, remarks(before, after)


def compare(options: argparse.Namespace) -> int:
    """Print the table and its sum; return the exit status."""
    before, after = (combinations(folder, options.only) for folder in (options.old, options.new))
    print("| model | target | verdict | may differ |\n| --- | --- | --- | --- |")
    equal = 0
    for name in before:
        found, noted = verdict(options.old / name, options.new / name)
        equal += found.startswith("same")
        print(f"| {' | '.join((*name.split('/'), found, '; '.join(noted)))} |", flush=True)
    print(f"\n{equal} of {len(before)} are the same; {len(set(after) - set(before))} are in NEW alone")
    return 0 if before and equal == len(before) else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    keeping = commands.add_parser("keep", help="keep what every model gives on every target")
    keeping.add_argument("folder", type=Path)
    keeping.add_argument("--models", type=Path, metavar="FOLDER", help="ONNX files, and data/ beside them")
    keeping.add_argument("--jobs", type=int, default=1, metavar="N", help="models compiled at once (default 1)")
    comparing = commands.add_parser("compare", help="compare what two versions gave")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    for part, work in ((keeping, keep), (comparing, compare)):
        part.add_argument("--only", default="*", metavar="PATTERN", help="some of MODEL/TARGET, such as 'kws*/ideal'")
        part.set_defaults(work=work)
    options = parser.parse_args()
    sys.exit(options.work(options))


if __name__ == "__main__":
    main()
