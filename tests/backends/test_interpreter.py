"""The fast interpreter's own promises: any number of images, any chunk, counted clips."""

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter, executors
from cimc.backends.machine.facts import machine
from cimc.backends.machine.observer import Writes
from cimc.backends.machine.ports import PortError
from cimc.backends.plan.walk import BUILDERS
from cimc.backends.reference import instructions as reference
from cimc.backends.reference.instructions import Reference
from cimc.backends.silicon.converter_use import ConverterUse
from cimc.isa.table import TABLE

CONTROL = ("halt", "nop", "loop", "endloop")


@pytest.fixture
def network(new):
    """A convolution with padding and a pool, from port x to port y."""
    sketch = new().port("x", (3, 3, 1), 0).port("y", (2, 2, 1), 64, output=True).gain(40000, 16)
    sketch.block(0, [[(7 * i) % 11 * 40 - 200] for i in range(9)]).tensor(0, (3, 3, 1)).tensor(1, (3, 3, 1), 16)
    sketch.window(0, (3, 3), (3, 3), pad=(1, 1), fill=-3)
    tables = {"scale": sketch.table([33000], "i32"), "bias": sketch.table([777], "i64")}
    sketch.put("mvm", in_=0, out=1, block=0, blocks=1, shift=15, low=-127, high=127, **tables)
    sketch.tensor(2, (3, 3, 1), 16).window(2, (2, 2), (2, 2)).tensor(3, (2, 2, 1), 64)
    return sketch.put("poolmax", in_=2, out=3, low=-127, high=127).program()


def images(count):
    return np.random.default_rng(count).integers(-127, 128, (count, 3, 3, 1)).astype(np.int8)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("chunk", [1, 2, 3, 16])
def test_any_number_of_images_in_any_chunks(network, count, chunk):
    x = images(count)
    codes = Interpreter(network, chunk=chunk).run({"x": x})["y"]
    assert codes.dtype == np.int8
    assert codes.shape == (count, 2, 2, 1)
    assert codes.reshape(count, 4).tolist() == [reference.run(network, {"x": image.tolist()})["y"] for image in x]


def test_an_interpreter_runs_again_with_the_same_result(network):
    interpreter = Interpreter(network)
    assert interpreter.run({"x": images(5)})["y"].tolist() == interpreter.run({"x": images(5)})["y"].tolist()


def test_inputs_of_any_integer_type(network):
    x = images(3)
    wide = Interpreter(network).run({"x": x.astype(np.int64)})["y"]
    assert wide.tolist() == Interpreter(network).run({"x": x})["y"].tolist()
    with pytest.raises(PortError, match="CIM0553"):
        Interpreter(network).run({"x": x.astype(np.float32)})


def test_inputs_of_different_lengths(new):
    program = new().port("a", (1,), 0).port("b", (1,), 8).program()
    with pytest.raises(PortError, match="CIM0551"):
        Interpreter(program).run({"a": np.zeros((2, 1), int), "b": np.zeros((3, 1), int)})


def test_an_observer_sees_every_chunk(network):
    seen = []
    Interpreter(network, chunk=2).run(
        {"x": images(3)}, Writes(lambda index, values: seen.append((index, values.shape)))
    )
    assert seen == [(5, (2, 9, 1)), (9, (2, 4, 1)), (5, (1, 9, 1)), (9, (1, 4, 1))]


def test_clips_are_counted_by_column_and_sign(new):
    sketch = new().port("x", (1,), 0).gain().block(0, [[100, -100, 1]]).tensor(0, (1,)).tensor(1, (3,), 8)
    sketch.put("capture", in_=0, out=1, block=0)
    program = sketch.program()
    use = ConverterUse(machine(program.meta), {len(program.instructions) - 2})
    Interpreter(program, chunk=2).run({"x": np.array([[1], [2], [-2], [3], [127]])}, use)
    (counts,) = use.counts.values()
    assert counts.clips.tolist() == [[[1, 3, 0], [3, 1, 0]]]
    assert counts.conversions == 5
    used = [sorted(np.flatnonzero(column) + counts.low) for column in counts.codes[0]]
    assert used == [[-127, 100, 127], [-127, -100, 127], [-2, 1, 2, 3, 127]]


@pytest.mark.parametrize("executor", executors())
def test_an_observer_changes_no_code(network, executor):
    interpreter, use = Interpreter(network, executor=executor), ConverterUse(machine(network.meta), range(20))
    plain = interpreter.run({"x": images(9)})["y"].tolist()
    assert interpreter.run({"x": images(9)}, use)["y"].tolist() == plain
    assert use.counts


def test_both_interpreters_know_every_instruction_and_the_reference_is_in_table_order():
    names = [spec.name for spec in TABLE]
    assert [name for name in vars(Reference) if name in names] == names
    assert sorted([*CONTROL, *BUILDERS]) == sorted(names)
