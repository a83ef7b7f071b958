"""Options of the commands that hold silicon and RTL against the golden model."""

import argparse

from cimc.command_line.noise_options import add_noise_options
from cimc.command_line.numbers import chips, share, span, whole
from cimc.command_line.shared_options import add_chip, add_json, add_model_root, add_target


def _samples(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--samples", type=span, default=range(1), metavar="FIRST:END", help="samples of the file (default 0:1)"
    )


def add_bands(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", required=True, metavar="X.npz", help="arrays by the model's input names, or x")
    parser.add_argument("-o", "--output", required=True, metavar="BANDS.npz")
    parser.add_argument(
        "--confidence", type=share, default=0.99, metavar="P", help="share of good chips that pass (default 0.99)"
    )
    parser.add_argument("--seeds", type=chips(2), default=50, metavar="M", help="chips drawn (default 50)")
    add_json(parser)
    add_chip(parser, measured=False)


def add_check_silicon(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bands", metavar="BANDS.npz", help="written by `cimc bands`")
    add_json(parser)
    parser.add_argument("measured", metavar="MEASURED.npz", help="codes by layer, as `cimc run --layers` writes them")


def add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument(
        "weight", nargs="?", metavar="INITIALISER[I,J,...]", help="with ONNX's own index; or a node's name"
    )
    parser.add_argument("--model", required=True, metavar="MODEL.onnx", help="what the program was compiled from")
    for name, what in (("tile", "T"), ("row", "R"), ("col", "C")):
        parser.add_argument(f"--{name}", type=whole, metavar=what, help=f"the {name} of a cell: whose is it?")
    parser.add_argument("-o", "--output", metavar="ALL.csv|.parquet", help="write every place, one line each")
    add_noise_options(parser)
    add_model_root(parser)


def add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", metavar="X.npz", help="a sample: activation memory and expected outputs as well")
    _samples(parser)
    parser.add_argument(
        "--only", metavar="N", help="one mvm or capture with its numbers, and a module that checks them"
    )
    parser.add_argument("--format", choices=("readmemh", "raw", "npy"), default="readmemh", help="form of the files")
    parser.add_argument(
        "--width", type=int, choices=(8, 16, 32, 64, 128, 256), default=8, help="bits of a word of bytes (default 8)"
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the files and manifest.json")
    add_chip(parser)


def add_trace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", required=True, metavar="X.npz", help="arrays by the model's input names, or x")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.trace", help="the form is in docs/formats.md")
    _samples(parser)
    parser.add_argument("--vectors", default="", metavar="N,...", help="write every vector of these instructions too")
    parser.add_argument("--only", metavar="LAYER|N,...", help="keep the records of these layers or instructions only")
    parser.add_argument("--streams", action="store_true", help="a record for every change of a stream as well")
    add_chip(parser)


def add_trace_diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("expected", metavar="EXPECTED.trace", help="what `cimc trace` wrote")
    parser.add_argument("found", metavar="FOUND.trace", help="what a test bench or a chip wrote")
    parser.add_argument("--program", metavar="prog.asm", help="say what the record is about")
    parser.add_argument("--input", metavar="X.npz", help="compute its numbers again, with the program")
    _samples(parser)
    add_chip(parser)


def add_debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", required=True, metavar="X.npz", help="arrays by the model's input names, or x")
    parser.add_argument("--commands", metavar="FILE", help="one command a line; without it they come from the terminal")
    _samples(parser)
    add_chip(parser)


def add_conformance(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="write NAME.cimb and NAME.trace of each, and input.npz")
    parser.add_argument("--coverage", nargs="+", metavar="prog.asm", help="what these programs cover together instead")
