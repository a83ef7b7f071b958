"""Compare the ways to map weights to conductances: accuracy with and without noise, devices, ADC conversions.

    python samples/bench/mappings.py MODEL.onnx CALIB.npz TEST.npz [--target aon-cim] [--noise pcm] [--time 1d]
        [--seeds 5] [--mappings differential,offset,sliced] [--adc-bits 8,10] [--feed "--scale 0.0039"] [--limit N]

Every row is made by `cimc compile` and `cimc eval`; results go to standard output as Markdown.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from cimc.targets import DEFAULT_TARGET

HEAD = ("| mapping | ADC | devices | conversions | noise-free | with noise |", "| --- | --- | --- | --- | --- | --- |")


def cimc(*arguments: str) -> str:
    """Run one command, shown on stderr, and return what it prints."""
    print("cimc " + shlex.join(arguments), file=sys.stderr, flush=True)
    return subprocess.run(["cimc", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def with_adc(target: str, bits: str, folder: Path) -> str:
    """Return a target file like `target` with an ADC of so many bits."""
    text = cimc("target", "show", target)
    head, section, rest = text.partition("[adc]\n")
    path = folder / f"{target}-{bits}.toml"
    path.write_text(head + section + re.sub(r"bits = \{ value = \d+", f"bits = {{ value = {bits}", rest, count=1))
    return str(path)


def row(options: argparse.Namespace, mapping: str, bits: str, folder: Path) -> str:
    program, feed = str(folder / "p.cimb"), shlex.split(options.feed)
    target = with_adc(options.target, bits, folder) if bits else options.target
    made = ["--target", target, "--tiles", "auto", "--set", f"weight-mapping{{weights={mapping}}}", "-o", program]
    facts = json.loads(cimc("compile", options.model, "--calib", options.calib, *feed, *made, "--json"))
    limit = ["--limit", str(options.limit)] if options.limit else []
    scored = ["eval", program, "--data", options.test, *feed, *limit]
    exact = json.loads(cimc(*scored, "--json"))["accuracy"]
    noisy = cimc(*scored, "--noise", options.noise, "--time", options.time, "--seeds", str(options.seeds), "--json")
    (at,) = json.loads(noisy)["times"]
    cells = (mapping, bits or "-", f"{facts['devices']:,}", f"{facts['conversions']:,}", f"{100 * exact:.1f} %")
    return f"| {' | '.join(cells)} | {100 * at['mean']:.1f} ± {100 * at['deviation']:.1f} % |"


def main() -> None:
    parser = argparse.ArgumentParser(description="compare the ways to map weights to conductances")
    parser.add_argument("model")
    parser.add_argument("calib")
    parser.add_argument("test")
    parser.add_argument("--target", default=DEFAULT_TARGET)
    parser.add_argument("--noise", default="pcm")
    parser.add_argument("--time", default="1d")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--mappings", default="differential,offset,sliced")
    parser.add_argument("--adc-bits", default="", help="bits of the ADC, several separated by commas")
    parser.add_argument("--feed", default="", help="options for the data, such as --scale 0.0039")
    parser.add_argument("--limit", type=int, help="samples scored")
    options = parser.parse_args()
    print("\n".join(HEAD), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for bits in options.adc_bits.split(","):
            for mapping in options.mappings.split(","):
                print(row(options, mapping, bits, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
