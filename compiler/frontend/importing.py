"""ONNX model in, graph of `nn` operations out; every node that cannot be translated is reported at once."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

import onnx
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Region, SSAValue

from cimc.diagnostics import Diagnostic, DiagnosticError
from cimc.frontend.analysis import analyse
from cimc.frontend.batch_axis import BatchAxis, per_sample
from cimc.frontend.folding import Facts
from cimc.frontend.indices import index_inputs, with_own_indices
from cimc.frontend.inlining import stands_for_others
from cimc.frontend.lowering import GraphBuilder, Lowering
from cimc.frontend.node import Node, node_of
from cimc.frontend.operators import OPERATORS
from cimc.frontend.patterns import with_normalisations
from cimc.frontend.preparation import WHOLE, Prepared, prepare, real_inputs
from cimc.frontend.quantisation import DYNAMIC, INTEGERS, integers, require_exact
from cimc.frontend.reading import ModelFile, read
from cimc.frontend.remedies import unsupported
from cimc.frontend.specialisation import AS_THE_FILE, Specialisation
from cimc.frontend.stated_shapes import option_for
from cimc.frontend.tracing import Imported, traced
from cimc.frontend.wire import Content
from cimc.ir import build
from cimc.ir.fresh_names import FreshNames
from cimc.ir.graph import Graph
from cimc.ir.location import named
from cimc.ir.types import CodeType, shape_of
from cimc.ir.verify import faults_of

INPUT_PROBLEMS = ("CIM0104", "CIM0105", "CIM0107", "CIM0109")
"""Codes of problems with a model's inputs, behind which its nodes can still be listed."""


def load(path: Path, stated: Specialisation = AS_THE_FILE) -> Graph:
    """Return the graph of an ONNX file, as `load_traced` reads it."""
    return load_traced(path, stated).graph


def load_traced(path: Path, stated: Specialisation = AS_THE_FILE) -> Imported:
    """Return the graph of an ONNX file, which is only read, and where the file's tensors are in it.

    Raises CimcError with every problem of the model.

    A model whose batch is fixed at one may mix its only sample with itself: it is then taken as unbatched, and what is
    wrong with it so is told.
    """
    file = read(path)
    prepared = _prepared(file, stated)
    try:
        return _imported(path.stem, file.content, prepared)
    except DiagnosticError as error:
        if stated.unbatched or not _mixes_one_sample(prepared, error):
            raise _told_of_open_axes(prepared, error) from None
        return _as_one_sample(path, stated, error)


def _mixes_one_sample(prepared: Prepared, error: DiagnosticError) -> bool:
    """Say whether a batch of one is not kept apart, whatever else is wrong."""
    lost = any(problem.code == "CIM0109" for problem in error.diagnostics)
    return prepared.batch == 1 and not prepared.free and lost


def _is_of_batch(error: DiagnosticError) -> bool:
    return all(problem.code == "CIM0109" for problem in error.diagnostics)


def _told_of_open_axes(prepared: Prepared, error: DiagnosticError) -> DiagnosticError:
    """Return the error; where a later axis of an input was open and the batch is lost, it says that instead."""
    inputs = [value for value in real_inputs(prepared.model.graph) if prepared.free and prepared.axes[value.name]]
    lost = [problem for problem in error.diagnostics if problem.code == "CIM0109"]
    if not inputs or not lost:
        return error
    others = [problem for problem in error.diagnostics if problem.code != "CIM0109"]
    return DiagnosticError([*(_open_axis(value, prepared.axes[value.name], lost) for value in inputs), *others])


def _open_axis(value: onnx.ValueInfoProto, axis: int | None, lost: Sequence[Diagnostic]) -> Diagnostic:
    first = lost[0].node or lost[0].operator
    value.type.tensor_type.shape.dim[axis or 0].dim_param = "SIZE"
    message = f"axis {axis} of input '{value.name}' is open and would be the batch, which '{first}' mixes"
    hint = f"if it is a size, state it as a number: {option_for(value, None)}"
    return Diagnostic("CIM0105", message, hint=hint)


def _as_one_sample(path: Path, stated: Specialisation, error: DiagnosticError) -> Imported:
    """Take a model as unbatched; where that helps nothing, `error` is what its user reads."""
    try:
        return load_traced(path, replace(stated, unbatched=True))
    except DiagnosticError as other:
        raise (error if _is_of_batch(other) else other) from None


