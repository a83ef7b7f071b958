"""One walk over the nodes in order: what is known of every tensor, and nodes that stand for others written out."""

from collections import deque
from collections.abc import Iterable

from cimc.frontend.folding import Facts, known_before, visit
from cimc.frontend.inlining import Inliner
from cimc.frontend.node import Node, node_of
from cimc.frontend.preparation import Prepared
from cimc.ir.fresh_names import FreshNames
from cimc.isa.budgets import require


def analyse(prepared: Prepared, nodes: Iterable[Node]) -> tuple[Facts, list[Node]]:
    """Return shapes at the prepared batch size, constants at that size and another one, and the nodes written out."""
    facts, waiting = known_before(prepared), deque(nodes)
    taken = {name for node in waiting for name in (*node.inputs, *node.outputs)}
    inliner, walked = Inliner(prepared.opset, facts, FreshNames(taken | facts.types.keys())), []
    while waiting:
        node = waiting.popleft()
        problem = visit(prepared, node, facts)
        inner = inliner.written_out(node)
        if inner is not None:
            waiting.extendleft(node_of(proto) for proto in reversed(inner))
            continue
        walked.append(node)
        require("nodes", len(walked), "nodes in the model, all written out")
        if problem is not None:
            facts.problems[node.label] = problem
    return facts, walked
