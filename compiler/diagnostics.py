"""What the compiler and the command line refuse: codes, and diagnostics that name a node. Several may come at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cimc.isa.errors import BUDGET, FAILED, INTERNAL, INVALID, UNSUPPORTED, USAGE, VERSION, CimcError, Code, render

CODES: Mapping[str, Code] = {
    "CIM0001": Code(
        "a file cannot be read",
        INVALID,
        "The path does not exist, is a folder, or this user may not read it.",
        "check the path and its permissions",
    ),
    "CIM0002": Code(
        "a file cannot be written",
        INVALID,
        "The folder is missing, the disk is full, or this user may not write there. Nothing was left half written.",
    ),
    "CIM0003": Code(
        "unusable options", USAGE, "The command line asks for something that does not exist or does not go together."
    ),
    "CIM0004": Code(
        "an optional package is missing",
        USAGE,
        "The option needs a package that cimc does not need otherwise; the extras of the distribution bring it.",
    ),
    "CIM0101": Code(
        "not an ONNX model",
        INVALID,
        "The file is not a readable ONNX protobuf: it may be truncated, empty, or another format.",
    ),
    "CIM0102": Code(
        "the model breaks ONNX's rules",
        INVALID,
        "onnx.checker or shape inference refuses the model: cyclic graphs, undefined values, wrong attributes, inconsistent shapes.",
    ),
    "CIM0103": Code(
        "unsupported operator",
        UNSUPPORTED,
        "No lowering exists for this operator. `cimc check MODEL.onnx` lists every such node of a model at once.",
    ),
    "CIM0104": Code(
        "unsupported form of an operator",
        UNSUPPORTED,
        "The operator is known, but not with these attributes, shapes or inputs.",
    ),
    "CIM0105": Code(
        "unknown shape",
        UNSUPPORTED,
        "Apart from the batch, every dimension must be known when compiling. State sizes that the file leaves open with `--shape INPUT=1,3,48,192` (? leaves an axis open), or export with fixed sizes.",
    ),
    "CIM0106": Code(
        "not-a-number in the weights", INVALID, "A weight or constant is NaN or infinite; no conductance represents it."
    ),
    "CIM0107": Code("empty tensor", UNSUPPORTED, "A dimension of a tensor is zero: there is nothing to compute."),
    "CIM0108": Code(
        "unsupported opset or IR version",
        VERSION,
        "The model is newer than this version of cimc (or its onnx package) reads, or uses a custom domain.",
    ),
    "CIM0109": Code(
        "not computed sample by sample",
        UNSUPPORTED,
        "Programs compute one sample at a time. The batch may be any axis of a tensor, but an operator that mixes samples, or a constant that differs between them, has no meaning for one of them. `--unbatched` says that no axis is a batch.",
    ),
    "CIM0110": Code("no compute", INVALID, "The model has no output, or an output does not depend on any input."),
    "CIM0111": Code(
        "tensor too large",
        BUDGET,
        "A tensor has more elements, or the model more bytes of constants, than cimc allocates.",
    ),
    "CIM0121": Code(
        "an operation that training does not know",
        UNSUPPORTED,
        "`cimc train` runs the model's graph in jax to find gradients; this operation has no meaning there yet. The model compiles all the same. Networks with loops are trained, and written as IR text (-o TRAINED.mlir).",
    ),
    "CIM0201": Code(
        "unusable data file",
        INVALID,
        "Data comes as .npz (or .npy) files with arrays named after the model's inputs, or `x` where there is one input.",
        "`np.savez(FILE, x=array)` writes such a file",
    ),
    "CIM0202": Code(
        "wrong array shape",
        INVALID,
        "An array must have the model's input shape, or a size that can be reshaped to it.",
    ),
    "CIM0203": Code("not-a-number in the data", INVALID, "An input array holds NaN or infinite values."),
    "CIM0204": Code(
        "unusable ranges file",
        INVALID,
        "A ranges file must be written by `cimc compile --write-ranges` for the same model, bits and pipeline.",
    ),
    "CIM0205": Code("unusable bands file", INVALID, "A file of tolerance bands must be written by `cimc bands`."),
    "CIM0206": Code(
        "unusable sweep file",
        INVALID,
        "A sweep is a TOML file with [[model]] tables and one [grid]; docs/sweeps.md shows every key.",
    ),
    "CIM0207": Code(
        "a sweep cannot go on",
        BUDGET,
        "Workers died again and again with the same trial, or the cluster is gone. Finished trials are kept; the same command goes on with the rest.",
    ),
    "CIM0208": Code(
        "a number without a row",
        INVALID,
        "An input of whole numbers (token ids) holds a fraction, or a number for which the model's table has no row.",
    ),
    "CIM0210": Code(
        "bands of something else",
        INVALID,
        "Tolerance bands hold for one program and one set of inputs; the measured file says that its layers come from others.",
    ),
    "CIM0211": Code(
        "onnxruntime cannot run the float model",
        UNSUPPORTED,
        "onnxruntime refuses the model file, or gives outputs of another shape than the model has. Programs are not concerned: they are held against the integer graph. Only the distance from the float model is not known.",
    ),
    "CIM0212": Code(
        "data unlike the calibration",
        INVALID,
        "More than 1 % of the values lie outside the range that calibration saw, or the middle 98 % of them cover less than a sixteenth of it, or they are no integers where the model takes integers. Usually the preprocessing differs from the calibration's: `--offset`, `--scale` and `--normalise` given when compiling are kept in the program; `--feed` says what other data are.",
    ),
    "CIM0213": Code(
        "poor calibration data",
        INVALID,
        "Fewer than 16 samples, inputs whose values are all the same, or the real values of codes where the model takes the codes, do not show the ranges that other data will have.",
    ),
    "CIM0214": Code(
        "unusable chip file",
        INVALID,
        "A file of a measured chip holds facts and, for each tile, conductances that were read back; docs/formats.md has the layout, `cimc chip` writes one. The message names the field that is missing or wrong: shapes follow from the target, numbers are finite, units are stated.",
    ),
    "CIM0215": Code(
        "chip of something else",
        INVALID,
        "A measured chip holds one program on one target: what its devices were read at says nothing of another.",
    ),
    "CIM0216": Code(
        "codes of something else",
        INVALID,
        "Measured codes tell of a chip only with the program and the inputs that it ran on; the file says that they were others.",
    ),
    "CIM0221": Code(
        "training gave nothing to write",
        FAILED,
        "On the data kept back, every candidate lost more without noise than was allowed, or none agreed better with the teacher on noisy chips. Nothing was written.",
    ),
    "CIM0222": Code(
        "a checkpoint of another run",
        INVALID,
        "A training run goes on only with the model, data, settings, target and noise that it began with.",
    ),
    "CIM0301": Code(
        "unusable target",
        INVALID,
        "A target file must follow the schema: `cimc target show aon-cim` prints a complete one.",
        "`cimc target show aon-cim` prints a complete one",
    ),
    "CIM0302": Code(
        "unknown target", USAGE, "`cimc target list` names the built-in targets; a path to a .toml file works too."
    ),
    "CIM0303": Code(
        "the model does not fit the target",
        BUDGET,
        "Crossbar cells, activation memory or constant memory do not suffice; the fit report says what each layer needs and what would help.",
    ),
    "CIM0304": Code(
        "a number rule cannot be kept",
        UNSUPPORTED,
        "A bound of the machine (32-bit array sum, 52-bit accumulator, 16-bit multiplier) would be exceeded.",
    ),
    "CIM0305": Code(
        "unusable pass pipeline",
        USAGE,
        "The text names a pass or an option that does not exist, or has a pass before one that it requires.",
    ),
    "CIM0306": Code(
        "unusable IR",
        INVALID,
        "The text is not IR of ours, or breaks its rules.",
        "`cimc compile --compile-to STAGE -o FILE.mlir` writes IR, its weights beside it",
    ),
    "CIM0601": Code(
        "comparison failed", FAILED, "Two things that must be equal differ; the first difference is named."
    ),
    "CIM0602": Code(
        "no model to verify against",
        INVALID,
        "The program was compiled from IR text (`cimc compile --from`), as its .meta says. A proof compiles the model again; of a text, nobody knows what it should compute.",
    ),
    "CIM0901": Code(
        "internal error", INTERNAL, "A bug in cimc. A reproducer file was written; please send it with the report."
    ),
}
"""Codes of the compiler; the instruction set (CIM04xx) and the machine (CIM05xx) keep their own tables."""


@dataclass(frozen=True)
class Diagnostic:
    """One problem. `node` is the ONNX node, `operator` its type; `message` says what was found and the rule; `hint` the next step."""

    code: str
    message: str
    node: str = ""
    operator: str = ""
    hint: str = ""

    def render(self) -> str:
        """Return the lines printed for people."""
        node = [f"node '{self.node}'"] if self.node else []
        operator = [f"({self.operator})"] if self.operator else []
        return render(f"error[{self.code}]", self.message, self.hint, about=" ".join(node + operator))


class DiagnosticError(CimcError):
    """One or more problems whose fault is the user's; code, message and hint are those of the first.

    Where the last one names no next step, that of its code stands behind it, for all.
    """

    codes = CODES

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        *others, last = diagnostics
        self.diagnostics = (*others, replace(last, hint=last.hint or CODES[last.code].hint))
        first = self.diagnostics[0]
        super().__init__(first.code, first.message, first.hint)

    def __str__(self) -> str:
        """Return every problem, and a next step that several in a row share once, behind them."""
        behind = [*self.diagnostics[1:], None]
        once = (
            replace(one, hint="") if then and one.hint == then.hint else one
            for one, then in zip(self.diagnostics, behind, strict=True)
        )
        return "\n".join(one.render() for one in once)

    def __reduce__(self) -> tuple[type["DiagnosticError"], tuple[tuple[Diagnostic, ...]]]:
        return DiagnosticError, (self.diagnostics,)


def fail(code: str, message: str, *, node: str = "", operator: str = "", hint: str = "") -> DiagnosticError:
    """Return the error for a single problem, to be raised by the caller."""
    return DiagnosticError([Diagnostic(code, message, node, operator, hint)])
