"""LSTM, GRU and RNN: the inputs' part of all steps as one matrix product, the rest as a loop over the steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from xdsl.ir import Block, SSAValue

from cimc.frontend.activations import Activation, activations
from cimc.frontend.batch_axis import BatchAxis
from cimc.frontend.lowering import Lowering, Reals
from cimc.frontend.movement import bound, whole_input
from cimc.frontend.preparation import UNBATCHED
from cimc.ir import build, loop
from cimc.ir.nn import Computed
from cimc.ir.types import shape_of

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
X, W, R, B, LENGTHS, H, C, P = range(8)
"""The inputs of an LSTM by number; GRU and RNN have the first six."""


@dataclass(frozen=True)
class TimeStep:
    """The body of one direction under construction; `inside` is the node within the body.

    Matrices are (rows, gates * hidden) with the gates in ONNX's order, `bias` is what the inputs' part does not hold.
    """

    inside: Lowering
    prefix: str
    hidden: int
    recurrence: Reals
    bias: Reals
    peepholes: Reals | None
    functions: Sequence[Activation]

    def add(self, op: Computed) -> SSAValue:
        return self.inside.add(op)

    def label(self, name: str) -> str:
        return self.inside.helper(f"{self.prefix}.{name}")

    def product(self, h: SSAValue, name: str, first: int, last: int) -> SSAValue:
        """Return h times the recurrence of gates first..last - 1, plus their bias where it is not zero."""
        columns = slice(first * self.hidden, last * self.hidden)
        weight = self.inside.weight(self.recurrence[:, columns], f"{self.inside.node.inputs[R]}.{self.prefix}.{name}")
        bias = self.bias[columns]
        kept = self.inside.weight(bias, f"{self.inside.node.label}.{self.prefix}.{name}.bias") if bias.any() else None
        return self.add(build.dense(h, weight, kept, self.label(name)))

    def gates(self, x: SSAValue, first: int, last: int, name: str) -> SSAValue:
        """Return gates first..last - 1 of a vector of gates."""
        size = self.hidden
        shape = (*shape_of(x)[:-1], (last - first) * size)
        if shape == shape_of(x):
            return x
        begin = [0] * (len(shape) - 1) + [first * size]
        return self.add(build.slice_(x, begin, [1] * len(shape), shape, self.label(name)))

    def sum(self, a: SSAValue, b: SSAValue, name: str) -> SSAValue:
        return self.add(build.add(a, b, self.label(name)))

    def times(self, a: SSAValue, b: SSAValue, name: str) -> SSAValue:
        return self.add(build.mul(a, b, self.label(name)))

    def activated(self, x: SSAValue, number: int, name: str) -> SSAValue:
        """Return activation function `number` of the node, of x."""
        return self.functions[number](self.inside, x, self.label(name))

    def affine(self, x: SSAValue, scale: Reals, bias: Reals, name: str) -> SSAValue:
        return affine(self.inside, x, scale, bias, self.label(name))


def affine(at: Lowering, x: SSAValue, scale: Reals, bias: Reals, label: str) -> SSAValue:
    """Append x * scale + bias for constants along the last axis."""
    ones = (1,) * (len(shape_of(x)) - 1)
    refs = [
        at.weight(array.reshape(*ones, -1), f"{label}.{role}") for array, role in ((scale, "scale"), (bias, "bias"))
    ]
    return at.add(build.affine(x, refs[0], refs[1], label))


Cell = Callable[[TimeStep, SSAValue, Sequence[SSAValue]], list[SSAValue]]
"""Takes the inputs' part of the gates and the states; returns the next states, the output first."""


def lstm(at: Lowering) -> tuple[SSAValue, ...]:
    """Constant weights; every direction and layout, peepholes, clip; constant sequence lengths, each at least 1."""
    return _recurrent(at, 4, (H, C), ("Sigmoid", "Tanh", "Tanh"), _lstm)


