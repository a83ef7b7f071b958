"""The table "one ADC range for all layers" of docs/noise-accuracy.md: what each choice of S costs each layer.

    python samples/bench/adc_range.py MODELS_FOLDER [--only resnet8]

r_ADC = S * r_DAC * W_max. On calibration data alone, as the pass `column-ranges` weighs it: per layer the power of ADC
rounding (resolution) and of conductance rounding and error (grows where columns are made smaller so that nothing
clips) in dB of the layer's signal, at the S that suits the layer alone and at the common one.
"""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

from noise_table import MODELS

from cimc.driving.arrays import feed, load_arrays
from cimc.driving.driver import Request, compile_to_stage, graph_intakes, run_pipeline
from cimc.driving.feeding import EVERY
from cimc.ir.xbar import MvmOp
from cimc.passes.column_ranges import ColumnRanges, Statistics, measured
from cimc.passes.gains import full_scales
from cimc.passes.pipeline import DEFAULT
from cimc.targets import load_target


def statistics(name: str, folder: Path) -> Mapping[str, Statistics]:
    """Return what the array sums of each layer do on the model's calibration data."""
    model, calib, _, feeding, _ = MODELS[name]
    options = (option.removeprefix("--") for option in feeding[::2])
    stated = {EVERY: dict(zip(options, map(float, feeding[1::2]), strict=True))}
    target, path = load_target("aon-cim"), folder / f"{model}.onnx"
    arrays = load_arrays(f"{folder}/data/{calib}.npz")
    graph = compile_to_stage(path, Request(target), "import")
    data = feed(arrays, graph_intakes(graph, stated), calib)
    road = DEFAULT.partition(",column-ranges")[0]
    graph = run_pipeline(graph, Request(target, road, data=lambda shapes: data))
    layers = [op for op in graph.operations if isinstance(op, MvmOp)]
    return measured(graph, layers, data, target, shared=False)


def decibels(share: float) -> str:
    return f"{10 * math.log10(share):.1f}" if share > 0 else "-"


def print_table(name: str, found: Mapping[str, Statistics]) -> None:
    target, error = load_target("aon-cim"), ColumnRanges(load_target("aon-cim")).error
    unit, high = target.dac_range.high * target.full_conductance, target.adc_range.high
    scales = list(full_scales(max(float(layer.largest.max()) for layer in found.values())))

    def total(layers: list[Statistics], scale: float) -> float:
        return sum(sum(layer.noise_shares(scale, high, error)) for layer in layers)

    common = min(scales, key=lambda scale: total(list(found.values()), scale))
    print(f"\n### {name}: S = {common / unit:.2f}\n")
    print(
        "| layer | own S | resolution, conductance dB | common S: resolution, conductance dB | columns made smaller % |"
    )
    print("| --- | --- | --- | --- | --- |")
    for label, layer in found.items():
        own = min(scales, key=lambda scale, layer=layer: total([layer], scale))
        pairs = [", ".join(map(decibels, layer.noise_shares(scale, high, error))) for scale in (own, common)]
        print(f"| {label} | {own / unit:.2f} | {pairs[0]} | {pairs[1]} | {100 * (layer.largest > common).mean():.0f} |")
    print("\n| S | all layers dB |\n| --- | --- |")
    for scale in scales[:32:4]:
        print(f"| {scale / unit:.2f} | {decibels(total(list(found.values()), scale))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=MODELS)
    options = parser.parse_args()
    for name in [options.only] if options.only else MODELS:
        print_table(name, statistics(name, options.folder))


if __name__ == "__main__":
    main()
