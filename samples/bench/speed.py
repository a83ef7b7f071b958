"""Measure the interpreter against onnxruntime's float32 and int8, one thread each: images a second, medians, ratios.

python samples/bench/speed.py [--models FOLDER] [--large NAME ...] [--targets NAME ...] [--json FILE]
python samples/bench/speed.py --device NAME [--models FOLDER] [--keep FOLDER] [--batches N ...]
python samples/bench/speed.py --device NAME --programs FOLDER [--batches N ...]

FOLDER holds the ONNX files and data/*.npz of MODELS; without it the sample model is measured. Where the int8 file of a
network lies beside (sessions.py), both are measured, and "over the better" is relative to the faster of them. Large
networks are those of zoo_models.py, for the target ideal. Inputs are codes for the interpreter and what onnxruntime
takes, all in memory. All sides take turns within each repeat, so that other load on the machine falls on all, and
seconds are the processor's own but for two threads; ratios within one run are what to compare. Results go to standard
output as Markdown.

With --device, a device is measured against the default path instead, once their bits were found equal. --keep writes
programs and input codes to a folder; --programs reads them from there, and then needs numpy and torch alone.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import devices
import numpy as np
from sessions import Run, peers

from cimc.backends.interpreter import Interpreter, on_processor
from cimc.backends.machine import ports
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import DEFAULTS
from cimc.isa.container import load_program

SAMPLES = Path(__file__).parent.parent
BATCHES = (1, 32, 128)
LARGE = ("squeezenet", "resnet50", "densenet121", "vgg19")
LARGE_BATCHES = (1, 8)
REPEATS = 5
SECONDS = 0.1
"""Least time of one repeat; short runs are repeated within it."""
DAY_S = 86400
THREADED_IMAGES = 1024

PEERS = ("float32", "int8")
COLUMNS = ("model", "target", "batch", *PEERS, "exact", "over the better", "frozen / exact", "fresh / float32")


@dataclass(frozen=True)
class Model:
    """A model, its calibration data, the data it is timed on, and how raw arrays are fed: (x + offset) * scale."""

    path: Path
    calibration: Path
    data: Path
    scale: float = 1.0
    offset: float = 0.0

    def inputs(self, count: int) -> np.ndarray:
        """Return `count` float32 inputs in the model's shape, rows repeated where there are too few."""
        arrays = np.load(self.data)
        rows = arrays["x" if "x" in arrays else arrays.files[0]].astype(np.float32)
        return np.resize((rows + np.float32(self.offset)) * np.float32(self.scale), (count, *rows.shape[1:]))


MODELS = (
    ("resnet8_cifar10_fp32", "cifar10_calib256", "cifar10_test1000", 1.0, 0.0),
    ("kws_dscnn_fp32", "kws01_calib100", "kws01_test500", 0.5847029, -83.0),
    ("mnist_lenet5_fp32", "mnist_calib512", "mnist_test10k", 1 / 255, 0.0),
    ("vww_mobilenetv1_fp32", "vww_coco_calib64", "vww_coco_val128", 1 / 255, 0.0),
)


def models(folder: Path | None) -> list[Model]:
    """Return the models to measure."""
    if folder is None:
        return [Model(*(SAMPLES / f"digits{end}" for end in (".onnx", "_calib.npz", "_test.npz")), scale=0.0625)]
    data = folder / "data"
    return [Model(folder / f"{name}.onnx", data / f"{c}.npz", data / f"{t}.npz", *rest) for name, c, t, *rest in MODELS]


def large(names: list[str], folder: Path) -> Iterator[Model]:
    """Yield the large networks of these names, laid into a folder."""
    import zoo  # imports onnx

    for name in names:
        zoo.lay(name, folder, max(LARGE_BATCHES))
        yield Model(*(folder / f"{name}{end}" for end in (".onnx", "_calib.npz", "_test.npz")))


def compiled(model: Model, target: str) -> Any:
    """Return the program of a model, on as many tiles as it needs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "program.cimb"
        feeding = ["--scale", repr(model.scale), "--offset", repr(model.offset)]
        command = ["cimc", "compile", str(model.path), "--calib", str(model.calibration), *feeding]
        made = ["--target", target, "--tiles", "auto", "-o", str(file), "--json"]
        subprocess.run([*command, *made], check=True, stdout=subprocess.DEVNULL)
        return load_program(file)


def rates(runs: dict[str, Run], images: int, clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Return images per second of a clock: medians of runs that take turns."""
    loops = {}
    for name, run in runs.items():
        run()
        start = clock()
        run()
        loops[name] = max(1, round(SECONDS / (clock() - start)))
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            start = clock()
            for _ in range(loops[name]):
                run()
            seconds[name].append((clock() - start) / loops[name])
    return {name: images / statistics.median(times) for name, times in seconds.items()}


def runner(interpreter: Interpreter, codes: dict[str, Any]) -> Run:
    return lambda: interpreter.run(codes)


def noises(profile: str) -> dict[str, Noise | None]:
    """Return what is measured: no noise, devices that stay as they are, and fresh noise for each product."""
    return {
        "exact": None,
        "frozen noise": Noise(load_profile(profile), seed=1, time_s=DAY_S),
        "cycle noise": Noise(load_profile(profile), seed=1, time_s=DAY_S, sources=frozenset({*DEFAULTS, "cycle"})),
    }


