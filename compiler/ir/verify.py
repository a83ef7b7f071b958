"""Checks a graph: every operation's own rules, dominance, locations, labels and weights; collects all faults."""

from collections.abc import Iterator

from xdsl.ir import Block, Operation
from xdsl.irdl import IRDLOperation
from xdsl.utils.exceptions import VerifyException

from cimc.ir.graph import Graph, weight_refs
from cimc.ir.location import names_of
from cimc.ir.nn import Computed, OutputOp
from cimc.ir.short import print_short


class BrokenGraph(RuntimeError):
    """A pass or the front end made a graph that breaks its rules: our bug, never the user's."""


def verify(graph: Graph) -> list[str]:
    """Return one sentence per fault; empty for a sound graph."""
    return [*_operations(graph), *_dominance(graph), *_labels(graph)]


def malformed(graph: Graph) -> list[str]:
    """Return one sentence per operation that lacks an operand or property; only a text can hold such ones."""
    return [f"{op.name} ({_origin(op)}): {fault}" for op in graph.operations for fault in _undeclared(op)]


def require_sound(graph: Graph, stage: str) -> None:
    """Raise BrokenGraph with every fault, naming the stage that left them; the IR goes along, for the report."""
    faults = verify(graph)
    if faults:
        broken = BrokenGraph("\n".join([f"after {stage} the graph has {len(faults)} faults:", *faults]))
        try:
            broken.add_note(print_short(graph))
        finally:  # however broken the graph is, what is said of it first are its faults
            raise broken


def _described(op: Operation) -> str:
    label = f" '{op.label.data}'" if isinstance(op, Computed | OutputOp) else ""
    return f"{op.name}{label} ({_origin(op)})"


def _origin(op: Operation) -> str:
    return f"from {', '.join(names_of(op.location)) or 'an unknown node'}"


def _undeclared(op: Operation) -> Iterator[str]:
    """Yield in what an operation differs from its declaration."""
    assert isinstance(op, IRDLOperation)
    try:
        op.get_irdl_definition().verify(op)
    except VerifyException as error:
        yield str(error)


def _operations(graph: Graph) -> Iterator[str]:
    for op in graph.operations:
        try:
            op.verify_()
        except (VerifyException, ValueError, IndexError) as error:
            yield f"{_described(op)}: {error}"
        if not names_of(op.location):
            yield f"{_described(op)}: its location is unknown"
        for name, ref in weight_refs(op):
            fault = graph.weights.check(ref)
            if fault is not None:
                yield f"{_described(op)}: {name}: {fault}"


def _dominance(graph: Graph) -> Iterator[str]:
    seen: set[Operation] = set()
    for op in graph.operations:
        for index, operand in enumerate(op.operands):
            if operand.owner not in seen:
                yield f"{_described(op)}: operand {index} is used before it is defined"
            elif operand.owner.parent not in _enclosing(op):
                yield f"{_described(op)}: operand {index} is computed in the body of a loop"
        seen.add(op)


def _enclosing(op: Operation) -> list[Block]:
    """Return the blocks whose values an operation may see, its own first."""
    found: list[Block] = []
    inner: Operation | None = op
    while inner is not None and inner.parent is not None:
        found.append(inner.parent)
        inner = inner.parent_op()
    return found


def _labels(graph: Graph) -> Iterator[str]:
    for kind in (Computed, OutputOp):
        labels: set[str] = set()
        for op in graph.operations:
            if isinstance(op, kind):
                label = op.label.data
                if label in labels:
                    yield f"{_described(op)}: another operation has this label"
                labels.add(label)
