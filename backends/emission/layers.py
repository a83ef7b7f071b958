"""The layers of a program: which operations are one, and the one name by which every command calls each."""

from collections.abc import Mapping, Sequence

from xdsl.ir import Operation

from cimc.ir import loop, xbar
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.nn import Computed, InputOp
from cimc.isa.program import Layer

SILENT = (InputOp, xbar.ViewOp)
"""Operations that need no instruction."""

Path = tuple[str, ...]
"""A label cut at its dots."""


def layers_of(graph: Graph) -> dict[Operation, Layer]:
    """Return the layer of every operation of a scheduled graph that has instructions, in their order.

    It is called after the first node of its location. Where several are, the part of its label follows that their
    labels do not share: an LSTM of label `y` has `/l/LSTM.inputs` for `y.forward.inputs`. Labels are unique, node names
    need not be.
    """
    paths = {op: path for op in graph.operations if (path := _path(op))}
    families: dict[str, list[Path]] = {}
    for op, path in paths.items():
        families.setdefault(names_of(op.location)[0], []).append(path)
    shared = {node: _shared(family) for node, family in families.items()}
    taken = set[str]()
    return {op: _layer(op, path, shared, taken) for op, path in paths.items()}


def _path(op: Operation) -> Path:
    """Return an operation's label, cut; a loop takes what its body shares. Empty where nothing is to be named."""
    if isinstance(op, loop.ScanOp):
        inner = [_cut(one.label.data) for one in op.body.ops if isinstance(one, Computed)]
        return (*inner[0][: _shared(inner)], "loop")
    if not isinstance(op, Computed) or isinstance(op, SILENT) or _is_last_value(op):
        return ()
    return _cut(op.label.data)


def _cut(label: str) -> Path:
    """Return a label cut at its dots; of the reader that a value was recoded for only the last part."""
    own, recoded, reader = label.partition(".for.")
    return (*own.split("."), *(("for", reader.rpartition(".")[2]) if recoded else ()))


def _is_last_value(op: Operation) -> bool:
    """Return whether an operation only labels what the last step of a loop leaves in a state."""
    return isinstance(op, loop.ResultOp) and op.state is not None


def _shared(paths: Sequence[Path]) -> int:
    """Return how many leading parts all paths have in common."""
    columns = zip(*paths, strict=False)
    return next((n for n, parts in enumerate(columns) if len(set(parts)) > 1), min(map(len, paths)))


def _layer(op: Operation, path: Path, shared: Mapping[str, int], taken: set[str]) -> Layer:
    nodes = names_of(op.location)
    name = _fresh(".".join((nodes[0], *path[shared[nodes[0]] :])), taken)
    return Layer(name, op.label.data if isinstance(op, Computed) else "", nodes)


def _fresh(name: str, taken: set[str]) -> str:
    """Return the name, or name.2, name.3 ... where another layer has it."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}.{number}"
    taken.add(found)
    return found
