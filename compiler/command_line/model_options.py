"""Options of the commands that take a model or a graph."""

import argparse
import math
from collections.abc import Callable
from typing import Any

from cimc.command_line.bound_options import add_bound_options
from cimc.command_line.feeding_options import add_feeding_options
from cimc.command_line.noise_options import add_aim_options, add_training_noise_options, add_tuning_noise_options
from cimc.command_line.numbers import count, percent, whole
from cimc.command_line.shared_options import add_json, add_model_root, add_target


def _specialising(parser: argparse.ArgumentParser) -> None:
    """Add what is said of a model file that it leaves open (specialising.py)."""
    parser.add_argument(
        "--unbatched", action="store_true", help="no axis of the model is a batch: one run of it is one sample"
    )
    _repeatable(
        parser, "--shape", _shape, "INPUT=1,3,48,192",
        "sizes of an input that the file leaves open, ? where one stays open; may be repeated for other inputs",
    )  # fmt: skip
    _repeatable(
        parser, "--constant", _constant, "INPUT=NUMBER",
        "what an input always is, such as a sample rate: it becomes a constant; may be repeated for other inputs",
    )  # fmt: skip


def _repeatable(
    parser: argparse.ArgumentParser, option: str, type_: Callable[[str], Any], form: str, about: str
) -> None:
    parser.add_argument(option, action="append", default=[], type=type_, metavar=form, help=about)


