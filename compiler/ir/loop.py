"""Dialect `loop`: a body that runs once for each step of a sequence. It stays the same from the model to the tile IR.

`loop.scan` runs its body `steps` times. The body reads values from outside through two operations only: `loop.take`
gives the slice of this step of a sequence (axis 0 is time), `loop.state` a value carried from step to step. It ends
with `loop.yield`: the next value of every state, in their order, and the values that are kept of every step. Results
of the scan are the last values of the states, then the kept values stacked along a new first axis; `loop.result` gives
one of them its label. With `reverse` the steps go from the end of the sequences to their start.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar

from xdsl.dialects.builtin import TensorType, UnitAttr
from xdsl.ir import Attribute, Block, Dialect, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    Operand,
    VarOperand,
    VarOpResult,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import IsTerminator
from xdsl.utils.exceptions import VerifyException

from cimc.ir.attributes import Integer, int_value, integer, text
from cimc.ir.nature import AxisOrder, Described, Nature, Passes, Reads
from cimc.ir.nn import Canonical, Movement, ReshapeOp
from cimc.ir.types import shape_of, tensor_of
from cimc.ir.xbar import ViewOp

MOST_MOVING = 11
"""Sequences read and stacked in one loop: each has one of 16 streams of its own. Four serve the body, one the refit."""

Kind = TypeVar("Kind", bound=Operation)


@irdl_op_definition
class YieldOp(IRDLOperation, Described):
    """The end of a body: `next` are the states of the next step, `kept` is stacked over all steps."""

    name = "loop.yield"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    next: VarOperand = var_operand_def(TensorType)
    kept: VarOperand = var_operand_def(TensorType)
    traits = traits_def(IsTerminator())


@irdl_op_definition
class ScanOp(IRDLOperation, Described):
    """A counted loop over the slices of sequences."""

    name = "loop.scan"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.NOTHING, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    steps: Integer = prop_def(Integer)
    reverse: UnitAttr | None = opt_prop_def(UnitAttr)
    final: VarOpResult = var_result_def(TensorType)
    """The last value of each state, then the stack of each kept value."""
    body: Region = region_def("single_block")

    @property
    def states(self) -> list["StateOp"]:
        return list(self._body(StateOp))

    @property
    def terminator(self) -> YieldOp:
        """The yield. Raises VerifyException where the body does not end with one."""
        last = self.body.block.last_op
        if not isinstance(last, YieldOp):
            raise VerifyException("the body does not end with loop.yield")
        return last

    @property
    def kept(self) -> Sequence[SSAValue]:
        """The results that stack a kept value, in the order of the yield."""
        return self.results[len(self.terminator.next) :]

    def _body(self, kind: type[Kind]) -> Iterator[Kind]:
        return (op for op in self.body.ops if isinstance(op, kind))

    def verify_(self) -> None:
        if int_value(self.steps) < 1:
            raise VerifyException(f"{int_value(self.steps)} steps, a loop runs at least once")
        if scan_of(self) is not None:
            raise VerifyException("a loop inside a loop")
        if tuple(self.result_types) != tuple(_result_types(self)):
            raise VerifyException("the results are not the states and the stacks of the kept values")
        if not list(self._body(TakeOp)):
            raise VerifyException("the loop takes nothing of any sequence")
        moving = len(list(self._body(TakeOp))) + len(self.kept)
        if moving > MOST_MOVING:
            raise VerifyException(f"{moving} sequences move, at most {MOST_MOVING} can")
        self._verify_states()
        self._verify_closed()

    def _verify_states(self) -> None:
        if len(self.states) != len(self.terminator.next):
            raise VerifyException(f"{len(self.terminator.next)} next values for {len(self.states)} states")
        for state, following in zip(self.states, self.terminator.next, strict=True):
            if following.type != state.out.type:
                raise VerifyException(f"state '{state.label.data}' is {state.out.type}, its next {following.type}")
            if isinstance(_unviewed(following).owner, StateOp):
                raise VerifyException(f"the next value of state '{state.label.data}' is a state: nothing computes it")

    def _verify_closed(self) -> None:
        inside = set(self.body.ops)
        for op in inside:
            for operand in op.operands:
                if (operand.owner in inside) == isinstance(op, TakeOp | StateOp):
                    raise VerifyException(f"{op.name} reads on the wrong side of the body: take and state read outside")


@irdl_op_definition
class TakeOp(Movement):
    """The slice of this step of a sequence (steps, ...)."""

    name = "loop.take"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.CODES, order=AxisOrder.NO, tied=False
    )
    x: Operand = operand_def(TensorType)

    def verify_(self) -> None:
        Movement.verify_(self)
        want = (_steps(self), *shape_of(self.out))
        if shape_of(self.x) != want:
            raise VerifyException(f"the sequence is {shape_of(self.x)}, the loop wants {want}")


@irdl_op_definition
class StateOp(Canonical):
    """The value of a state in this step; `initial` is that of the first step."""

    name = "loop.state"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=True
    )
    initial: Operand = operand_def(TensorType)

    def verify_(self) -> None:
        _steps(self)
        if self.initial.type != self.out.type:
            raise VerifyException(f"the state is {self.out.type}, its initial value {self.initial.type}")


@irdl_op_definition
class ResultOp(Movement):
    """A result of a scan under its label, where the loop has written it."""

    name = "loop.result"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.CODES, order=AxisOrder.NO, tied=True
    )
    x: Operand = operand_def(TensorType)

    def verify_(self) -> None:
        Movement.verify_(self)
        if not isinstance(self.x.owner, ScanOp) or len(list(self.x.uses)) != 1 or self.x.type != self.out.type:
            raise VerifyException("its operand is no result of a loop.scan, or has another user or type")

    @property
    def state(self) -> StateOp | None:
        """The state whose last value this is; None for a stack."""
        scan, index = self.x.owner, self.x.index  # type: ignore[attr-defined]
        assert isinstance(scan, ScanOp)
        return scan.states[index] if index < len(scan.states) else None


def scan_of(op: Operation) -> ScanOp | None:
    """Return the loop whose body an operation is in; None outside of loops."""
    parent = op.parent_op()
    return parent if isinstance(parent, ScanOp) else None


def runs_of(op: Operation) -> int:
    """Return how often an operation runs for one sample."""
    scan = scan_of(op)
    return int_value(scan.steps) if scan else 1


def results_of(value: SSAValue) -> list[ResultOp]:
    """Return what labels a result of a scan: one operation, or none where nobody wants it."""
    return [use.operation for use in value.uses if isinstance(use.operation, ResultOp)]


def readers(value: SSAValue) -> list[Operation]:
    """Return the operations that use a value, each as often as it does.

    A value that a body yields is read by the state that takes it over, or by the result that stacks it.
    """
    found: list[Operation] = []
    for use in value.uses:
        op = use.operation
        if not isinstance(op, YieldOp):
            found.append(op)
            continue
        scan = scan_of(op)
        assert scan is not None
        found += scan.states[use.index : use.index + 1] or results_of(scan.results[use.index])
    return found


def take(x: SSAValue, label: str) -> TakeOp:
    kind = TensorType(tensor_of(x).element_type, list(shape_of(x)[1:]))
    return TakeOp(operands=[x], properties={"label": text(label)}, result_types=[kind])


def state(initial: SSAValue, label: str) -> StateOp:
    return StateOp(operands=[initial], properties={"label": text(label)}, result_types=[initial.type])


def yielded(following: Sequence[SSAValue], kept: Sequence[SSAValue]) -> YieldOp:
    return YieldOp(operands=[list(following), list(kept)])


def scan(body: Block, steps: int, reverse: bool) -> ScanOp:
    """Return the loop over a body that ends with its yield."""
    end = body.last_op
    assert isinstance(end, YieldOp)
    properties: dict[str, Attribute] = {"steps": integer(steps)} | ({"reverse": UnitAttr()} if reverse else {})
    types = [*(value.type for value in end.next), *(stacked(value, steps) for value in end.kept)]
    return ScanOp.create(result_types=types, properties=properties, regions=[Region(body)])


def result(x: SSAValue, label: str) -> ResultOp:
    return ResultOp(operands=[x], properties={"label": text(label)}, result_types=[x.type])


def stacked(value: SSAValue, steps: int) -> TensorType[Attribute]:
    """Return the type of a value's stack over all steps."""
    return TensorType(tensor_of(value).element_type, [steps, *shape_of(value)])


def retype_results(scan: ScanOp) -> None:
    """Give the results of a scan the types that its yield says."""
    from xdsl.rewriter import Rewriter

    for value, kind in zip(scan.results, _result_types(scan), strict=True):
        Rewriter.replace_value_with_new_type(value, kind)


def _result_types(scan: ScanOp) -> Iterator[Attribute]:
    end = scan.terminator
    yield from (value.type for value in end.next)
    yield from (stacked(value, int_value(scan.steps)) for value in end.kept)


def _steps(op: Operation) -> int:
    if scan_of(op) is None:
        raise VerifyException(f"{op.name} stands outside the body of a loop")
    return runs_of(op)


def _unviewed(value: SSAValue) -> SSAValue:
    while isinstance(value.owner, ReshapeOp | ViewOp):
        value = value.owner.x
    return value


Loops = Dialect("loop", [ScanOp, YieldOp, TakeOp, StateOp, ResultOp], [])
