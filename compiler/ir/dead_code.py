"""Operations whose results nobody uses, and weights that no operation names, are dropped."""

from xdsl.ir import Operation
from xdsl.rewriter import Rewriter

from cimc.ir.attributes import int_value
from cimc.ir.graph import Graph, weight_refs
from cimc.ir.location import replace
from cimc.ir.loop import ScanOp, StateOp, YieldOp, scan, scan_of, yielded
from cimc.ir.nn import Computed, InputOp


def drop_weights(graph: Graph) -> None:
    """Give back the memory of weights that no operation names any more."""
    graph.weights.keep({ref.key.data for op in graph.operations for _, ref in weight_refs(op)})


def drop_unused(graph: Graph) -> None:
    """Remove operations without users, so that what is left shows how often a value is really used."""
    for op in reversed(graph.operations):
        if isinstance(op, YieldOp):
            _drop_kept(op)
        elif op.parent and _is_unused(op):
            Rewriter.erase_op(op)


def _is_unused(op: Operation) -> bool:
    droppable = isinstance(op, Computed | ScanOp) and not isinstance(op, InputOp | StateOp)
    return droppable and not any(any(result.uses) for result in op.results)


def _drop_kept(op: YieldOp) -> None:
    """Let a body keep only what somebody reads once its loop is done."""
    old = scan_of(op)
    assert old is not None
    wanted = [index for index, value in enumerate(old.kept) if any(value.uses)]
    if len(wanted) == len(old.kept) or not any(any(value.uses) for value in old.results):
        return
    end = yielded(op.next, [op.kept[index] for index in wanted])
    replace(op, [end], [])
    new = scan(old.body.detach_block(0), int_value(old.steps), old.reverse is not None)
    new.location = old.location
    states = len(end.next)
    kept = {states + index: new.results[states + place] for place, index in enumerate(wanted)}
    Rewriter.replace_op(old, new, [*new.results[:states], *map(kept.get, range(states, len(old.results)))])