def gru(at: Lowering) -> tuple[SSAValue, ...]:
    """Constant weights; every direction and layout, linear_before_reset, clip; constant sequence lengths."""
    return _recurrent(at, 3, (H,), ("Sigmoid", "Tanh"), _gru)


def rnn(at: Lowering) -> tuple[SSAValue, ...]:
    """Constant weights; every direction and layout, clip; constant sequence lengths, each at least 1."""
    return _recurrent(at, 1, (H,), ("Tanh",), _rnn)


def _rnn(step: TimeStep, x: SSAValue, states: Sequence[SSAValue]) -> list[SSAValue]:
    return [step.activated(step.sum(x, step.product(states[0], "recurrence", 0, 1), "sum"), 0, "next")]


def _gru(step: TimeStep, x: SSAValue, states: Sequence[SSAValue]) -> list[SSAValue]:
    """h' = n + z (h - n), which is (1 - z) n + z h; gates z, r, n."""
    (h,) = states
    after = step.inside.node.integer("linear_before_reset", 0)
    product = step.product(h, "recurrence", 0, 3 if after else 2)
    both = step.sum(step.gates(x, 0, 2, "x.zr"), step.gates(product, 0, 2, "recurrence.zr"), "zr")
    zr = step.activated(both, 0, "gates")
    z, r = step.gates(zr, 0, 1, "z"), step.gates(zr, 1, 2, "r")
    if after:
        part = step.times(r, step.gates(product, 2, 3, "recurrence.n"), "reset")
    else:
        part = step.product(step.times(r, h, "reset"), "recurrence.n", 2, 3)
    n = step.activated(step.sum(step.gates(x, 2, 3, "x.n"), part, "n.sum"), 1, "n")
    change = step.times(z, step.add(build.sub(h, n, step.label("difference"))), "kept")
    return [step.sum(n, change, "next")]


def _lstm(step: TimeStep, x: SSAValue, states: Sequence[SSAValue]) -> list[SSAValue]:
    """c' = f c + i g, h' = o H(c'); gates i, o, f, g; peepholes i, o, f."""
    h, c = states
    total = step.sum(x, step.product(h, "recurrence", 0, 4), "sum")
    if step.peepholes is None:
        iof = step.activated(step.gates(total, 0, 3, "iof.sum"), 0, "iof")
        i, o, f = (step.gates(iof, n, n + 1, name) for n, name in enumerate("iof"))
    else:
        i, f = (_peeped(step, total, c, n, name) for n, name in ((0, "i"), (2, "f")))
    if step.inside.node.integer("input_forget", 0):
        f = step.affine(i, -np.ones(1), np.ones(1), "f.coupled")
    g = step.activated(step.gates(total, 3, 4, "g.sum"), 1, "g")
    cell = step.sum(step.times(f, c, "f.c"), step.times(i, g, "i.g"), "cell")
    if step.peepholes is not None:
        o = _peeped(step, total, cell, 1, "o")
    return [step.times(o, step.activated(cell, 2, "cell.out"), "next"), cell]


def _peeped(step: TimeStep, total: SSAValue, c: SSAValue, gate: int, name: str) -> SSAValue:
    """Return a gate that also looks at the cell, element by element."""
    assert step.peepholes is not None
    weights = step.peepholes[gate * step.hidden : (gate + 1) * step.hidden]
    seen = step.affine(c, weights, np.zeros(1), f"{name}.cell")
    return step.activated(step.sum(step.gates(total, gate, gate + 1, f"{name}.gate"), seen, f"{name}.sum"), 0, name)


