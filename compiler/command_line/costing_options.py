"""Options of the commands that say what programs take and how they differ."""

import argparse

from cimc.command_line.feeding_options import add_feeding_options
from cimc.command_line.shared_options import add_chip, add_threads


def add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", metavar="X.npz", help="arrays by the model's input names, or x; .html does without")
    parser.add_argument("--eval", metavar="EVAL.json", help="what `cimc eval --json` printed, for the page")
    parser.add_argument("--compare", metavar="COMPARE.json", help="what `cimc compare -o` wrote, for the page")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="REPORT.html|.json|.csv",
        help="a page that needs nothing else; layers, blocks and columns as one JSON object; or one line a column",
    )
    add_threads(parser)
    add_chip(parser)


def add_cost(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="prog.asm", nargs="?")
    parser.add_argument(
        "--peak", metavar="TARGET", help="say what a target or a priced macro, by name or .toml file, does at its peak"
    )
    parser.add_argument(
        "--check", action="store_true", help="hold the model against published chips; status 1 where a row fails"
    )
    parser.add_argument(
        "--why",
        metavar="ENERGY",
        choices=("energy", "array", "digital", "requant", "memory", "control", "leak"),
        help="the terms of the energy, or of one component's: counter x price, largest first",
    )
    parser.add_argument(
        "--by",
        choices=("layer", "tile", "component", "instruction"),
        default="layer",
        help="what a row is (default layer)",
    )
    parser.add_argument("--input", metavar="X.npz", help="count what data decide as well: the program runs on them")
    parser.add_argument(
        "--basis",
        choices=("published", "bottom-up"),
        default="published",
        help="prices of the array: fitted to a chip's published figures (default), or the sum of component models",
    )
    add_feeding_options(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="everything as one JSON object")
    output.add_argument("--csv", action="store_true", help="one line a row, every counter")


def add_diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "before", metavar="A", help="a program, a target or priced macro by name or .toml, or a report as .json"
    )
    parser.add_argument("after", metavar="B", help="the same of another making")
    parser.add_argument(
        "--fail-on",
        action="append",
        default=[],
        metavar="CONDITION",
        help="end with status 1 where a value changed so much, such as 'energy>5%%' or 'accuracy<-1%%'",
    )
    parser.add_argument("--json", action="store_true", help="the changes as one JSON object")


def add_schedule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT.pftrace|.vcd|.html",
        help="a trace for Perfetto, waves, or a page (the first two need the extra `trace`)",
    )
