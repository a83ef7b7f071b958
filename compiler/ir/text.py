"""Text of the IR: generic MLIR form with locations, printed and parsed as inverses.

Weights of up to `inline.LARGEST` elements stand in the text, larger ones beside it. A text may leave out a label that
is the name of the result (or, for an output, the label of its operand), and a location that is the label.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO

from xdsl.context import Context
from xdsl.dialects.builtin import BytesAttr, ModuleOp, StringAttr, UnknownLoc
from xdsl.ir import Attribute, Operation, SSAValue, TypeAttribute
from xdsl.printer import Printer
from xdsl.utils.lexer import Position
from xdsl.utils.mlir_lexer import MLIRTokenKind

from cimc.ir.attributes import text
from cimc.ir.graph import Graph
from cimc.ir.inline import InlineWeight, inlined
from cimc.ir.location import named
from cimc.ir.loop import Loops
from cimc.ir.nn import Codes, Computed, Nn, OutputOp
from cimc.ir.tokens import RememberingParser
from cimc.ir.types import CodeType, WeightRef, tensor_of
from cimc.ir.weights import WeightStore
from cimc.ir.xbar import Xbar

_NAME = re.compile(r"[A-Za-z_$.-][\w$.-]*", re.ASCII)
"""Labels that can name a result; numbers name results without a label."""
_NOT_OURS = frozenset({"affine_map", "affine_set", "dense", "dense_resource", "opaque", "strided"})
"""Attributes that xDSL's parser knows and that cost most of what a text can cost."""
_NO_TYPES = frozenset({"complex", "memref", "tuple", "vector"})
"""Types that xDSL's parser knows, and with functions the only ones in which types can nest."""
WIDE = 60
"""Columns behind which a sparse text puts the next attribute on a line of its own."""


@dataclass(frozen=True)
class _Style:
    """What a text looks like: names of results, short names of types, the column behind which attributes wrap."""

    names: Mapping[SSAValue, str]
    aliases: Mapping[Attribute, str]
    width: float


FULL = _Style({}, {}, math.inf)


def context() -> Context:
    """Return a context that knows modules and every dialect of ours, and no other."""
    result = Context()
    for dialect in (Codes, Nn, Loops, Xbar):
        result.load_dialect(dialect)
    result.load_op(ModuleOp)
    result.load_attr_or_type(InlineWeight)
    return result


def print_graph(graph: Graph) -> str:
    """Return the text of a graph with every default written out; equal graphs give equal text."""
    return _printed([graph.module], graph.weights, FULL)


def print_sparse(graph: Graph) -> str:
    """Return the text of a graph without what `parse_graph` fills in: labels, locations, types in full."""
    copy = replace(graph, module=graph.module.clone())
    computed = (op for op in copy.operations if isinstance(op, Computed))
    names: dict[SSAValue, str] = {op.out: op.label.data for op in computed if _NAME.fullmatch(op.label.data)}
    for op in copy.operations:
        _leave_out(op, names)
    style = _Style(names, _aliases(copy), WIDE)
    aliases = "".join(f"{alias} = {code}\n" for code, alias in style.aliases.items())
    return aliases + _printed([copy.module] if copy.module.attributes else copy.module.ops, copy.weights, style)


def parse_graph(source: str, name: str = "<ir>") -> Graph:
    """Return the graph of a text and the weights that stand in it. Raises xdsl's ParseError with the place."""
    parser = _Parser(source, name)
    return Graph(parser.parse_module(), parser.weights)


def _aliases(graph: Graph) -> dict[Attribute, str]:
    """Return a short name for each code type, in the order of the values."""
    elements = (tensor_of(value).element_type for op in graph.operations for value in op.results)
    codes = dict.fromkeys(element for element in elements if isinstance(element, CodeType))
    return {code: f"!c{number}" for number, code in enumerate(codes)}


def _printed(operations: Iterable[Operation], weights: WeightStore, style: _Style) -> str:
    stream = StringIO()
    printer = _Printer(stream, weights, style)
    for op in operations:
        printer.print_op(op)
        printer.print_string("\n")
    return stream.getvalue()


def _leave_out(op: Operation, names: Mapping[SSAValue, str]) -> None:
    """Take from an operation what `_Parser` fills in, where its results have these names."""
    if not isinstance(op, Computed | OutputOp):
        return
    if op.location == named(op.label.data):
        op.location = UnknownLoc()
    if _default_label(op, names) == op.label.data:
        del op.properties["label"]


