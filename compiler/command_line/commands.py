"""Every command of the command line, as one table.

Options and commands are imported where they are asked for, argparse among them: `cimc --help` needs the table alone.
"""

from importlib import import_module

TYPE_CHECKING = False
"""What type checkers take as true; `typing` itself would take as long as all of `cimc --help`."""

if TYPE_CHECKING:
    from typing import Any

    from cimc.command_line.parsing import Parser


class Command:
    """A command: its name, what it is for, and the functions of this package that add its options and that run it."""

    def __init__(self, name: str, summary: str, options: str, run: str) -> None:
        self.name = name
        self.summary = summary
        self.options = options
        self.run = run

    def parser(self) -> "Parser":
        """Return the parser of what stands behind the command; what runs it is then in `options.run`."""
        from cimc.command_line.forms import FORMS, OPTION
        from cimc.command_line.parsing import Parser

        parser = Parser(prog=f"{PROGRAM} {self.name}", description=self.summary)
        parser.add_argument(
            "--budget",
            action="append",
            metavar="NAME=NUMBER",
            help="grant files of others more or less than usual, such as nodes=200000 or model_bytes=3GiB",
        )
        parser.add_argument(
            OPTION,
            choices=FORMS,
            default=FORMS[0],
            help="errors and warnings as text (default), or one JSON object a line",
        )
        parser.set_defaults(run=lambda options: function(self.run)(options))
        function(self.options)(parser)
        return parser


PROGRAM = "cimc"
COMMANDS = (
    Command("compile", "compile an ONNX model to a program", "model_options.add_compile", "compiling.compile_command"),
    Command(
        "train",
        "train a model's weights to keep their accuracy on noisy chips",
        "model_options.add_train",
        "training.train_command",
    ),
    Command(
        "tune",
        "choose ranges, or bits within a budget, by calibration",
        "model_options.add_tune",
        "tuning.tune_command",
    ),
    Command("run", "run a program on inputs", "running_options.add_run", "running.run_command"),
    Command(
        "verify",
        "prove that a program is its model, tensor by tensor",
        "running_options.add_verify",
        "verifying.verify_command",
    ),
    Command(
        "compare",
        "tell what every tensor of a program loses against the float model",
        "running_options.add_compare",
        "comparing.compare_command",
    ),
    Command("eval", "score a program on labelled data", "running_options.add_eval", "noise_sweep.eval_command"),
    Command(
        "sweep",
        "score a grid of models, targets, passes, noise and chips",
        "running_options.add_sweep",
        "sweeping.sweep_command",
    ),
    Command(
        "report",
        "tell all of a program: costs, mapping, memory, what every ADC column clips and uses, and what noise costs",
        "costing_options.add_report",
        "reporting.report_command",
    ),
    Command(
        "cost",
        "say what a program takes on its target, and where its efficiency goes",
        "costing_options.add_cost",
        "costing.cost_command",
    ),
    Command(
        "diff",
        "say what changed between two programs, targets or reports",
        "costing_options.add_diff",
        "diffing.diff_command",
    ),
    Command(
        "schedule",
        "write when each tile, the digital unit and the memory do what",
        "costing_options.add_schedule",
        "scheduling.schedule_command",
    ),
    Command(
        "bands",
        "write the tolerance bands that measured chips should meet",
        "bringup_options.add_bands",
        "silicon.bands_command",
    ),
    Command(
        "check-silicon",
        "judge measured layers by tolerance bands",
        "bringup_options.add_check_silicon",
        "silicon.check_command",
    ),
    Command(
        "chip",
        "write what a drawn chip would be read back as, for --chip of other commands",
        "chip_options.add_read_back",
        "chips.chip_command",
    ),
    Command(
        "diagnose",
        "say which columns of a measured chip are faulty, and what with",
        "chip_options.add_diagnose",
        "diagnosing.diagnose_command",
    ),
    Command(
        "twin", "estimate a chip from its measured codes alone", "chip_options.add_twin", "diagnosing.twin_command"
    ),
    Command(
        "export-onnx",
        "write the exact integer semantics as an ONNX graph",
        "model_options.add_export",
        "compiling.export_command",
    ),
    Command("where", "say where a weight lies, or whose a cell is", "bringup_options.add_where", "where.where_command"),
    Command(
        "image", "write a program as the memories of a test bench", "bringup_options.add_image", "imaging.image_command"
    ),
    Command(
        "trace",
        "write what every instruction of a run wrote, as text",
        "bringup_options.add_trace",
        "tracing.trace_command",
    ),
    Command(
        "trace-diff",
        "name the first record in which two traces differ",
        "bringup_options.add_trace_diff",
        "tracing.trace_diff_command",
    ),
    Command(
        "debug",
        "take a run instruction by instruction, and look at it",
        "bringup_options.add_debug",
        "debugging.debug_command",
    ),
    Command(
        "conformance",
        "write directed programs and their traces, and say what programs cover",
        "bringup_options.add_conformance",
        "conforming.conformance_command",
    ),
    Command("asm", "assemble a text program to binary", "file_options.add_asm", "assembling.asm_command"),
    Command("objdump", "print a program as text", "file_options.add_objdump", "assembling.objdump_command"),
    Command(
        "lint", "look for faults in a program without running it", "file_options.add_lint", "assembling.lint_command"
    ),
    Command("opt", "run passes on IR text", "model_options.add_opt", "compiling.opt_command"),
    Command(
        "check",
        "list everything in a model that cannot be compiled",
        "model_options.add_check",
        "inspecting.check_command",
    ),
    Command("target", "list the targets, or show one", "catalogue_options.add_target", "catalogue.target_command"),
    Command(
        "noise",
        "list noise profiles and sources, or show one",
        "catalogue_options.add_noise",
        "catalogue.noise_command",
    ),
    Command(
        "passes",
        "list the passes in their order, or show one and its options",
        "catalogue_options.add_passes",
        "catalogue.passes_command",
    ),
    Command("explain", "explain an error code", "catalogue_options.add_explain", "inspecting.explain_command"),
    Command(
        "doctor", "look whether all that cimc needs is here", "catalogue_options.add_doctor", "doctor.doctor_command"
    ),
    Command(
        "completion",
        "write what a shell needs to complete commands and options",
        "catalogue_options.add_completion",
        "completion.completion_command",
    ),
)

BY_NAME = {command.name: command for command in COMMANDS}


def function(place: str) -> "Any":
    """Return the function MODULE.NAME of this package."""
    module, _, name = place.partition(".")
    return getattr(import_module(f"cimc.command_line.{module}"), name)
