"""What people see of a running compile: IR behind passes and stages, and the seconds each took."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cimc.command_line.files import weights_beside, writing
from cimc.command_line.graph_files import write_graph
from cimc.command_line.parsing import hint_for
from cimc.command_line.progress import Progress
from cimc.diagnostics import fail
from cimc.driving.driver import Observer
from cimc.driving.pass_checks import PassChecks
from cimc.evaluate import Batch
from cimc.ir.graph import Graph
from cimc.ir.short import print_short
from cimc.ir.text import print_graph
from cimc.passes.pipeline import PASSES, STAGES, stems

STAGE_OF = {last or "import": stage for stage, last in STAGES.items() if stage != "program"}
"""Stage of the IR by what was run last before it."""


def observer_of(options: argparse.Namespace, pipeline: str, data: Callable[[Graph], Batch]) -> Observer:
    """Return what `--print-ir-after`, `--generic`, `--timing`, `--dump-stages` and `--check-passes` want, or progress.

    `data` makes samples for an imported graph, on which passes are checked. Raises CimcError.
    """
    printer = _Printer.of(options)
    watchers: list[Observer] = [printer if printer.prints else Steps(pipeline)]
    if getattr(options, "dump_stages", None):
        watchers.append(_Dump(Path(options.dump_stages)))
    if getattr(options, "check_passes", False):
        watchers.append(PassChecks(data))

    def watch(name: str, graph: Graph, seconds: float) -> None:
        for watcher in watchers:
            watcher(name, graph, seconds)

    return watch


def stage_files(options: argparse.Namespace) -> list[Path]:
    """Return the files that `--dump-stages` may write, in the order of the stages, those of weights as well."""
    order, folder = list(STAGES), options.dump_stages
    first = order.index(options.start) + 1 if options.start else 0
    reached = order[first : order.index(options.compile_to) + 1]
    texts = [_stage_file(Path(folder), stage) for stage in reached if stage in STAGE_OF.values()] if folder else []
    return [file for text in texts for file in (text, weights_beside(text))]


def _stage_file(folder: Path, stage: str) -> Path:
    return folder / f"{list(STAGES).index(stage) + 1}-{stage}.mlir"


class Steps:
    """Shows how many passes of a pipeline have run, on a terminal, as `what`."""

    def __init__(self, pipeline: str, what: str = "compiling") -> None:
        self._total = len(stems(pipeline))
        self._done = 0
        self._progress = Progress(what, self._total)

    def __call__(self, name: str, graph: Graph, seconds: float) -> None:
        self._done += name != "import"
        self._progress.at(self._done)
        if self._done == self._total:
            self._progress.done()


@dataclass(frozen=True)
class _Dump:
    """Writes the IR of every stage that is reached as a numbered file."""

    folder: Path

    def __call__(self, name: str, graph: Graph, seconds: float) -> None:
        if name in STAGE_OF:
            path = _stage_file(self.folder, STAGE_OF[name])
            with writing(path):
                self.folder.mkdir(parents=True, exist_ok=True)
            write_graph(graph, path)


@dataclass
class _Printer:
    """Prints to stderr: the IR behind one pass, all, or those that changed it, short or generic; and times."""

    wanted: str | None
    timing: bool
    generic: bool
    _last: str = field(default="", repr=False)

    @staticmethod
    def of(options: argparse.Namespace) -> "_Printer":
        """Return the observer of `--print-ir-after`, `--generic` and `--timing`.

        Raises CimcError CIM0003 on an unknown pass.
        """
        wanted = options.print_ir_after
        known = ["all", "changed", "import", *(row.name for row in PASSES)]
        if wanted is not None and wanted not in known:
            hint = hint_for(wanted, known, f"one of {', '.join(known)}")
            raise fail("CIM0003", f"--print-ir-after: there is no pass named {wanted!r}", hint=hint)
        return _Printer(wanted, options.timing, options.generic)

    @property
    def prints(self) -> bool:
        return self.timing or self.wanted is not None

    def __call__(self, name: str, graph: Graph, seconds: float) -> None:
        if self.timing:
            print(f"{seconds:9.3f} s  {name}", file=sys.stderr)
        if self.wanted is None:
            return
        text = print_graph(graph) if self.wanted in (name, "all", "changed") else ""
        if self.wanted in (name, "all") or (self.wanted == "changed" and text != self._last):
            shown = text if self.generic else print_short(graph)
            print(f"// ----- IR after {name} -----\n{shown}", file=sys.stderr)
        self._last = text