def _recurrent(
    at: Lowering, gates: int, states: Sequence[int], functions: Sequence[str], cell: Cell
) -> tuple[SSAValue, ...]:
    """Return Y and the last values of the states, in ONNX's axis order."""
    name = at.node.text("direction", "forward")
    if name not in DIRECTIONS:
        raise at.refuse("CIM0104", f"direction {name!r}")
    x, hidden = _sequence(at), _hidden(at, gates)
    chosen = activations(at, functions, len(DIRECTIONS[name]))
    outputs: list[list[SSAValue]] = []
    for number, reverse in enumerate(DIRECTIONS[name]):
        prefix = "backward" if reverse else "forward"
        own = chosen[number * len(functions) : (number + 1) * len(functions)]
        outer = _Direction(at, number, reverse, prefix, gates, hidden)
        outputs.append(outer.run(x, [_initial(outer, index, x) for index in states], own, cell))
    y, *finals = zip(*outputs, strict=True)
    return (_joined(at, y, 1, "Y"), *(_joined(at, one, 0, f"state{n}") for n, one in enumerate(finals)))


@dataclass(frozen=True)
class _Direction:
    """One direction of a node: its own weights, its own loop."""

    at: Lowering
    number: int
    reverse: bool
    prefix: str
    gates: int
    hidden: int

    def run(
        self, x: SSAValue, initial: Sequence[SSAValue], functions: Sequence[Activation], cell: Cell
    ) -> list[SSAValue]:
        """Return the outputs (time, ..., hidden) and the last states (..., hidden)."""
        at, before, inside = self.at, *self._biases()
        weight = at.weight(self._matrix(W, shape_of(x)[-1]), f"{at.node.inputs[W]}.{self.prefix}")
        bias = at.weight(before, f"{at.node.label}.{self.prefix}.bias")
        products = at.add(build.dense(x, weight, bias, self._label("inputs")))
        mask = self._mask(shape_of(x))
        block = Block()
        body = replace(at, builder=replace(at.builder, block=block))
        recurrence = self._matrix(R, self.hidden)
        step = TimeStep(body, self.prefix, self.hidden, recurrence, inside, self._peepholes(), functions)
        slices = [body.add(loop.take(v, self._label("step"))) for v in (products, *([] if mask is None else [mask]))]
        states = [body.add(loop.state(v, self._label(f"state{n}"))) for n, v in enumerate(initial)]
        following = cell(step, slices[0], states)
        kept = following[0]
        if mask is not None:
            kept = step.times(kept, slices[1], "masked")
            following = [self._held(step, new, old, slices[1]) for new, old in zip(following, states, strict=True)]
        return self._closed(block, following, kept, shape_of(x)[0])

    def _closed(self, block: Block, following: Sequence[SSAValue], kept: SSAValue, steps: int) -> list[SSAValue]:
        """End the body and append the loop; return its stack and its last states."""
        end = loop.yielded(following, [kept])
        end.location = self.at.node.location
        block.add_op(end)
        scan = loop.scan(block, steps, self.reverse)
        scan.location = self.at.node.location
        self.at.builder.block.add_op(scan)
        labelled = [
            self.at.add(loop.result(value, self._label("last" if n < len(following) else "all")))
            for n, value in enumerate(scan.results)
        ]
        return [labelled[-1], *labelled[:-1]]

    def _held(self, step: TimeStep, new: SSAValue, old: SSAValue, mask: SSAValue) -> SSAValue:
        """Return old + mask (new - old): steps behind the end of a sequence leave the state alone."""
        change = step.add(build.sub(new, old, step.label("change")))
        return step.sum(old, step.times(change, mask, "change.masked"), "held")

    def _matrix(self, index: int, rows: int) -> Reals:
        """Return W or R of this direction as (rows, gates * hidden)."""
        found = self.at.reals(index)
        want = (len(DIRECTIONS[self.at.node.text("direction", "forward")]), self.gates * self.hidden, rows)
        if found.shape != want:
            raise self.at.refuse("CIM0102", f"'{self.at.node.inputs[index]}' has shape {found.shape}, {want} is needed")
        return np.array(found[self.number].T)

    def _biases(self) -> tuple[Reals, Reals]:
        """Return the bias of the inputs' part, and what must stay with the recurrence: that of a reset product."""
        size = self.gates * self.hidden
        both = self._vector(B, 2 * size)
        before, inside = both[:size] + both[size:], np.zeros(size)
        if self.at.node.operator == "GRU" and self.at.node.integer("linear_before_reset", 0):
            n = slice(2 * self.hidden, size)
            before[n], inside[n] = both[:size][n], both[size:][n]
        return before, inside

    def _peepholes(self) -> Reals | None:
        weights = self._vector(P, 3 * self.hidden)
        return weights if weights.any() else None

    def _vector(self, index: int, size: int) -> Reals:
        """Return B or P of this direction; zeros where it is left out."""
        if not self.at.node.has(index):
            return np.zeros(size)
        found = self.at.reals(index)
        want = (len(DIRECTIONS[self.at.node.text("direction", "forward")]), size)
        if found.shape != want:
            raise self.at.refuse("CIM0102", f"'{self.at.node.inputs[index]}' has shape {found.shape}, {want} is needed")
        return np.array(found[self.number])

    def _mask(self, shape: tuple[int, ...]) -> SSAValue | None:
        """Return (time, ..., 1), 1 within a sequence and 0 behind its end; None where all steps count."""
        at = self.at
        if not at.node.has(LENGTHS):
            return None
        if not at.is_constant(LENGTHS):
            return self._mask_by_length(shape)
        lengths = _of_one_sample(at, LENGTHS, 0).astype(np.int64)
        if lengths.min() < 0 or lengths.max() > shape[0]:
            found = f"sequence lengths from {lengths.min()} to {lengths.max()}"
            raise at.refuse("CIM0102", f"{found}, each must be 0 to {shape[0]}, the steps of X")
        if np.all(lengths == shape[0]):
            return None
        counted = np.arange(shape[0]).reshape(-1, *[1] * lengths.ndim) < lengths
        weight = at.weight(counted.reshape(*shape[:-1], 1), f"{at.node.label}.mask")
        return at.add(build.constant(weight, self._label("mask")))

    def _mask_by_length(self, shape: tuple[int, ...]) -> SSAValue:
        """Return the mask of lengths that are an input: row n of a table has n ones."""
        at, steps = self.at, shape[0]
        x = at.activation(LENGTHS)
        source = whole_input(x)
        if source is None or shape_of(x) != shape[1:-1]:
            hint = "export the model with fixed lengths, or pad the sequences and leave the lengths out"
            raise at.refuse("CIM0104", "sequence lengths that are computed; an integer input is needed", hint=hint)
        bound(source, steps)
        rows = at.weight(np.tri(steps + 1, steps, -1), f"{at.node.label}.mask")
        mask = at.add(build.embed(x, rows, self._label("mask")))
        if len(shape_of(mask)) == 2:
            mask = at.transposed(mask, (1, 0), f"{self.prefix}.mask.time.first")
        return at.reshaped(mask, (*shape[:-1], 1), f"{self.prefix}.mask.steps")

    def _label(self, name: str) -> str:
        return self.at.helper(f"{self.prefix}.{name}")


