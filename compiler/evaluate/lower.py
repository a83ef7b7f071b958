"""Lowers a graph of any level to one ONNX model, operation by operation."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnx import ModelProto, TensorProto, ValueInfoProto, helper
from xdsl.ir import Operation

from cimc.diagnostics import fail
from cimc.evaluate import layout, loops, nn_float, nn_move, nn_pool, xbar_digital, xbar_matrix, xbar_move, xbar_mvm
from cimc.evaluate.bounds import SINGLE, magnitude
from cimc.evaluate.builder import Array, Builder, Lowerings
from cimc.evaluate.codes import dequantise, quantise
from cimc.ir import nn
from cimc.ir.attributes import int_values
from cimc.ir.graph import Graph, walk
from cimc.ir.location import names_of
from cimc.ir.loop import ScanOp, StateOp, TakeOp, scan_of
from cimc.ir.types import code_of, is_quantised, shape_of

OPSET, IR_VERSION = 21, 10

REAL: Lowerings = {**nn_float.REAL, **nn_pool.REAL}
"""Operations on real values: their results are quantised where the result type is codes."""

STORED: Lowerings = {
    **nn_float.STORED,
    **nn_move.STORED,
    **loops.STORED,
    **xbar_mvm.STORED,
    **xbar_digital.STORED,
    **xbar_matrix.STORED,
    **xbar_move.STORED,
}
"""Operations on values as they are stored: floats or codes."""

ELEMENTS = {
    "i8": TensorProto.INT8,
    "u8": TensorProto.UINT8,
    "i16": TensorProto.INT16,
    "u16": TensorProto.UINT16,
    "i32": TensorProto.INT32,
}


@dataclass(frozen=True)
class Lowered:
    """An ONNX model, and the large constants that are fed to it at run time, by input name."""

    model: ModelProto
    fed: Mapping[str, Array]


def value_name(label: str) -> str:
    """Return the name of the extra output that shows a labelled value."""
    return f"{label}:value"


def output_name(op: nn.OutputOp) -> str:
    """Return the name of a model output; where an input of the model is its output, a name of its own."""
    passed = isinstance(op.x.owner, nn.InputOp) and op.x.owner.label == op.label
    return f"{op.label.data}:output" if passed else op.label.data


def given_name(label: str) -> str:
    """Return the name of the extra input that stands for a labelled value where others read it."""
    return f"{label}:given"


def lower(
    graph: Graph,
    values: Collection[str] = (),
    codes: bool = False,
    outputs: bool = True,
    feeding: bool = False,
    given: Collection[str] = (),
    within: Sequence[Operation] | None = None,
) -> Lowered:
    """Return the ONNX model; see `cimc.evaluate.to_onnx`. Without `outputs` only what `values` need is in it.

    With `feeding`, large constants are inputs of the model. Values `given`, outside of loops, are extra inputs for
    whatever reads them: a value that is asked for is computed from given ones all the same. `within`: only these
    operations of the module are looked at, a piece of it (cimc.evaluate.pieces).
    Raises CimcError where a value is not in the graph, an operation is unknown or a number rule is broken.
    """
    operations = list(graph.module.ops) if within is None else within
    shown = _shown(operations, values, codes)
    ends = [op for op in operations if isinstance(op, nn.OutputOp) and outputs]
    replaced = replaced_by(operations, given)
    needed = needed_by([*shown, *ends], replaced)
    b = Builder(graph.weights, _public_names(operations, shown) | {given_name(label) for label in given}, feeding)
    inputs: list[ValueInfoProto] = []
    results: list[ValueInfoProto] = []
    for op in operations:
        if isinstance(op, nn.InputOp):
            b.batch_source = b.batch_source or op.label.data
            inputs.append(_info(op.label.data, TensorProto.FLOAT, int_values(op.model_shape)))
        if op in needed:
            results.extend(_lower_operation(b, op, shown))
        if isinstance(op, nn.Computed) and op in shown:
            results.append(_info(shown[op], _show(b, op, shown[op]), shape_of(op.out)))
        if op in replaced and isinstance(op, nn.Computed):
            inputs.append(_give(b, op))
    return Lowered(_model(b, graph.name, inputs, results), b.fed)


def _shown(operations: Sequence[Operation], values: Collection[str], codes: bool) -> dict[Operation, str]:
    """Return the operations whose values become outputs and the names of those; of equal labels the last is meant."""
    labelled = {op.label.data: op for op in walk(operations) if isinstance(op, nn.Computed)}
    asked = frozenset(values)
    for label in values:
        if label not in labelled:
            raise fail("CIM0306", f"no operation of the graph computes a value labelled '{label}'")
    chosen = (op for label, op in labelled.items() if label in asked or (codes and is_quantised(op.out)))
    return {op: value_name(op.label.data) for op in chosen}


def replaced_by(operations: Sequence[Operation], given: Collection[str]) -> set[Operation]:
    """Return the operations whose values are given by label."""
    return {op for op in operations if isinstance(op, nn.Computed) and op.label.data in given} if given else set()


def needed_by(ends: Sequence[Operation], given: Collection[Operation]) -> set[Operation]:
    """Return what the ends need, themselves included, up to what is given."""
    needed: set[Operation] = set()
    stack = list(ends)
    while stack:
        op = stack.pop()
        if op not in needed:
            needed.add(op)
            stack.extend(source for source in sources(op) if source not in given)
            stack.extend(inner for region in op.regions for inner in region.ops)
            stack.extend(scan for scan in [scan_of(op)] if scan)
    return needed


def sources(op: Operation) -> Iterator[Operation]:
    """Return the operations that compute the operands of one."""
    return (operand.owner for operand in op.operands if isinstance(operand.owner, Operation))


def _public_names(operations: Sequence[Operation], shown: Mapping[Operation, str]) -> set[str]:
    ends = {op.label.data for op in operations if isinstance(op, nn.InputOp | nn.OutputOp)}
    return ends | set(shown.values())


def _lower_operation(b: Builder, op: Operation, shown: Mapping[Operation, str]) -> Iterator[ValueInfoProto]:
    """Append the nodes of one operation; yield the descriptions of a model output, or of values shown in a loop."""
    if isinstance(op, nn.OutputOp):
        b.label = op.label.data
        yield _lower_output(b, op)
    elif isinstance(op, nn.Computed):
        b.label = op.label.data
        b.names[op.out] = _lower_computed(b, op)
    elif isinstance(op, ScanOp):
        b.label = "loop"
        yield from loops.scan(b, op, lambda inner: _lower_inner(b, inner), shown, _show)
    else:
        raise _unknown(op)


def _lower_inner(b: Builder, op: Operation) -> None:
    """Append the nodes of one operation of a body; states and slices are inputs of the subgraph."""
    if not isinstance(op, nn.Computed):
        raise _unknown(op)
    if not isinstance(op, StateOp | TakeOp):
        b.label = op.label.data
        b.names[op.out] = _lower_computed(b, op)


def _lower_computed(b: Builder, op: nn.Computed) -> str:
    if isinstance(op, nn.InputOp):
        return _lower_input(b, op)
    if (stored := STORED.get(type(op))) is not None:
        return stored(b, op)
    if (on_reals := REAL.get(type(op))) is None:
        raise _unknown(op)
    y = on_reals(b, op)
    return quantise(b, y, code_of(op.out)) if is_quantised(op.out) else y


def _lower_input(b: Builder, op: nn.InputOp) -> str:
    x, order, shape = op.label.data, int_values(op.order), int_values(op.model_shape)
    if is_quantised(op.out):
        x = quantise(b, x, code_of(op.out))
    x = layout.transpose(b, x, order)
    return x if shape_of(op.out) == tuple(shape[axis] for axis in order) else layout.reshape(b, x, shape_of(op.out))


def _lower_output(b: Builder, op: nn.OutputOp) -> ValueInfoProto:
    x, order, shape = b.names[op.x], int_values(op.order), int_values(op.model_shape)
    x = dequantise(b, x, code_of(op.x)) if is_quantised(op.x) else x
    in_memory = tuple(shape[axis] for axis in order)
    x = x if shape_of(op.x) == in_memory else layout.reshape(b, x, in_memory)
    b.add("Identity", [layout.transpose(b, x, [order.index(axis) for axis in range(len(order))])], output_name(op))
    return _info(output_name(op), TensorProto.FLOAT, shape)


def _show(b: Builder, op: nn.Computed, name: str) -> int:
    """Append the node that gives a value a public name; return its element type."""
    if not is_quantised(op.out):
        b.add("Identity", [b.names[op.out]], name)
        return TensorProto.FLOAT
    element = ELEMENTS[code_of(op.out).element_type]
    b.add("Cast", [b.names[op.out]], name, to=element)
    return element


def _give(b: Builder, op: nn.Computed) -> ValueInfoProto:
    """Let whatever reads a value read an input of the model instead."""
    b.names[op.out] = given_name(op.label.data)
    b.batch_source = b.batch_source or b.names[op.out]
    wide = is_quantised(op.out) and magnitude(op.out) > SINGLE
    return _info(b.names[op.out], TensorProto.DOUBLE if wide else TensorProto.FLOAT, shape_of(op.out))


def _info(name: str, element: int, shape: tuple[int, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, element, ["batch", *shape])


def _model(b: Builder, name: str, inputs: list[ValueInfoProto], results: list[ValueInfoProto]) -> ModelProto:
    fed = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in b.fed.items()
    ]
    body = helper.make_graph(b.nodes, name, [*inputs, *fed], results, b.constants)
    return helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="cimc"
    )


def _unknown(op: Operation) -> Exception:
    return fail(
        "CIM0306",
        f"no meaning is known for operation {op.name}",
        node=", ".join(names_of(op.location)),
        operator=op.name,
    )
