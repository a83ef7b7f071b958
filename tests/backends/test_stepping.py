"""The stepper: it stops where it is told to, and shows what the program has done so far."""

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.traps import Refusal, Trap
from cimc.bringup.stepping import Stepper
from cimc.isa.program import Layer

X = {"x": np.array([1, -2, 3, 100], np.int8)}


@pytest.fixture
def program(new):
    """Doubles four codes, then moves them on two by two in a loop of two turns."""
    sketch = new().port("x", (4,), 0).port("y", (4,), 32, output=True).tensor(0, (4,)).tensor(1, (4,), 16)
    sketch.layers = [Layer("first", "doubled", ("first",)), Layer("second", "moved", ("/a", "/b"))]
    sketch.names = ("first",)
    sketch.put("add", a=0, b=0, out=1, ma=1, mb=1, bias=0, shift=0, low=-128, high=127)
    sketch.names = ("second",)
    sketch.tensor(2, (2,), 16).tensor(3, (2,), 32).put("loop", count=2).put("move", in_=2, out=3)
    sketch.put("advance", stream=2, by=2).put("advance", stream=3, by=2).put("endloop")
    sketch.names = ()
    return sketch.program()


def test_it_ends_with_the_outputs_of_a_run(program):
    stepper = Stepper(program, X)
    stepper.step(1000)
    assert (stepper.index, stepper.retired) == (None, 15)
    assert stepper.tensor("moved").ravel().tolist() == [2, -4]
    (found,) = Interpreter(program).run({"x": X["x"][None]}).values()
    assert found.tolist() == [[2, -4, 6, 127]]


def test_it_stops_at_instructions_and_counts_turns(program):
    stepper = Stepper(program, X)
    assert stepper.to_instruction(6)
    assert (stepper.index, stepper.turns, stepper.retired) == (6, (0,), 6)
    assert stepper.to_instruction(6)
    assert (stepper.index, stepper.turns, stepper.retired) == (6, (1,), 10)
    assert stepper.streams[2].base == 18
    assert not stepper.to_instruction(6)


def test_it_stops_at_layers_by_name_or_node(program):
    for name, index in (("first", 2), ("second", 3), ("/b", 3)):
        stepper = Stepper(program, X)
        assert stepper.to_layer(name)
        assert stepper.index == index


def test_it_stops_where_a_tensor_changes(program):
    stepper = Stepper(program, X)
    assert stepper.to_change("doubled")
    assert stepper.index == 3
    assert stepper.tensor("doubled").tolist() == [[[[2, -4, 6, 127]]]]
    assert stepper.to_change("moved")
    assert stepper.index == 7


def test_cells_are_seen(new):
    program = new().port("x", (4,), 0).block(0, [[5, -7]], (1, 2, 3)).program()
    stepper = Stepper(program, X)
    stepper.step()
    assert [stepper.device(1, 2, column) for column in (3, 4, 5)] == [(5, 0), (0, 7), (0, 0)]


def test_faults(program, new):
    with pytest.raises(Refusal, match="CIM0565"):
        Stepper(program, X).tensor("nowhere")
    with pytest.raises(Refusal, match="CIM0565"):
        Stepper(program, X).to_layer("nowhere")
    stepper = Stepper(new().port("x", (4,), 0).put("move", in_=0, out=1).program(), X)
    with pytest.raises(Trap, match="CIM0502"):
        stepper.step()
    assert stepper.index == 0


def test_inputs_are_among_the_tensors(program):
    assert Stepper(program, X).tensor("x").ravel().tolist() == X["x"].tolist()