def _shape(text: str) -> tuple[str, tuple[int | None, ...]]:
    """Return the name of an input and the size of each of its axes, None for one that is not stated."""
    name, equals, sizes = text.rpartition("=")
    parts = [part.strip() for part in sizes.split(",")]
    if not name or not equals or not all(part == "?" or (part.isascii() and part.isdigit()) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of an input, =, and a size for each axis")
    if any(part != "?" and not 0 < int(part) < 1 << 31 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: a size is at least 1 and below 2^31")
    return name, tuple(None if part == "?" else int(part) for part in parts)


def _constant(text: str) -> tuple[str, float]:
    """Return the name of an input and the number that it always is."""
    name, _, number = text.rpartition("=")
    value = _number(number)
    if not name or not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of an input, =, and a number")
    return name, value


def _number(text: str) -> float:
    """Return the number that a text is, NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _tiles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tiles",
        type=lambda text: text if text == "auto" else count(text),
        metavar="N|auto",
        help="tiles in place of the target's own number, as of several chips; auto: as many as needed",
    )


def _observing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--print-ir-after", metavar="PASS|all|changed", help="print the IR behind this pass to stderr")
    parser.add_argument("--generic", action="store_true", help="print IR in full, as files hold it")
    parser.add_argument("--timing", action="store_true", help="print the seconds of each pass to stderr")


def _compiling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL.onnx", help="the trained model")
    add_target(parser, "; see `cimc target list`")
    add_model_root(parser)
    _specialising(parser)
    _tiles(parser)
    parser.add_argument("--calib", metavar="DATA.npz", help="inputs to calibrate ranges on")
    parser.add_argument("--ranges", metavar="FILE", help="ranges written by --write-ranges, instead of calibration")
    parser.add_argument("--pass-pipeline", metavar="STR", help="passes and options instead of the default pipeline")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PASS{OPTION=VALUE}",
        help="set options of a pass, such as 'split{rows=greedy}'; may be repeated for other passes",
    )
    _observing(parser)
    add_feeding_options(parser, codes=False)


def add_compile(parser: argparse.ArgumentParser) -> None:
    _compiling(parser)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="prog.asm (text, with prog.payload beside it) or prog.cimb (binary)",
    )
    parser.add_argument(
        "--no-float-check",
        action="store_true",
        help="do not hold the imported graph against onnxruntime on two samples",
    )
    parser.add_argument("--write-ranges", metavar="FILE", help="write the ranges found, for --ranges")
    parser.add_argument(
        "--compile-to",
        metavar="STAGE",
        default="program",
        help="stop at import, graph, quantised, tile or program (default); "
        "writes IR text, and its weights beside it as .safetensors",
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="STAGE",
        help="go on from IR text: MODEL.onnx is then t.mlir, at stage import, graph, quantised or tile",
    )
    parser.add_argument(
        "--dump-stages", metavar="DIR", help="write the IR of every stage as DIR/1-import.mlir, DIR/2-graph.mlir ..."
    )
    parser.add_argument(
        "--check-passes",
        action="store_true",
        help="evaluate the graph behind every pass on made-up data, and fail at the pass that changes more than it may",
    )
    parser.add_argument("--all-layers", action="store_true", help="show every layer, not the first twelve")
    add_json(parser)
    add_bound_options(parser, "raise the bits of layers, and fail at the end,")
    add_aim_options(parser)


def add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL.onnx", help="the trained model, which is the teacher as it is")
    parser.add_argument("--data", required=True, metavar="D.npz", help="inputs to train and to judge on")
    parser.add_argument("--labels", action="store_true", help="the data have classes y, to be learnt as well")
    parser.add_argument(
        "--unlabelled", metavar="E.npz", help="more inputs to train on, of any kind: the teacher says what they are"
    )
    add_target(parser)
    _tiles(parser)
    add_model_root(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="TRAINED.onnx", help="the model with other weights, or TRAINED.mlir"
    )
    parser.add_argument(
        "--ranges", metavar="R.json", help="train with the bits that `cimc tune` chose; ranges are found anew"
    )
    parser.add_argument("--ranges-out", metavar="R.json", help="write the trained model's ranges, for --ranges")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE|PASS{OPTION=VALUE}",
        help="change a setting (docs/training.md), or set options of a pass as for `cimc compile`",
    )
    parser.add_argument("--seed", metavar="N", help="of everything random (default 0): equal seeds give equal bytes")
    parser.add_argument(
        "--most-lost",
        type=percent,
        default=2.0,
        metavar="P",
        help="percent of the samples kept back that may become wrong without noise (default 2)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run that was stopped")
    add_training_noise_options(parser)
    add_feeding_options(parser, codes=False)


def add_tune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL.onnx", help="the trained model")
    parser.add_argument(
        "--calib", required=True, metavar="D.npz", help="inputs, without labels: most give ranges, the rest judges"
    )
    add_target(parser)
    _tiles(parser)
    add_model_root(parser)
    parser.add_argument("-o", "--output", required=True, metavar="R.json", help="what was chosen, for --ranges")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PASS{OPTION=VALUE}", help="options that are not to be chosen"
    )
    parser.add_argument(
        "--within",
        type=_shares,
        metavar="UNIT=SHARE[,SHARE...]",
        help="choose bits in place of ranges: the array takes this share of its ns or nJ, the weights of their bytes; "
        "of several shares each gives a file R-SHARE.json, and all of them a front",
    )
    parser.add_argument(
        "--by", choices=("greedy", "tpe", "exhaustive"), help="with --within: how bits are looked for (default greedy)"
    )
    parser.add_argument(
        "--trials", type=count, metavar="N", help="choices that optuna asks for, of bits with --by tpe (default 30)"
    )
    parser.add_argument(
        "--objective",
        choices=("noise", "agreement", "accuracy"),
        default="noise",
        help="what judges: noise of the outputs (default), the share of samples of the float model's class, or of y",
    )
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of the search and of what is kept back")
    add_tuning_noise_options(parser)
    add_feeding_options(parser, codes=False)


def _shares(text: str) -> tuple[str, tuple[float, ...]]:
    """Return a unit of costs and the shares that are granted, above 0 and at most 1 each, no two equal."""
    unit, _, numbers = text.partition("=")
    shares = tuple(map(_number, numbers.split(",")))
    fits = all(0.0 < share <= 1.0 for share in shares) and len({f"{share:g}" for share in shares}) == len(shares)
    if unit not in ("ns", "nJ", "bytes") or not fits:
        message = f"{text!r} is not ns, nJ or bytes, =, and shares that differ, above 0 and at most 1"
        raise argparse.ArgumentTypeError(message)
    return unit, shares


def add_export(parser: argparse.ArgumentParser) -> None:
    _compiling(parser)
    parser.add_argument("-o", "--output", required=True, metavar="golden.onnx")
    parser.add_argument("--codes", action="store_true", help="also output the integer codes of every value")


def add_opt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module", metavar="IR.mlir", help="IR text; its weights lie beside it in IR.safetensors")
    parser.add_argument(
        "--pass-pipeline", default="", metavar="STR", help="passes and options; none: parse, verify, print"
    )
    add_target(parser)
    _tiles(parser)
    parser.add_argument("--calib", metavar="DATA.npz")
    parser.add_argument("--ranges", metavar="FILE")
    _observing(parser)
    parser.add_argument(
        "-o", "--output", metavar="OUT.mlir", help="write text and weights instead of printing the text"
    )
    add_feeding_options(parser, codes=False)


def add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL.onnx")
    add_model_root(parser)
    _specialising(parser)
    add_json(parser)
