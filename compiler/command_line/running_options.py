"""Options of the commands that run programs and judge them."""

import argparse

from cimc.command_line.bound_options import add_bound_options
from cimc.command_line.compensation_options import add_compensation_options
from cimc.command_line.feeding_options import add_feeding_options
from cimc.command_line.noise_options import add_noise_options
from cimc.command_line.numbers import count, whole
from cimc.command_line.programs import add_program
from cimc.command_line.shared_options import add_chip, add_json, add_model_root, add_threads


def _device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="NAME",
        help="what computes: cpu (default), cuda, cuda:N or torch:cpu, with the same bits (needs the extra `gpu`)",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    add_program(parser)
    parser.add_argument("--input", metavar="X.npz", help="arrays by the model's input names, or x")
    parser.add_argument("--from", dest="start", metavar="LAYER", help="start at a layer, or an ONNX node, on --with")
    parser.add_argument("--with", dest="given", metavar="T.npz", help="codes of the tensors that --from needs")
    parser.add_argument("--keep", metavar="T.npz", help="write the codes of every tensor, for --with of another run")
    parser.add_argument("-o", "--output", metavar="Y.npz", help="outputs by the model's output names")
    parser.add_argument("--print", action="store_true", help="show the five largest outputs of the first samples")
    parser.add_argument("--codes", action="store_true", help="add the integer codes as NAME.codes")
    parser.add_argument(
        "--layers", action="store_true", help="add the codes of every layer, as check-silicon reads them"
    )
    parser.add_argument("--adc", action="store_true", help="with --layers, add the raw codes of every layer's ADCs")
    add_threads(parser)
    _device(parser)
    add_chip(parser)


def add_verify(parser: argparse.ArgumentParser) -> None:
    add_model_root(parser)
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", required=True, metavar="X.npz", help="inputs to prove it on")
    parser.add_argument(
        "--reference-samples",
        type=whole,
        metavar="N",
        help="samples given to the literal reference too (default: as many as about 10 s allow)",
    )
    add_bound_options(parser, "fail")
    floating = parser.add_mutually_exclusive_group()
    floating.add_argument("--no-float", action="store_true", help="leave out what the model file itself computes")
    floating.add_argument("--require-float", action="store_true", help="fail where nothing else runs the model file")
    add_json(parser)
    add_feeding_options(parser)


def add_compare(parser: argparse.ArgumentParser) -> None:
    add_model_root(parser)
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", required=True, metavar="X.npz", help="arrays by the model's input names, or x")
    parser.add_argument("-o", "--output", metavar="REPORT.json|.csv", help="write the table as well")
    add_chip(parser)


def add_eval(parser: argparse.ArgumentParser) -> None:
    add_program(parser)
    parser.add_argument("--data", required=True, metavar="D.npz", help="arrays x (or the input's name) and y")
    parser.add_argument(
        "--metric",
        choices=("accuracy", "mse"),
        default="accuracy",
        help="top-1 accuracy, or mean squared error against the input",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with n and accuracy (or mse)")
    parser.add_argument("--plot", metavar="OUT.png", help="draw the score over time (needs the extra `plot`)")
    add_threads(parser)
    _device(parser)
    add_noise_options(parser, sweep=True)
    add_compensation_options(parser)
    add_feeding_options(parser)


def add_sweep(parser: argparse.ArgumentParser) -> None:
    add_model_root(parser)
    parser.add_argument("sweep", metavar="SWEEP.toml|pareto", help="the models and the grid (docs/sweeps.md)")
    parser.add_argument("table", nargs="?", metavar="TABLE.parquet", help="behind `pareto`: what a sweep wrote")
    parser.add_argument("--x", default="energy", metavar="MEASURE", help="of pareto: energy (default), latency ...")
    parser.add_argument("--y", default="accuracy", metavar="MEASURE", help="of pareto: accuracy (default), mse ...")
    parser.add_argument("--plot", metavar="OUT.png", help="of pareto: draw it (needs the extra `plot`)")
    parser.add_argument("-o", "--output", metavar="OUT.parquet", help="the table (default: SWEEP.parquet beside it)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="use this Dask cluster instead of processes of its own")
    parser.add_argument("--workers", type=count, metavar="N", help="processes (default: all cores)")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