def measured(model: Model, target: str, profile: str) -> Iterator[dict[str, Any]]:
    """Yield one row per batch, and one for two threads."""
    program = compiled(model, target)
    port, x = program.inputs[0], model.inputs(THREADED_IMAGES)
    codes = ports.quantise(port, x.reshape(-1, *port.model_shape))
    interpreters = {k: Interpreter(program, noise=n) for k, n in noises(profile).items()}
    for batch in BATCHES:
        ours = {k: runner(i, {port.name: codes[:batch]}) for k, i in interpreters.items()}
        yield _row(model, target, batch, rates(peers(model.path, x, batch) | ours, batch, time.process_time))
    threads = {f"{n} threads": runner(Interpreter(program, threads=n), {port.name: codes}) for n in (1, 2)}
    yield _row(model, target, len(codes), rates(threads, len(codes)))


def measured_large(model: Model, target: str) -> Iterator[dict[str, Any]]:
    """Yield one row per batch, without noise."""
    program = compiled(model, target)
    port, x = program.inputs[0], model.inputs(max(LARGE_BATCHES))
    codes, exact = ports.quantise(port, x.reshape(-1, *port.model_shape)), Interpreter(program)
    for batch in LARGE_BATCHES:
        runs = peers(model.path, x, batch) | {"exact": runner(exact, {port.name: codes[:batch]})}
        yield _row(model, target, batch, rates(runs, batch, time.process_time))


def _row(model: Model, target: str, batch: int, found: dict[str, float]) -> dict[str, Any]:
    return {"model": model.path.stem, "target": target, "batch": batch, "images_per_s": found}


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    names = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "processor": names[0].split(":")[1].strip() if names else platform.machine(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "kernels": on_processor()[-1],
        "python": platform.python_version(),
        "numpy": np.__version__,
        **{name: version(name) for name in ("onnxruntime", "torch") if find_spec(name)},
    }


def accelerator(device: str | None) -> dict[str, str]:
    """Return the name of the accelerator that is measured."""
    if device is None or not device.startswith("cuda"):
        return {}
    import torch

    return {"accelerator": torch.cuda.get_device_name(device)}


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def table(row: dict[str, Any]) -> str:
    """Return a row of a device's report: images per second, and the ratio to the first column."""
    found = row["images_per_s"]
    first = next(iter(found.values()))
    cells = [f"{name} {rate:9,.0f} ({rate / first:4.2f})" for name, rate in found.items()]
    label = f"{row['model']:22} {row['target']:10} {row['noise']:12} {row['batch']:5}"
    return "  ".join([label, *cells])


def line(row: dict[str, Any]) -> str:
    """Return a row of COLUMNS; that of two threads has their ratio to one in words."""
    found = row["images_per_s"]
    cells = [row["model"], row["target"], str(row["batch"])]
    if "2 threads" in found:
        ratio = f"two threads {found['2 threads'] / found['1 threads']:.2f} times one"
        return f"| {' | '.join([*cells, '-', '-', _figure(found['1 threads']), ratio, '-', '-'])} |"
    cells += [_figure(found.get(name)) for name in (*PEERS, "exact")]
    better = max(found.get(name, 0.0) for name in PEERS)
    ratios = (found["exact"] / better, _ratio(found, "frozen noise", "exact"), _ratio(found, "cycle noise", "float32"))
    return f"| {' | '.join([*cells, *(f'{ratio:.2f}' if ratio else '-' for ratio in ratios)])} |"


def _ratio(found: dict[str, float], name: str, other: str) -> float | None:
    return found[name] / found[other] if name in found else None


def _figure(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def rows_on_processor(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the rows against onnxruntime."""
    for target in options.targets:
        for model in models(options.models):
            yield from measured(model, target, options.profile)
    with tempfile.TemporaryDirectory() as folder:
        for model in large(options.large, Path(folder)):
            yield from measured_large(model, "ideal")


def rows_on_device(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the rows of a device against the default path."""
    for name, program, codes in programs(options):
        wanted = noises(options.profile)
        yield from devices.measured(name, program, codes, options.device, options.batches, wanted, rates)


def programs(options: argparse.Namespace) -> Iterator[tuple[str, Any, devices.Codes]]:
    """Yield (model.target, program, input codes): compiled, and kept if there is a folder for them, or kept before."""
    if options.programs:
        yield from devices.kept(options.programs)
        return
    for target in options.targets:
        for model in models(options.models):
            name, program = f"{model.path.stem}.{target}", compiled(model, target)
            port = program.inputs[0]
            x = model.inputs(max(BATCHES))
            codes = {port.name: ports.quantise(port, x.reshape(-1, *port.model_shape))}
            if options.keep:
                devices.keep(options.keep, name, program, codes)
            yield name, program, codes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, metavar="FOLDER")
    parser.add_argument("--large", nargs="*", default=[], choices=LARGE, metavar="NAME", help=f"of {', '.join(LARGE)}")
    parser.add_argument("--targets", nargs="+", default=["aon-cim", "hermes-64"], metavar="NAME")
    parser.add_argument("--profile", default="pcm", metavar="NAME", help="noise profile (default pcm)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    parser.add_argument("--device", metavar="NAME", help="measure this device: cuda, cuda:N, torch:cpu")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES, metavar="N", help="with --device")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="with --device: write programs and codes here")
    parser.add_argument("--programs", type=Path, metavar="FOLDER", help="with --device: what --keep has written")
    options = parser.parse_args()
    missing = [
        path for path in (options.programs, *(m.path for m in models(options.models))) if path and not path.exists()
    ]
    if missing:
        sys.exit(f"bench: {missing[0]} does not exist")
    facts = machine() | accelerator(options.device)
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    if not options.device:
        print(f"\n| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|")
    rows = []
    for row in rows_on_device(options) if options.device else rows_on_processor(options):
        print(table(row) if options.device else line(row), flush=True)
        rows.append(row)
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
