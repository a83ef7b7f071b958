"""Puts a model's nodes in dependence order; a cycle is reported by the names of its nodes."""

from collections.abc import Sequence

import onnx

from cimc.diagnostics import fail


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Sort the nodes of `graph` so that each stands behind what it reads, otherwise in the order given.

    Raises CimcError CIM0102 naming the nodes of a cycle.
    """
    nodes = list(graph.node)
    makers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    edges = [(makers[name], index) for index, node in enumerate(nodes) for name in node.input if name in makers]
    if all(maker < reader for maker, reader in edges):
        return
    order = _sorted(nodes, edges)
    del graph.node[:]
    graph.node.extend(nodes[index] for index in order)


def _sorted(nodes: Sequence[onnx.NodeProto], edges: Sequence[tuple[int, int]]) -> list[int]:
    import networkx

    dependence = networkx.DiGraph()
    dependence.add_nodes_from(range(len(nodes)))
    dependence.add_edges_from(edges)
    try:
        return list(networkx.lexicographical_topological_sort(dependence))
    except networkx.NetworkXUnfeasible:
        cycle = [maker for maker, _ in networkx.find_cycle(dependence)]
        names = " -> ".join(nodes[i].name for i in [*cycle, cycle[0]])
        raise fail(
            "CIM0102",
            f"the graph has a cycle: {names}",
            node=nodes[cycle[0]].name,
            operator=nodes[cycle[0]].op_type,
            hint="recurrences must be written with an operator of their own, such as LSTM",
        ) from None
