"""IR text to program: what a text may get wrong that a model cannot."""

from cimc.diagnostics import Diagnostic, DiagnosticError, fail
from cimc.driving.driver import Compilation, Request, compile_graph
from cimc.ir.facts import ACTIVATION_BYTES
from cimc.ir.graph import Graph
from cimc.ir.types import is_quantised
from cimc.ir.xbar import Xbar
from cimc.isa.lint import lint
from cimc.isa.program import Program

UNFINISHED = "CIM0447"
"""What the linter says where it stopped: no fault of the program."""


def compile_text(graph: Graph, request: Request) -> Compilation:
    """Compile the graph of an IR text from stage `request.start` on. Raises CimcError for what the text gets wrong.

    Nothing but the linter stands between hand-written tile IR and the machine, so what it finds is an error here.
    """
    require_stage(graph, request.start)
    compilation = compile_graph(graph, request)
    _require_clean(graph.name, compilation.emission.program)
    return compilation


def require_stage(graph: Graph, stage: str | None) -> None:
    """Raise CimcError CIM0306 where a graph is at another stage than it is said to be."""
    possible = _stages(graph)
    if stage in possible:
        return
    if not possible:
        hint = "carry it on with `cimc opt --pass-pipeline`, up to schedule"
        raise fail("CIM0306", f"{graph.name} stands between the stages quantised and tile", hint=hint)
    found = " or ".join(possible)
    raise fail("CIM0306", f"{graph.name} holds IR of stage {found}, not of {stage}", hint=f"say --from {possible[-1]}")


def _stages(graph: Graph) -> tuple[str, ...]:
    """Return the stages that a graph may be at; none where it is on the way from one to the next."""
    if ACTIVATION_BYTES.get(graph.module) is not None:
        return ("tile",)
    kinds, values = (type(op) for op in graph.operations), (x for op in graph.operations for x in op.results)
    if any(kind in Xbar.operations for kind in kinds):
        return ()
    return ("quantised",) if any(map(is_quantised, values)) else ("import", "graph")


def _require_clean(name: str, program: Program) -> None:
    faults = [found for found in lint(program) if found.code != UNFINISHED]
    if faults:
        raise DiagnosticError(
            [Diagnostic("CIM0306", f"{name} makes a program with a fault: {fault}") for fault in faults]
        )
