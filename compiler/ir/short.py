"""The IR for people: one line an operation, with shapes, without what goes without saying. Nothing reads it back."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, StringAttr, UnitAttr
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.ir.attributes import int_values
from cimc.ir.graph import Graph, label_of
from cimc.ir.loop import ScanOp, YieldOp
from cimc.ir.nn import UNBOUNDED, Computed, InputOp, OutputOp
from cimc.ir.types import CodeType, WeightRef, code_of, is_quantised, shape_of, tensor_of
from cimc.ir.weights import WeightStore

SHOWN = 8
"""Elements of a weight that are shown; of more, only type and shape."""

Numbers = tuple[float, ...]
Said = Callable[[Operation, Numbers], bool]


def print_short(graph: Graph) -> str:
    """Return the lines of a graph; those of a loop's body are indented."""
    shown = _Short(graph.weights)
    facts = shown.attributes(graph.module.attributes)
    lines = [f"graph {facts}"] if facts else []
    return "".join(f"{line}\n" for line in [*lines, *shown.lines(graph.module.ops)])


@dataclass(frozen=True)
class _Short:
    """Renders what belongs to one graph, whose small weights are shown."""

    weights: WeightStore

    def lines(self, operations: Iterable[Operation]) -> Iterator[str]:
        for op in operations:
            yield self._line(op)
            for region in op.regions:
                yield from (f"  {line}" for line in self.lines(region.ops))

    def attributes(self, attributes: Mapping[str, Attribute]) -> str:
        """Return names and values, such as `shift 16, clamp (0, inf)`."""
        values = ((name.removeprefix("cim."), self._value(value)) for name, value in attributes.items())
        return ", ".join(f"{name} {value}".rstrip() for name, value in values)

    def _line(self, op: Operation) -> str:
        result = f"{op.label.data}: {_type(op.out)} = " if isinstance(op, Computed) else ""
        carried = {**op.properties, **op.attributes}
        if isinstance(op, Computed) or (isinstance(op, OutputOp) and op.label.data == _name(op.x)):
            del carried["label"]
        given = self.attributes({name: value for name, value in carried.items() if not _said_already(op, name, value)})
        return f"{result}{op.name}{_operands(op)}{' ' if given else ''}{given}"

    def _value(self, value: Attribute) -> str:
        if isinstance(value, WeightRef):
            return self._weight(value)
        if isinstance(value, CodeType):
            return _codes(value)
        if isinstance(value, DenseArrayBase):
            return f"({', '.join(map(_number, _numbers(value)))})"
        if isinstance(value, IntegerAttr | FloatAttr):
            return _number(value.value.data)
        return "" if isinstance(value, UnitAttr) else value.data if isinstance(value, StringAttr) else str(value)

    def _weight(self, ref: WeightRef) -> str:
        kind = f"{ref.dtype.data[1:]}[{ref.shape.data}]"
        array = None if self.weights.check(ref) else self.weights.get(ref)
        if array is None or array.size > SHOWN:
            return kind
        return f"{kind} ({', '.join(map(_number, array.reshape(-1).tolist()))})"


def _said_already(op: Operation, name: str, value: Attribute) -> bool:
    """Return whether result, operands or default say already what an attribute says."""
    return name in SAID and SAID[name](op, _numbers(value))


def _of_plain_order(op: Operation, model_shape: Numbers) -> bool:
    """Return whether a port's shape in the model is that of its value, axes in the model's order."""
    value = op.x if isinstance(op, OutputOp) else op.results[0]
    order = int_values(op.order) if isinstance(op, InputOp | OutputOp) else ()
    return {axis: model_shape[axis] for axis in order} == dict(zip(order, shape_of(value), strict=False))


def _numbers(value: Attribute) -> Numbers:
    if isinstance(value, DenseArrayBase):
        return tuple(value.get_values())
    return (value.value.data,) if isinstance(value, IntegerAttr | FloatAttr) else ()


def _number(value: float) -> str:
    return f"{value:.6g}" if abs(value) < UNBOUNDED else "inf" if value > 0 else "-inf"


def _operands(op: Operation) -> str:
    if isinstance(op, YieldOp):
        return f" next ({', '.join(map(_name, op.next))}) kept ({', '.join(map(_name, op.kept))})"
    return f"({', '.join(map(_name, op.operands))})" if op.operands else ""


def _name(value: SSAValue) -> str:
    """Return a value's label; of a result of a loop, what it is the last value or the stack of."""
    if not isinstance(value.owner, ScanOp):
        return label_of(value)
    scan = value.owner
    names = [f"last {state.label.data}" for state in scan.states] + [
        f"every {label_of(x)}" for x in scan.terminator.kept
    ]
    return next(name for result, name in zip(scan.results, names, strict=True) if result is value)


def _type(value: SSAValue) -> str:
    """Return shape and elements, such as `4x2 f32`."""
    shape = "x".join(map(str, shape_of(value))) or "scalar"
    return f"{shape} {_codes(code_of(value)) if is_quantised(value) else tensor_of(value).element_type}"


def _codes(code: CodeType) -> str:
    """Return what codes there are and what they stand for, with their zero point where it is not 0."""
    zero = f", zero {code.zero.data}" if code.zero.data else ""
    return f"of {code.bits.data} bits {code.low.data}..{code.high.data}{zero}, step {_number(code.scale.data)}"


def _all(wanted: int) -> Said:
    return lambda op, numbers: set(numbers) == {wanted}


def _end(name: str) -> Said:
    """Say of a clamp in codes that it is an end of the result's codes."""
    return lambda op, numbers: is_quantised(op.results[0]) and getattr(code_of(op.results[0]), name).data == numbers[0]


SAID: Mapping[str, Said] = {
    "stride": _all(1),
    "dilation": _all(1),
    "pads": _all(0),
    "counted": _all(0),
    "group": _all(1),
    "parameters": lambda op, numbers: not numbers,
    "low": _end("low"),
    "high": _end("high"),
    "row_cuts": lambda op, numbers: len(numbers) == 2,
    "col_cuts": lambda op, numbers: len(numbers) == 2,
    "order": lambda op, numbers: numbers == tuple(range(len(numbers))),
    "model_shape": _of_plain_order,
    "operandSegmentSizes": lambda op, numbers: True,
}
"""What goes without saying, by the attribute: neutral numbers, one block, ends of the codes, the model's own order."""
