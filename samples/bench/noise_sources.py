"""The tables "source by source" and "layer by layer" of docs/noise-accuracy.md: what limits accuracy under PCM noise.

    python samples/bench/noise_sources.py MODELS_FOLDER [--seeds 20] [--only resnet8]

One day after the first read, with gain and offset refitted. Every number comes from `cimc eval` and `cimc report`,
which are printed; results go to standard output as Markdown.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from noise_table import MODELS, cimc

DEFAULT = ("programming", "drift", "read")
FURTHER = ("cycle", "output", "adc", "dac", "stuck", "ir_drop")
CHIPS, SAMPLES = 5, 100
"""Chips and samples of the table by layers, and at most so many chips for sources beyond the default: they are slow."""


class Model:
    """One compiled model, scored and reported on with chosen sources."""

    def __init__(self, name: str, folder: Path, made: Path, seeds: int) -> None:
        model, calib, test, self.feeding, self.count = MODELS[name]
        self.made, self.seeds, self.program = made, seeds, str(made / f"{name}.cimb")
        self.test = str(folder / "data" / f"{test}.npz")
        self.calib = ["--calib", str(folder / "data" / f"{calib}.npz")]
        cimc("compile", str(folder / f"{model}.onnx"), "-o", self.program, *self.calib, *self.feeding, "--json")

    def accuracy(self, sources: Sequence[str]) -> str:
        """Return mean and standard deviation over chips, in %."""
        seeds = self.seeds if set(sources) <= set(DEFAULT) else min(self.seeds, CHIPS)
        arguments = ["eval", self.program, "--data", self.test, "--limit", str(self.count), *self.feeding, "--json"]
        found = cimc(*arguments, *self._noise(sources), "--seeds", str(seeds))
        (row,) = json.loads(found)["times"]
        return f"{100 * row['mean']:.1f} ± {100 * row['deviation']:.1f}" if seeds > 1 else f"{100 * row['mean']:.1f}"

    def layers(self) -> Iterator[list[str]]:
        """Yield the cells of each layer: node, and per source and for all the mean over chips of its ratios in dB."""
        kinds = [(source,) for source in DEFAULT] + [DEFAULT]
        reports = [[self._report(kind, seed) for seed in range(CHIPS)] for kind in kinds]
        for index, layer in enumerate(reports[-1][0]["layers"]):
            ratios = [_mean([chip["layers"][index]["exact_sensitivity_db"] for chip in chips]) for chips in reports]
            accumulated = _mean([chip["layers"][index]["exact_accumulated_db"] for chip in reports[-1]])
            range_, conductance = (f"{100 * layer[key]:.0f}" for key in ("range_share", "conductance_share"))
            yield [layer["layer"], *ratios, accumulated, range_, conductance]

    def _report(self, sources: Sequence[str], seed: int) -> dict:
        report = str(self.made / "report.json")
        arguments = ["report", self.program, "--input", self.test, "--limit", str(SAMPLES), *self.feeding]
        cimc(*arguments, *self._noise(sources), "--seed", str(seed), "-o", report)
        return json.loads(Path(report).read_text())

    def _noise(self, sources: Sequence[str]) -> list[str]:
        noise = ["--noise", "pcm", "--time", "1d", "--sources", ",".join(sources)]
        return [*noise, "--compensation", "refit", *self.calib]


def _mean(ratios: Sequence[float | None]) -> str:
    known = [ratio for ratio in ratios if ratio is not None]
    return f"{statistics.fmean(known):.1f}" if known else "-"


def print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", choices=MODELS)
    options = parser.parse_args()
    for name in [options.only] if options.only else MODELS:
        with tempfile.TemporaryDirectory() as made:
            model = Model(name, options.folder, Path(made), options.seeds)
            print(f"\n### {name}, {model.count} samples, {options.seeds} chips\n")
            print_row("source", "alone %", "all three without it, or with it added %")
            print_row("---", "---", "---")
            print_row("programming, drift, read", model.accuracy(DEFAULT), "")
            for source in DEFAULT:
                others = [other for other in DEFAULT if other != source]
                print_row(source, model.accuracy([source]), f"without: {model.accuracy(others)}")
            for source in FURTHER:
                print_row(source, model.accuracy([source]), f"added: {model.accuracy([*DEFAULT, source])}")
            print(f"\nBy layer, {CHIPS} chips, {SAMPLES} samples:\n")
            print_row(
                "layer", *(f"{s} dB" for s in DEFAULT), "all dB", "accumulated dB", "ADC range %", "conductance %"
            )
            print_row(*["---"] * 8)
            for cells in model.layers():
                print_row(*cells)


if __name__ == "__main__":
    main()