def _hidden(at: Lowering, gates: int) -> int:
    """Return hidden_size, from R (directions, gates * hidden, hidden) where the attribute is left out."""
    shape = at.reals(R).shape
    if len(shape) != 3 or shape[1] != gates * shape[2]:
        raise at.refuse("CIM0102", f"'{at.node.inputs[R]}' has shape {shape}: no {gates} gates of its last axis")
    if at.node.integer("hidden_size", shape[2]) != shape[2]:
        raise at.refuse("CIM0102", f"hidden_size is {at.node.integer('hidden_size', 0)}, R is of {shape[2]}")
    return int(shape[2])


def _is_unbatched(at: Lowering) -> bool:
    """Say whether the rows of a step belong to one sample: then they are an axis of every value."""
    return at.batch_axis(at.node.inputs[X]) is None


def _rows_axis(at: Lowering) -> int:
    """Return the axis of the rows, ONNX's batch, in X and in the states."""
    return 0 if at.node.integer("layout", 0) else 1


def _sequence(at: Lowering) -> SSAValue:
    """Return X as (time, ..., features)."""
    x = at.activation(X)
    _require_batch(at, X)
    if _is_unbatched(at) and at.node.integer("layout", 0):
        return at.transposed(x, (1, 0, 2), "time.first")
    return x


