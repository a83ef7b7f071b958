"""What people see of a running compile: IR behind passes, and the seconds each took."""

import argparse
import sys
from dataclasses import dataclass, field
from difflib import get_close_matches

from cimc.diagnostics import fail
from cimc.ir.graph import Graph
from cimc.ir.short import print_short
from cimc.ir.text import print_graph
from cimc.passes.pipeline import PASSES


@dataclass
class Observer:
    """Prints to stderr: the IR behind one pass, all, or those that changed it, short or generic; and times."""

    wanted: str | None
    timing: bool
    generic: bool
    _last: str = field(default="", repr=False)

    @staticmethod
    def of(options: argparse.Namespace) -> "Observer":
        """Return the observer of `--print-ir-after`, `--generic` and `--timing`.

        Raises CimcError CIM0003 on an unknown pass.
        """
        wanted = options.print_ir_after
        known = ["all", "changed", "import", *(row.name for row in PASSES)]
        if wanted is not None and wanted not in known:
            near = get_close_matches(wanted, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
            raise fail("CIM0003", f"--print-ir-after: there is no pass named {wanted!r}", hint=hint)
        return Observer(wanted, options.timing, options.generic)

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