def _default_label(op: Operation, names: Mapping[SSAValue, str]) -> str | None:
    """Return the label of an operation that states none: its result's name, or an output's operand's."""
    values: Sequence[SSAValue] = op.operands if isinstance(op, OutputOp) else op.results
    return next((names[value] for value in values if value in names), None)


class _Printer(Printer):
    """Prints small weights inline, large ones with their hash, labels first, and no location that is unknown."""

    def __init__(self, stream: StringIO, weights: WeightStore, style: _Style) -> None:
        super().__init__(stream, print_generic_format=True)
        self._weights, self._style = weights, style

    def print_attribute(self, attribute: Attribute) -> None:
        alias = self._style.aliases.get(attribute)
        if alias is not None:
            self.print_string(alias)
        elif isinstance(attribute, WeightRef):
            super().print_attribute(inlined(attribute, self._weights) or self._weights.stated(attribute))
        else:
            super().print_attribute(attribute)

    def print_attr_dict(self, attr_dict: Mapping[str, Attribute]) -> None:
        names = sorted(attr_dict, key=lambda name: name != "label")
        with self.in_braces(), self.indented(2):
            for name in names:
                if name != names[0]:
                    self.print_string(",\n" if self._current_column > self._style.width else ", ")
                self._print_attr_string((name, attr_dict[name]))

    def print_ssa_value(self, value: SSAValue) -> str:
        name = self._style.names.get(value)
        if name is None:
            return super().print_ssa_value(value)
        self.print_string(f"%{name}")
        return name

    def print_operation_type(self, op: Operation) -> None:
        super().print_operation_type(op)
        if not isinstance(op.location, UnknownLoc):
            self.print_string(" ")
            self.print_attribute(op.location)


class _Parser(RememberingParser):
    """Keeps the weights that stand inline, fills in labels and locations left out, and refuses what no IR has."""

    def __init__(self, source: str, name: str) -> None:
        super().__init__(context(), source, name)
        self.weights = WeightStore()
        self._names: dict[SSAValue, str] = {}
        self._module_begun = False

    def parse_optional_attribute(self) -> Attribute | None:
        start = self.pos
        attribute = super().parse_optional_attribute()
        if not isinstance(attribute, InlineWeight):
            return attribute
        try:
            return self.weights.add(attribute.key.data, attribute.array)
        except (ValueError, OverflowError, TypeError) as error:
            self.raise_error(f"weight {attribute.key.data!r}: {error}", start)

    def parse_operation(self) -> Operation:
        start = self.pos
        op = super().parse_operation()
        self._refuse_second_module(op, start)
        self._take_name(op)
        if isinstance(op, Computed | OutputOp):
            self._fill_in(op, start)
        return op

    def _refuse_second_module(self, op: Operation, start: Position) -> None:
        if isinstance(op, ModuleOp) and self._module_begun:
            self.raise_error("a text is one module at most, and a module holds no other", start)
        self._module_begun |= isinstance(op, ModuleOp)

    def _parse_optional_builtin_parametrized_attr(self) -> Attribute | None:
        word = self._current_token.text
        if word in _NOT_OURS:
            self.raise_error(
                f"no operation has an attribute {word}: weights stand in #{InlineWeight.name} or beside the text"
            )
        return super()._parse_optional_builtin_parametrized_attr()

    def _parse_optional_builtin_type(self) -> TypeAttribute | None:
        token = self._current_token
        if token.text in _NO_TYPES or token.kind == MLIRTokenKind.L_PAREN:
            self.raise_error("no value has this type: values are tensors")
        return super()._parse_optional_builtin_type()

    def _take_name(self, op: Operation) -> None:
        """Note the name of an operation's result, and drop it: equal graphs must print as equal text."""
        for value in op.results:
            value.name_hint = None
        name, values = next(reversed(self.ssa_values.items()), ("", ()))
        if values == tuple(op.results) and _NAME.fullmatch(name):
            self._names[values[0]] = name

    def _fill_in(self, op: Computed | OutputOp, start: Position) -> None:
        name = _default_label(op, self._names)
        label = op.properties.setdefault("label", text(name or ""))
        if isinstance(label, BytesAttr):  # xDSL's parser takes a string with escapes for bytes
            label = op.properties["label"] = text(label.data.decode(errors="replace"))
        if label == text("") or not isinstance(label, StringAttr):
            self.raise_error(f"{op.name} has no label, and no result with a name that could be one", start)
        if isinstance(op.location, UnknownLoc):
            op.location = named(label.data)
