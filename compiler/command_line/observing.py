"""What people see of a running compile: IR behind passes, and the seconds each took."""

import sys
from dataclasses import dataclass, field

from cimc.ir.graph import Graph
from cimc.ir.text import print_module


@dataclass
class Observer:
    """Prints to stderr: the IR behind one pass, all, or those that changed it; and times."""

    wanted: str | None
    timing: bool
    _last: str = field(default="", repr=False)

    def __call__(self, name: str, graph: Graph, seconds: float) -> None:
        if self.timing:
            print(f"{seconds:9.3f} s  {name}", file=sys.stderr)
        if self.wanted is None:
            return
        text = print_module(graph.module) if self.wanted in (name, "all", "changed") else ""
        if self.wanted in (name, "all") or (self.wanted == "changed" and text != self._last):
            print(f"// ----- IR after {name} -----\n{text}", file=sys.stderr)
        self._last = text
