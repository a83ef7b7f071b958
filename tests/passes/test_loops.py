"""Loops through the passes: codes of what is carried, memory of what lives, faults that the verifier finds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from frontend.onnx_models import canonical, written
from frontend.recurrent_models import recurrent
from targets.stages import lowered, normal

from cimc.frontend import load
from cimc.ir import loop
from cimc.ir.attributes import int_value, integer
from cimc.ir.graph import Graph
from cimc.ir.nn import Computed
from cimc.ir.types import code_of
from cimc.ir.verify import verify
from cimc.passes.code_types import bounds
from cimc.passes.schedule import byte_size


def quantised(operator: str, folder: Path, stage: str = "quantise") -> Graph:
    """Return a bidirectional layer of hidden size 6 over 5 steps at a stage."""
    proto = recurrent(operator, "bidirectional", linear_before_reset=1) if operator == "GRU" else recurrent(operator)
    data = {"x": normal(8, 5, 4), "h": normal(8, 2 if operator == "GRU" else 1, 6)}
    data |= {"c": normal(8, 1, 6)} if operator == "LSTM" else {}
    return lowered(load(written(proto, folder)), data, stage)


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
def test_states_are_wide_and_their_readers_get_what_they_take(operator: str, tmp_path: Path) -> None:
    graph = quantised(operator, tmp_path)
    for op in graph.operations:
        if isinstance(op, loop.StateOp):
            assert code_of(op.out).bits.data == 16
        elif op.name == "nn.dense":
            assert code_of(op.operands[0]).bits.data == 8
        elif op.name == "nn.unary":
            assert code_of(op.operands[0]).bits.data == 12
        elif op.name == "nn.mul":
            assert {code_of(operand).bits.data for operand in op.operands} == {16}


@pytest.mark.parametrize("sign", [1, -1])
def test_states_hold_what_they_begin_with_and_what_follows(sign: int, tmp_path: Path) -> None:
    """What an RNN goes on with lies between -1 and 1; it begins with up to 30 on one side."""
    data = {"x": normal(8, 5, 4), "h": sign * (10 * np.abs(normal(8, 1, 6)))}
    graph = lowered(load(written(recurrent("RNN"), tmp_path)), data, "quantise")
    (state,) = (op for op in graph.operations if isinstance(op, loop.StateOp))
    low, high = bounds(code_of(state.out))
    assert low <= 0.99 * min(-1.0, data["h"].min()) and high >= 0.99 * max(1.0, data["h"].max())


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
def test_what_is_alive_together_does_not_overlap(operator: str, tmp_path: Path) -> None:
    """Follow every step: each value is read from where it was written, and nothing has been written there since."""
    graph = quantised(operator, tmp_path, "schedule")
    memory: dict[int, str] = {}

    def touch(op: Computed, label: str) -> None:
        start = int_value(op.address) if op.address else 0
        memory.update(dict.fromkeys(range(start, start + byte_size(op.out)), label))

    def read(op: Computed) -> None:
        start = int_value(op.address) if op.address else 0
        wrong = {memory[at] for at in range(start, start + byte_size(op.out))} - {root(op)}
        assert not wrong, (op.label.data, wrong)

    def root(op: Computed) -> str:
        if op.name == "xbar.view":
            return root(op.operands[0].owner)  # type: ignore[arg-type]
        state = op.state if isinstance(op, loop.ResultOp) else None
        return (state or op).label.data

    def step(op: Computed) -> None:
        for operand in op.operands:
            if isinstance(operand.owner, Computed) and not isinstance(op, loop.StateOp):
                read(operand.owner)
        if op.name != "xbar.view" and not isinstance(op, loop.StateOp | loop.ResultOp):
            touch(op, op.label.data)

    for op in graph.module.ops:
        if isinstance(op, Computed):
            step(op)
        elif isinstance(op, loop.ScanOp):
            stacks = [result for value in op.kept for result in loop.results_of(value)]
            for state in op.states:
                read(state.initial.owner)  # type: ignore[arg-type]
                touch(state, state.label.data)
            for _ in range(int_value(op.steps)):
                for inner in op.body.ops:
                    if isinstance(inner, Computed):
                        step(inner)
                for value in op.terminator.operands:
                    read(value.owner)  # type: ignore[arg-type]
                for result in stacks:
                    touch(result, result.label.data)
                for state in op.states:
                    touch(state, state.label.data)


def loop_of(graph: Graph) -> loop.ScanOp:
    return next(op for op in graph.operations if isinstance(op, loop.ScanOp))


def _escape(graph: Graph) -> None:
    end = next(op for op in graph.operations if op.name == "nn.output")
    end.operands[0] = loop_of(graph).states[0].out


def _reach_out(graph: Graph) -> None:
    scan = loop_of(graph)
    inside = next(op for op in scan.body.ops if op.name == "nn.add")
    inside.operands[0] = next(op for op in graph.operations if isinstance(op, loop.TakeOp)).x


def _hand_on(graph: Graph) -> None:
    scan = loop_of(graph)
    scan.terminator.operands[0] = scan.states[0].out


FAULTS: dict[str, tuple[Callable[[Graph], object], str]] = {
    "escape": (_escape, "is computed in the body of a loop"),
    "reach_out": (_reach_out, "reads on the wrong side of the body"),
    "hand_on": (_hand_on, "is a state: nothing computes it"),
    "steps": (lambda g: loop_of(g).properties.update(steps=integer(0)), "0 steps, a loop runs at least once"),
    "length": (
        lambda g: loop_of(g).properties.update(steps=integer(4)),
        "the sequence is (5, 6), the loop wants (4, 6)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_verifier_finds(fault: str, tmp_path: Path) -> None:
    graph = canonical(load(written(recurrent("RNN"), tmp_path)))
    change, sentence = FAULTS[fault]
    assert verify(graph) == []
    change(graph)
    assert any(sentence in found for found in verify(graph)), verify(graph)