def _imported(name: str, content: Content, prepared: Prepared) -> Imported:
    """Translate a prepared model; its name and content are those of the file."""
    listed = live([node_of(proto) for proto in prepared.model.graph.node], _outputs(prepared))
    facts, nodes = analyse(prepared, listed)
    computed = [node for node in nodes if not _is_folded(node, facts)]
    computed = with_own_indices(with_normalisations(computed, facts), facts, prepared.opset)
    computed = live(computed, _outputs(prepared))
    builder = GraphBuilder(prepared.free, facts, FreshNames(_names(prepared, nodes)))
    _add_inputs(builder, prepared, index_inputs(computed, facts))
    problems = [*_translate_all(builder, computed, _outputs(prepared)), *_add_outputs(builder, prepared)]
    if problems:
        raise DiagnosticError(problems)
    _require_all(builder, computed, _outputs(prepared))
    graph = Graph(ModuleOp(Region(builder.block)), builder.weights, name, content.digest, prepared.constants)
    return Imported(graph, traced(builder))


def _prepared(file: ModelFile, stated: Specialisation) -> Prepared:
    """Prepare a model; where its inputs cannot be taken, name the unsupported operators behind them too."""
    try:
        return prepare(file, stated)
    except DiagnosticError as error:
        if any(problem.code not in INPUT_PROBLEMS for problem in error.diagnostics):
            raise
        raise DiagnosticError([*error.diagnostics, *_unsupported_behind_inputs(file.model.graph)]) from None


def _unsupported_behind_inputs(graph: onnx.GraphProto) -> Iterable[Diagnostic]:
    """Yield a problem for every unsupported node that depends on an input, as far as that shows without shapes."""
    computed = {value.name for value in real_inputs(graph)}
    for node in map(node_of, graph.node):
        if computed.intersection(node.inputs) and node.operator not in ("Shape", "Size"):
            computed.update(node.outputs)
            if node.operator not in OPERATORS and not stands_for_others(node.operator):
                yield unsupported(node)


def check(path: Path, stated: Specialisation = AS_THE_FILE) -> list[Diagnostic]:
    """Return every problem that `load` would raise; empty for a model it takes."""
    try:
        load(path, stated)
    except DiagnosticError as error:
        return list(error.diagnostics)
    return []


