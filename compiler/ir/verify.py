"""Checks a graph: every operation's own rules, dominance, locations, labels and weights; collects all faults."""

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from xdsl.dialects.builtin import DenseArrayBase, StringAttr, UnknownLoc
from xdsl.ir import Block, Operation
from xdsl.irdl import IRDLOperation
from xdsl.utils.exceptions import VerifyException

from cimc.ir.graph import Graph, weight_refs
from cimc.ir.location import names_of
from cimc.ir.nn import Computed, OutputOp, Ruled
from cimc.ir.short import print_short
from cimc.ir.types import WeightRef

State = tuple[Any, ...]
References = tuple[tuple[str, WeightRef], ...]
_SOUND: WeakKeyDictionary[Operation, tuple[State, References]] = WeakKeyDictionary()
"""What the rules of each operation saw when it last kept them, and its weights: most passes leave most as they are."""
_DECLARED: set[State] = set()
"""Forms of operations that keep their declarations: a graph has few, however many operations it has."""


class BrokenGraph(RuntimeError):
    """A pass or the front end made a graph that breaks its rules: our bug, never the user's."""


def verify(graph: Graph) -> list[str]:
    """Return one sentence per fault; empty for a sound graph."""
    operations = graph.operations
    return [*_operations(graph, operations), *_dominance(operations), *_labels(operations)]


def faults_of(op: Operation) -> Sequence[str]:
    """Return in what one operation breaks its own rules; its operands' place and its weights are not asked."""
    return _own(op)[0]


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


def _operations(graph: Graph, operations: Sequence[Operation]) -> Iterator[str]:
    for op in operations:
        faults, references = _own(op)
        wrong = (f"{name}: {fault}" for name, ref in references if (fault := graph.weights.check(ref)))
        yield from (f"{_described(op)}: {fault}" for fault in (*faults, *wrong))


def _own(op: Operation) -> tuple[Sequence[str], References]:
    """Return what breaks an operation's own rules, asked again only where they see other things; and its weights."""
    state, known = _state(op), _SOUND.get(op)
    if known and known[0] == state:
        return (), known[1]
    faults, references = tuple(_own_faults(op, state)), tuple(weight_refs(op))
    if state is not None and not faults:
        _SOUND[op] = state, references
    return faults, references


def _own_faults(op: Operation, state: State | None) -> Iterator[str]:
    """Yield what breaks an operation's declaration or its own rules, and a location that names no node."""
    try:
        _ask(op, state)
    except (VerifyException, ValueError, IndexError) as error:
        yield str(error)
    if isinstance(op.location, UnknownLoc) or not names_of(op.location):
        yield "its location is unknown"


def _ask(op: Operation, state: State | None) -> None:
    """Raise what a broken rule raises; the declaration, which takes ten times as long, is asked once for each form."""
    form = None if state is None else (type(op), *map(_kind, state))
    if form in _DECLARED and isinstance(op, Ruled):
        op.rules()
        return
    op.verify_()
    if form is not None:
        _DECLARED.add(form)


def _kind(part: Any) -> object:
    """Return what a declaration sees of a part of a state: a number, or the class of an attribute and its name."""
    kind = type(part)  # all of these are final classes: to ask isinstance of them takes ten times as long
    if kind is tuple:
        return part[0], _kind(part[1])
    if kind is DenseArrayBase:
        return kind, type(part.elt_type)
    return part if kind is int else kind


def _state(op: Operation) -> State | None:
    """Return all that an operation's own rules see; None for those of loops, which see other operations."""
    if op.name.startswith("loop."):
        return None
    types = [value.type for value in (*op.operands, *op.results)]
    return (len(op.results), op.location, *types, *op.properties.items(), *op.attributes.items())


def _dominance(operations: Sequence[Operation]) -> Iterator[str]:
    seen: set[int] = set()  # identities, as hashes of operations are; to ask for those takes a call
    for op in operations:
        for index, operand in enumerate(op.operands):
            owner = operand.owner
            if id(owner) not in seen:
                yield f"{_described(op)}: operand {index} is used before it is defined"
            elif owner.parent is not op.parent and owner.parent not in _enclosing(op):
                yield f"{_described(op)}: operand {index} is computed in the body of a loop"
        seen.add(id(op))


def _enclosing(op: Operation) -> list[Block]:
    """Return the blocks whose values an operation may see, its own first."""
    found: list[Block] = []
    inner: Operation | None = op
    while inner is not None and inner.parent is not None:
        found.append(inner.parent)
        inner = inner.parent_op()
    return found


def _labels(operations: Sequence[Operation]) -> Iterator[str]:
    values: set[str] = set()
    outputs: set[str] = set()
    for op in operations:
        label = op.properties.get("label")
        if isinstance(label, StringAttr):  # cheaper to ask than which classes of operations have one
            labels = outputs if op.name == OutputOp.name else values
            if label.data in labels:
                yield f"{_described(op)}: another operation has this label"
            labels.add(label.data)
