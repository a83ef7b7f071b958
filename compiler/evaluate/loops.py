"""Lowers dialect `loop` to ONNX Scan: the batch is axis 0 and time axis 1 of what is scanned and stacked."""

from collections.abc import Callable, Iterator, Mapping

from onnx import TensorProto, ValueInfoProto, helper
from xdsl.ir import Operation, SSAValue

from cimc.evaluate.builder import Builder, Lowerings
from cimc.ir import loop
from cimc.ir.attributes import int_value
from cimc.ir.nn import Computed
from cimc.ir.types import shape_of

Lower = Callable[[Operation], None]
Show = Callable[[Builder, Computed, str], int]
"""Appends the node that gives a value a name; returns ONNX's element type."""


def result(b: Builder, op: loop.ResultOp) -> str:
    return b.names[op.x]


def scan(
    b: Builder, op: loop.ScanOp, lower: Lower, shown: Mapping[Operation, str], show: Show
) -> Iterator[ValueInfoProto]:
    """Append one Scan; yield the descriptions of shown values of the body, which get an axis of steps behind the batch.

    Steps are in the order in which they run, also where the loop goes backwards.
    """
    takes = [inner for inner in op.body.ops if isinstance(inner, loop.TakeOp)]
    states, end, backward = op.states, op.terminator, int(op.reverse is not None)
    outer = [*(b.names[state.initial] for state in states), *(b.names[take.x] for take in takes)]
    seen = [inner for inner in op.body.ops if inner in shown]
    with b.nested() as nodes:
        inputs = [_named(b, inner, "in") for inner in (*states, *takes)]
        for inner in op.body.ops:
            if inner is not end:
                lower(inner)
        outputs = [_copied(b, value) for value in (*end.next, *end.kept)]
        views = [_seen(b, inner, show) for inner in seen]
    body = helper.make_graph(nodes, f"{b.label}:body", inputs, [*outputs, *views])
    names = [b.fresh(f"{b.label}:scan") for _ in outputs]
    b.names |= dict(zip(op.results, names, strict=True))
    directions = [backward] * len(end.kept) + [0] * len(seen)
    stacks = {"scan_output_axes": [1] * len(directions), "scan_output_directions": directions} if directions else {}
    b.append(
        "Scan",
        outer,
        [*names, *(shown[inner] for inner in seen)],
        body=body,
        num_scan_inputs=len(takes),
        scan_input_axes=[1] * len(takes),
        scan_input_directions=[backward] * len(takes),
        **stacks,
    )
    for inner, view in zip(seen, views, strict=True):
        element, shape = view.type.tensor_type.elem_type, shape_of(inner.results[0])
        yield helper.make_tensor_value_info(shown[inner], element, ["batch", int_value(op.steps), *shape])


def _named(b: Builder, op: Computed, suffix: str) -> ValueInfoProto:
    """Describe the input of the body that stands for a state or a slice."""
    name = b.fresh(f"{op.label.data}:{suffix}")
    b.names[op.out] = name
    return _info(name, op.out, TensorProto.FLOAT)


def _copied(b: Builder, value: SSAValue) -> ValueInfoProto:
    """Describe an output of the body; a copy, since outputs must be distinct."""
    return _info(b.node("Identity", b.names[value]), value, TensorProto.FLOAT)


def _seen(b: Builder, op: Operation, show: Show) -> ValueInfoProto:
    assert isinstance(op, Computed)
    name = b.fresh(f"{op.label.data}:seen")
    return _info(name, op.out, show(b, op, name))


def _info(name: str, value: SSAValue, element: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, element, ["batch", *shape_of(value)])


STORED: Lowerings = {
    loop.ResultOp: result,
}