def _require_batch(at: Lowering, index: int) -> None:
    """Refuse a batch that is not where the operator has it."""
    found = at.batch_axis(at.node.inputs[index])
    want = None if _is_unbatched(at) else BatchAxis(_rows_axis(at))
    if found != want:
        name = at.node.inputs[index]
        hint = f"leave that axis of the model's input open, and no other; {UNBATCHED}"
        raise at.refuse("CIM0109", f"the batch of '{name}' does not lie along axis {_rows_axis(at)}", hint=hint)


def _initial(direction: _Direction, index: int, x: SSAValue) -> SSAValue:
    """Return the state (..., hidden) of a direction before the first step."""
    at, number, prefix = direction.at, direction.number, direction.prefix
    shape = (*shape_of(x)[1:-1], direction.hidden)
    label = at.helper(f"{prefix}.initial{index}")
    if not at.node.has(index):
        return at.add(build.constant(at.weight(np.zeros(shape), "zeros"), label))
    if at.is_constant(index):
        own = _of_one_sample(at, index, _rows_axis(at))
        own = np.asarray(own.take(number, axis=_direction_axis(at, own.ndim)))
        _require_state(at, index, own.shape, shape)
        return at.add(build.constant(at.weight(own, at.node.inputs[index]), label))
    value = at.activation(index)
    _require_batch(at, index)
    axis = _direction_axis(at, len(shape_of(value)))
    begin, size = [0] * len(shape_of(value)), list(shape_of(value))
    begin[axis], size[axis] = number, 1
    _require_state(at, index, (*size[:axis], *size[axis + 1 :]), shape)
    part = at.add(build.slice_(value, begin, [1] * len(size), size, at.helper(f"{prefix}.part{index}")))
    return at.add(build.reshape(part, shape, label))


def _direction_axis(at: Lowering, rank: int) -> int:
    """Return the axis of the directions in the states of one sample."""
    return 1 if _is_unbatched(at) and at.node.integer("layout", 0) and rank == 3 else 0


def _require_state(at: Lowering, index: int, found: tuple[int, ...], want: tuple[int, ...]) -> None:
    if found != want:
        name = at.node.inputs[index]
        raise at.refuse("CIM0102", f"a direction of the initial state '{name}' has shape {found}, {want} is needed")


def _of_one_sample(at: Lowering, index: int, axis: int) -> Reals:
    """Return a constant without its batch axis. Raises CIM0109 where samples differ."""
    constant = at.builder.facts.constants[at.node.inputs[index]]
    if _is_unbatched(at):
        return constant.value.astype(np.float64)
    for array in (constant.value, constant.other):
        if array.size and np.any(array != array.take([0], axis=axis)):
            raise at.refuse("CIM0109", f"constant '{at.node.inputs[index]}' differs between samples")
    return np.asarray(constant.value.take(0, axis=axis), np.float64)


def _joined(at: Lowering, parts: Sequence[SSAValue], axis: int, name: str) -> SSAValue:
    """Return the values of all directions along a new axis, in ONNX's order of axes."""
    shape = list(shape_of(parts[0]))
    shape.insert(axis, 1)
    apart = [at.reshaped(part, shape, f"{name}.direction") for part in parts]
    both = apart[0] if len(apart) == 1 else at.add(build.concat(apart, axis, at.helper(f"{name}.directions")))
    if not (_is_unbatched(at) and at.node.integer("layout", 0)):
        return both
    order = (2, 0, 1, 3) if axis else (1, 0, 2)
    return at.transposed(both, order, f"{name}.rows.first")
