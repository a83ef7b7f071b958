"""Every command and option of the command line, as one table of parsers."""

import argparse
from collections.abc import Callable
from importlib import import_module

from cimc import __version__
from cimc.command_line.compensation_options import add_compensation_options
from cimc.command_line.feeding_options import add_feeding_options
from cimc.command_line.forms import FORMS, OPTION
from cimc.command_line.noise_options import add_aim_options, add_noise_options, add_training_noise_options
from cimc.command_line.numbers import chips, count, factor, finite, percent, share, span, whole
from cimc.command_line.parsing import Parser
from cimc.command_line.programs import add_program
from cimc.isa.sections import SECTIONS

Command = Callable[[argparse.Namespace], int]


def _late(module: str, function: str) -> Command:
    """Return a command that imports its module when it runs, so that --help stays fast."""

    def command(options: argparse.Namespace) -> int:
        found: Command = getattr(import_module(f"cimc.command_line.{module}"), function)
        return found(options)

    return command


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `cimc`; the chosen command is in `options.run`."""
    parser = Parser(
        prog="cimc",
        description="Compile trained ONNX models to programs for analog compute-in-memory tiles, run and verify them.",
    )
    parser.add_argument("--version", action="version", version=f"cimc {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (
        _compile,
        _train,
        _run,
        _verify,
        _compare,
        _eval,
        _sweep,
        _report,
        _cost,
        _diff,
        _schedule,
        _bands,
        _check_silicon,
        _export,
        _where,
        _image,
        _trace,
        _trace_diff,
        _debug,
        _conformance,
        _asm,
        _objdump,
        _lint,
        _opt,
        _check,
        _target,
        _noise,
        _passes,
        _explain,
        _doctor,
        _completion,
    ):
        add(commands)
    return parser


Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(commands: "Commands", name: str, summary: str, run: Command) -> argparse.ArgumentParser:  # type: ignore[valid-type]
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)  # type: ignore[attr-defined]
    parser.set_defaults(run=run)
    parser.add_argument(
        "--budget",
        action="append",
        metavar="NAME=NUMBER",
        help="grant files of others more or less than usual, such as nodes=200000 or model_bytes=3GiB",
    )
    parser.add_argument(
        OPTION, choices=FORMS, default=FORMS[0], help="errors and warnings as text (default), or one JSON object a line"
    )
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the same facts as one JSON object")


def _model_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model-root", metavar="FOLDER", help="the file may name others anywhere in FOLDER, by any path or link"
    )


def _add_chip(parser: argparse.ArgumentParser) -> None:
    """Add what a run on a chip asks: its noise, what makes up for drift, and what the data are."""
    add_noise_options(parser)
    add_compensation_options(parser)
    add_feeding_options(parser)


def _threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=count, metavar="N", help="images go over N threads (default: all cores)")


def _unbatched(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--unbatched", action="store_true", help="no axis of the model is a batch: one run of it is one sample"
    )


def _shapes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        type=_shape,
        metavar="INPUT=1,3,48,192",
        help="sizes of an input that the file leaves open, ? where one stays open; may be repeated for other inputs",
    )


def _shape(text: str) -> tuple[str, tuple[int | None, ...]]:
    """Return the name of an input and the size of each of its axes, None for one that is not stated."""
    name, equals, sizes = text.rpartition("=")
    parts = [part.strip() for part in sizes.split(",")]
    if not name or not equals or not all(part == "?" or (part.isascii() and part.isdigit()) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of an input, =, and a size for each axis")
    if any(part != "?" and not 0 < int(part) < 1 << 31 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: a size is at least 1 and below 2^31")
    return name, tuple(None if part == "?" else int(part) for part in parts)


def _tiles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tiles",
        type=lambda text: text if text == "auto" else count(text),
        metavar="N|auto",
        help="tiles in place of the target's own number, as of several chips; auto: as many as needed",
    )


def _device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="NAME",
        help="what computes: cpu (default), cuda, cuda:N or torch:cpu, with the same bits (needs the extra `gpu`)",
    )


def _observing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--print-ir-after", metavar="PASS|all|changed", help="print the IR behind this pass to stderr")
    parser.add_argument("--generic", action="store_true", help="print IR in full, as files hold it")
    parser.add_argument("--timing", action="store_true", help="print the seconds of each pass to stderr")


def _compiling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL.onnx", help="the trained model")
    parser.add_argument(
        "--target",
        default="aon-cim",
        metavar="NAME|FILE.toml",
        help="the chip (default aon-cim; see `cimc target list`)",
    )
    _model_root(parser)
    _unbatched(parser)
    _shapes(parser)
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


def _compile(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(commands, "compile", "compile an ONNX model to a program", _late("compiling", "compile_command"))
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
    parser.add_argument("--all-layers", action="store_true", help="show every layer, not the first twelve")
    _json(parser)
    add_aim_options(parser)


def _train(commands: "Commands") -> None:  # type: ignore[valid-type]
    summary = "train a model's weights to keep their accuracy on noisy chips"
    parser = _command(commands, "train", summary, _late("training", "train_command"))
    parser.add_argument("model", metavar="MODEL.onnx", help="the trained model, which is the teacher as it is")
    parser.add_argument("--data", required=True, metavar="D.npz", help="inputs to train and to judge on")
    parser.add_argument("--labels", action="store_true", help="the data have classes y, to be learnt as well")
    parser.add_argument("--target", default="aon-cim", metavar="NAME|FILE.toml", help="the chip (default aon-cim)")
    _tiles(parser)
    _model_root(parser)
    parser.add_argument("-o", "--output", required=True, metavar="TRAINED.onnx", help="the model with other weights")
    parser.add_argument("--ranges-out", metavar="R.json", help="write the trained model's ranges, for --ranges")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting (docs/training.md)"
    )
    parser.add_argument("--seed", metavar="N", help="of everything random (default 0): equal seeds give equal bytes")
    parser.add_argument(
        "--most-lost",
        type=factor,
        default=2.0,
        metavar="P",
        help="percent of the samples kept back that may become wrong without noise (default 2)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run that was stopped")
    add_training_noise_options(parser)
    add_feeding_options(parser, codes=False)


def _run(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(commands, "run", "run a program on inputs", _late("running", "run_command"))
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
    _threads(parser)
    _device(parser)
    _add_chip(parser)


def _verify(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands, "verify", "prove that a program is its model, tensor by tensor", _late("verifying", "verify_command")
    )
    _model_root(parser)
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", required=True, metavar="X.npz", help="inputs to prove it on")
    parser.add_argument(
        "--reference-samples",
        type=whole,
        metavar="N",
        help="samples given to the literal reference too (default: as many as about 10 s allow)",
    )
    parser.add_argument("--min-sqnr", type=finite, metavar="DB", help="fail where an output's quality is below this")
    parser.add_argument(
        "--min-top1", type=percent, metavar="PERCENT", help="fail where fewer samples have the float model's top-1"
    )
    floating = parser.add_mutually_exclusive_group()
    floating.add_argument("--no-float", action="store_true", help="leave out what the model file itself computes")
    floating.add_argument("--require-float", action="store_true", help="fail where nothing else runs the model file")
    _json(parser)
    add_feeding_options(parser)


def _compare(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands,
        "compare",
        "tell what every tensor of a program loses against the float model",
        _late("comparing", "compare_command"),
    )
    _model_root(parser)
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", required=True, metavar="X.npz", help="arrays by the model's input names, or x")
    parser.add_argument("-o", "--output", metavar="REPORT.json|.csv", help="write the table as well")
    _add_chip(parser)


def _eval(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(commands, "eval", "score a program on labelled data", _late("noise_sweep", "eval_command"))
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
    _threads(parser)
    _device(parser)
    add_noise_options(parser, sweep=True)
    add_compensation_options(parser)
    add_feeding_options(parser)


def _sweep(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands,
        "sweep",
        "score a grid of models, targets, passes, noise and chips",
        _late("sweeping", "sweep_command"),
    )
    _model_root(parser)
    parser.add_argument("sweep", metavar="SWEEP.toml|pareto", help="the models and the grid (docs/sweeps.md)")
    parser.add_argument("table", nargs="?", metavar="TABLE.parquet", help="behind `pareto`: what a sweep wrote")
    parser.add_argument("--x", default="energy", metavar="MEASURE", help="of pareto: energy (default), latency ...")
    parser.add_argument("--y", default="accuracy", metavar="MEASURE", help="of pareto: accuracy (default), mse ...")
    parser.add_argument("--plot", metavar="OUT.png", help="of pareto: draw it (needs the extra `plot`)")
    parser.add_argument("-o", "--output", metavar="OUT.parquet", help="the table (default: SWEEP.parquet beside it)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="use this Dask cluster instead of processes of its own")
    parser.add_argument("--workers", type=count, metavar="N", help="processes (default: all cores)")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def _report(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands,
        "report",
        "tell all of a program: costs, mapping, memory, what every ADC column clips and uses, and what noise costs",
        _late("reporting", "report_command"),
    )
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", metavar="X.npz", help="arrays by the model's input names, or x; .html does without")
    parser.add_argument("--eval", metavar="EVAL.json", help="what `cimc eval --json` printed, for the page")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="REPORT.html|.json|.csv",
        help="a page that needs nothing else; layers, blocks and columns as one JSON object; or one line a column",
    )
    _threads(parser)
    _add_chip(parser)


def _cost(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands,
        "cost",
        "say what a program takes on its target, and where its efficiency goes",
        _late("costing", "cost_command"),
    )
    parser.add_argument("program", metavar="prog.asm", nargs="?")
    parser.add_argument("--peak", metavar="TARGET", help="say what a target or a priced macro does at its peak")
    parser.add_argument(
        "--check", action="store_true", help="hold the model against published chips; status 1 where a row fails"
    )
    parser.add_argument(
        "--why",
        metavar="ENERGY",
        choices=("energy", "array", "digital", "requant", "memory", "control"),
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


def _diff(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands,
        "diff",
        "say what changed between two programs, targets or reports",
        _late("diffing", "diff_command"),
    )
    parser.add_argument("before", metavar="A", help="a program, a target by name or .toml, or a report as .json")
    parser.add_argument("after", metavar="B", help="the same of another making")
    parser.add_argument(
        "--fail-on",
        action="append",
        default=[],
        metavar="CONDITION",
        help="end with status 1 where a value changed so much, such as 'energy>5%%' or 'accuracy<-1%%'",
    )
    parser.add_argument("--json", action="store_true", help="the changes as one JSON object")


def _schedule(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands,
        "schedule",
        "write when each tile, the digital unit and the memory do what",
        _late("scheduling", "schedule_command"),
    )
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT.pftrace|.vcd|.html",
        help="a trace for Perfetto, waves, or a page (the first two need the extra `trace`)",
    )


def _bands(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands,
        "bands",
        "write the tolerance bands that measured chips should meet",
        _late("silicon", "bands_command"),
    )
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", required=True, metavar="X.npz", help="arrays by the model's input names, or x")
    parser.add_argument("-o", "--output", required=True, metavar="BANDS.npz")
    parser.add_argument(
        "--confidence", type=share, default=0.99, metavar="P", help="share of good chips that pass (default 0.99)"
    )
    parser.add_argument("--seeds", type=chips(2), default=50, metavar="M", help="chips drawn (default 50)")
    _add_chip(parser)


def _check_silicon(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands, "check-silicon", "judge measured layers by tolerance bands", _late("silicon", "check_command")
    )
    parser.add_argument("bands", metavar="BANDS.npz", help="written by `cimc bands`")
    _json(parser)
    parser.add_argument("measured", metavar="MEASURED.npz", help="codes by layer, as `cimc run --layers` writes them")


def _export(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands,
        "export-onnx",
        "write the exact integer semantics as an ONNX graph",
        _late("compiling", "export_command"),
    )
    _compiling(parser)
    parser.add_argument("-o", "--output", required=True, metavar="golden.onnx")
    parser.add_argument("--codes", action="store_true", help="also output the integer codes of every value")


def _where(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(commands, "where", "say where a weight lies, or whose a cell is", _late("where", "where_command"))
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument(
        "weight", nargs="?", metavar="INITIALISER[I,J,...]", help="with ONNX's own index; or a node's name"
    )
    parser.add_argument("--model", required=True, metavar="MODEL.onnx", help="what the program was compiled from")
    for name, what in (("tile", "T"), ("row", "R"), ("col", "C")):
        parser.add_argument(f"--{name}", type=whole, metavar=what, help=f"the {name} of a cell: whose is it?")
    parser.add_argument("-o", "--output", metavar="ALL.csv", help="write every place, one line each")
    add_noise_options(parser)
    _model_root(parser)


def _image(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands, "image", "write a program as the memories of a test bench", _late("imaging", "image_command")
    )
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
    _add_chip(parser)


def _trace(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands, "trace", "write what every instruction of a run wrote, as text", _late("tracing", "trace_command")
    )
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", required=True, metavar="X.npz", help="arrays by the model's input names, or x")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.trace", help="the form is in docs/formats.md")
    _samples(parser)
    parser.add_argument("--vectors", default="", metavar="N,...", help="write every vector of these instructions too")
    parser.add_argument("--only", metavar="LAYER|N,...", help="keep the records of these layers or instructions only")
    parser.add_argument("--streams", action="store_true", help="a record for every change of a stream as well")
    _add_chip(parser)


def _trace_diff(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands,
        "trace-diff",
        "name the first record in which two traces differ",
        _late("tracing", "trace_diff_command"),
    )
    parser.add_argument("expected", metavar="EXPECTED.trace", help="what `cimc trace` wrote")
    parser.add_argument("found", metavar="FOUND.trace", help="what a test bench or a chip wrote")
    parser.add_argument("--program", metavar="prog.asm", help="say what the record is about")
    parser.add_argument("--input", metavar="X.npz", help="compute its numbers again, with the program")
    _samples(parser)
    _add_chip(parser)


def _debug(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands, "debug", "take a run instruction by instruction, and look at it", _late("debugging", "debug_command")
    )
    parser.add_argument("program", metavar="prog.asm")
    parser.add_argument("--input", required=True, metavar="X.npz", help="arrays by the model's input names, or x")
    parser.add_argument("--commands", metavar="FILE", help="one command a line; without it they come from the terminal")
    _samples(parser)
    _add_chip(parser)


def _conformance(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands,
        "conformance",
        "write directed programs and their traces, and say what programs cover",
        _late("conforming", "conformance_command"),
    )
    parser.add_argument("--target", default="aon-cim", metavar="NAME|FILE.toml", help="the chip (default aon-cim)")
    parser.add_argument("-o", "--output", metavar="DIR", help="write NAME.cimb and NAME.trace of each, and input.npz")
    parser.add_argument("--coverage", nargs="+", metavar="prog.asm", help="what these programs cover together instead")


def _samples(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--samples", type=span, default=range(1), metavar="FIRST:END", help="samples of the file (default 0:1)"
    )


def _asm(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(commands, "asm", "assemble a text program to binary", _late("assembling", "asm_command"))
    add_program(parser)
    parser.add_argument("-o", "--output", required=True, metavar="prog.cimb")


def _objdump(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(commands, "objdump", "print a program as text", _late("assembling", "objdump_command"))
    parser.add_argument("program", metavar="prog.cimb")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("-o", "--output", metavar="prog.asm", help="write text and payload files instead of printing")
    kind.add_argument(
        "--numbers", action="store_true", help="the code, with the number and address of each instruction"
    )
    kind.add_argument("--section", choices=SECTIONS, help="one part: ports, target, code, constants or blocks")


def _lint(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands, "lint", "look for faults in a program without running it", _late("assembling", "lint_command")
    )
    add_program(parser)
    _json(parser)


def _opt(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(commands, "opt", "run passes on IR text", _late("compiling", "opt_command"))
    parser.add_argument("module", metavar="IR.mlir", help="IR text; its weights lie beside it in IR.safetensors")
    parser.add_argument(
        "--pass-pipeline", default="", metavar="STR", help="passes and options; none: parse, verify, print"
    )
    parser.add_argument("--target", default="aon-cim", metavar="NAME|FILE.toml")
    _tiles(parser)
    parser.add_argument("--calib", metavar="DATA.npz")
    parser.add_argument("--ranges", metavar="FILE")
    _observing(parser)
    parser.add_argument(
        "-o", "--output", metavar="OUT.mlir", help="write text and weights instead of printing the text"
    )
    add_feeding_options(parser, codes=False)


def _check(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(
        commands, "check", "list everything in a model that cannot be compiled", _late("inspecting", "check_command")
    )
    parser.add_argument("model", metavar="MODEL.onnx")
    _model_root(parser)
    _unbatched(parser)
    _shapes(parser)
    _json(parser)


def _target(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(commands, "target", "list the targets, or show one", _late("catalogue", "target_command"))
    _list_or_show(parser, "target", "NAME|FILE.toml")


def _noise(commands: "Commands") -> None:  # type: ignore[valid-type]
    summary = "list noise profiles and sources, or show one"
    parser = _command(commands, "noise", summary, _late("catalogue", "noise_command"))
    _list_or_show(parser, "noise", "PROFILE|SOURCE|FILE.toml")


def _passes(commands: "Commands") -> None:  # type: ignore[valid-type]
    summary = "list the passes in their order, or show one and its options"
    parser = _command(commands, "passes", summary, _late("catalogue", "passes_command"))
    _list_or_show(parser, "passes", "NAME")


def _list_or_show(parser: argparse.ArgumentParser, shown: str, names: str) -> None:
    parser.add_argument("action", choices=("list", "show"))
    parser.add_argument("name", nargs="?", metavar=names)
    _json(parser)
    parser.set_defaults(shown=shown)


def _explain(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(commands, "explain", "explain an error code", _late("inspecting", "explain_command"))
    parser.add_argument("code", nargs="?", metavar="CIM0123")
    _json(parser)
    parser.add_argument("--list", action="store_true", help="list every code with its exit status and title")


def _doctor(commands: "Commands") -> None:  # type: ignore[valid-type]
    parser = _command(commands, "doctor", "look whether all that cimc needs is here", _late("doctor", "doctor_command"))
    _json(parser)


def _completion(commands: "Commands") -> None:  # type: ignore[valid-type]
    summary = "write what a shell needs to complete commands and options"
    parser = _command(commands, "completion", summary, _late("completion", "completion_command"))
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="bash|zsh|fish")