def live(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """Return the nodes that some output depends on, in order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(name for name in node.outputs if name):
            wanted.update(node.inputs)
            wanted.update(_captured(node))
            kept.append(node)
    return kept[::-1]


def _captured(node: Node) -> set[str]:
    """Return every tensor name that the subgraphs of a node read."""
    graphs = [attribute.g for attribute in node.proto.attribute if attribute.HasField("g")]
    inner = [node_of(proto) for graph in graphs for proto in graph.node]
    return {name for graph_node in inner for name in (*graph_node.inputs, *_captured(graph_node))}


def _is_folded(node: Node, facts: Facts) -> bool:
    return all(name in facts.constants for name in node.outputs if name)


def _outputs(prepared: Prepared) -> list[str]:
    return list(dict.fromkeys(value.name for value in prepared.model.graph.output))


def _names(prepared: Prepared, nodes: Iterable[Node]) -> set[str]:
    names = {name for node in nodes for name in (*node.inputs, *node.outputs)}
    return names | {value.name for value in prepared.model.graph.input}


def _add_inputs(builder: GraphBuilder, prepared: Prepared, indices: Container[str]) -> None:
    for value in real_inputs(prepared.model.graph):
        kind = value.type.tensor_type.elem_type
        whole = kind in WHOLE or value.name in indices
        _add_input(builder, value.name, whole, integers(kind) if kind in INTEGERS and not whole else None)


def _add_input(builder: GraphBuilder, name: str, whole: bool = False, code: CodeType | None = None) -> None:
    batch = builder.facts.batch_axes.get(name)
    op = build.input_(name, per_sample(builder.facts.shapes[name], batch), _axis(batch), whole)
    if code is not None:
        op.properties["code"] = code
    op.location = named(name)
    builder.block.add_op(op)
    builder.values[name] = op.out


def _axis(batch: BatchAxis | None) -> int:
    return -1 if batch is None else batch.axis


def _add_outputs(builder: GraphBuilder, prepared: Prepared) -> Iterable[Diagnostic]:
    for name in _outputs(prepared):
        if name in builder.values:
            op = build.output(builder.values[name], name, _axis(builder.facts.batch_axes.get(name)))
            op.location = named(name)
            builder.block.add_op(op)
        elif name in builder.facts.constants:
            value = builder.facts.constants[name].value
            empty = Diagnostic("CIM0107", f"output '{name}' has shape {value.shape}")
            yield Diagnostic("CIM0110", f"output '{name}' does not depend on any input") if value.size else empty


def _require_all(builder: GraphBuilder, nodes: Iterable[Node], outputs: Iterable[str]) -> None:
    """Hold that nothing was lost: where no problem was found, every tensor that is read is a value or a constant."""
    read = {name for node in nodes for name in node.inputs if name} | set(outputs)
    lost = read - builder.values.keys() - builder.facts.constants.keys()
    assert not lost, f"tensors lost in translation: {sorted(lost)}"


def _translate_all(builder: GraphBuilder, nodes: Sequence[Node], outputs: Iterable[str]) -> list[Diagnostic]:
    """Translate node after node; a refused one leaves values of its shapes, so that the rest is still checked.

    Behind an unknown operator that loses the batch its place is not known: what follows is no problem of its own.
    """
    problems: list[Diagnostic] = []
    unknown: set[str] = set()
    read = {name for node in nodes for name in (*node.inputs, *_captured(node))} | set(outputs)
    for node in nodes:
        known = all(name in builder.values or name in builder.facts.constants for name in node.inputs if name)
        try:
            problem = builder.facts.problems.get(node.label)
            if _is_unknown(node, problem):
                raise DiagnosticError([unsupported(node)])
            if problem is not None:
                raise DiagnosticError([problem])
            if known:
                _translate(Lowering(node, builder), read)
        except DiagnosticError as error:
            behind = unknown.intersection(node.inputs)
            if behind or (problem is not None and _is_unknown(node, problem)):
                unknown.update(node.outputs)
            problems.extend(found for found in error.diagnostics if not (behind and found.code == "CIM0109"))
            _stand_in(builder, node)
    return problems


def _is_unknown(node: Node, problem: Diagnostic | None) -> bool:
    """Say whether no translation exists of an operator; where the batch was lost in it, this is the reason to tell."""
    told = problem is not None and problem.code not in ("CIM0102", "CIM0109")
    return node.operator in DYNAMIC or (node.operator not in OPERATORS and not told)


def _stand_in(builder: GraphBuilder, node: Node) -> None:
    for name in node.outputs:
        shape = builder.facts.shapes.get(name, (0,))
        if name and name not in builder.values and 0 not in shape:
            kind = builder.facts.types[name].tensor_type.elem_type if name in builder.facts.types else 0
            _add_input(builder, name, kind in WHOLE)


def _translate(at: Lowering, read: Container[str]) -> None:
    """Translate one node; a result that something reads and the translation does not give is refused."""
    _check_shapes(at)
    require_exact(at)
    values = _made(at)
    known = at.builder.facts.constants
    for name, value in zip(at.node.outputs, values, strict=False):
        if name and name not in known:
            _check_result(at, name, value)
            at.builder.values[name] = value
    for name in at.node.outputs[len(values) :]:
        if name in read and name not in known:
            hint = "cut the model before what reads it, or export without it"
            raise at.refuse("CIM0104", f"output '{name}' is used; only the first {len(values)} can be", hint=hint)


def _made(at: Lowering) -> tuple[SSAValue, ...]:
    """Return the values that an operator's translation gives.

    ONNX's own rules let much pass that no runtime computes: attributes that do not fit shapes, constants without
    elements. What a translation trips over there, and what breaks an operation's rules, is refused as the node's fault.
    """
    for name, value in at.node.attributes.items():
        if isinstance(value, float) and not isfinite(value):
            raise at.refuse("CIM0106", f"attribute '{name}' is {value}")
    before = at.builder.block.last_op
    try:
        made = OPERATORS[at.node.operator](at)
    except (ArithmeticError, LookupError, ValueError) as error:
        raise _unfit(at, str(error)) from error
    op = before.next_op if before else at.builder.block.first_op
    while op is not None:
        if fault := next(iter(faults_of(op)), ""):
            raise _unfit(at, fault)
        op = op.next_op
    return made if isinstance(made, tuple) else (made,)


def _unfit(at: Lowering, fault: str) -> DiagnosticError:
    hint = "if onnxruntime runs the model, that is our fault: please report it"
    return at.refuse("CIM0102", f"its attributes and inputs do not fit: {fault}", hint=hint)


def _check_shapes(at: Lowering) -> None:
    """Refuse results without a known shape, or without elements; kernels too large have results of sizes below zero."""
    for name in (output for output in at.node.outputs if output and output not in at.builder.facts.constants):
        shape = at.builder.facts.shapes.get(name)
        if shape is None:
            raise at.refuse("CIM0105", f"the shape of result '{name}' is not known", hint="export with fixed sizes")
        if min(shape, default=1) < 1:
            raise at.refuse("CIM0107", f"result '{name}' has shape {shape}")


def _check_result(at: Lowering, name: str, value: SSAValue) -> None:
    want = per_sample(at.full_shape(name), at.batch_axis(name))
    if shape_of(value) != want:
        message = f"result '{name}' has per-sample shape {shape_of(value)} and in ONNX {want}: the batch moves"
        raise at.refuse("CIM0109", message)
