"""Loops whose turns move on evenly stand once in the plan, with the bits of unrolled ones."""

import numpy as np
import pytest
from frontend.onnx_models import written as laid
from frontend.recurrent_models import recurrent
from targets.stages import chip, emitted, lowered, normal

from cimc.backends.interpreter import Interpreter, executors
from cimc.backends.machine.facts import machine
from cimc.backends.machine.observer import Writes
from cimc.backends.machine.ports import quantise
from cimc.backends.machine.traps import Trap
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import NAMES
from cimc.backends.plan.moving import Moving
from cimc.backends.plan.steps import Turns
from cimc.backends.plan.walk import Plan, Walk, mixed, plan
from cimc.frontend import load

NOISE = Noise(load_profile("pcm"), 6, 86400, frozenset(NAMES))


def copies(new, counts, steps, base=100, size=512):
    """A program of loops in loops, outermost first; in each, the stream that is written moves on by so many bytes."""
    sketch = new(size).port("x", (3,), 0).port("y", (size - 8,), 8, output=True)
    sketch.tensor(0, (3,), 0).tensor(1, (3,), base)
    for count in counts:
        sketch.put("loop", count=count)
    sketch.put("move", in_=0, out=1)
    for step in reversed(steps):
        sketch.put("advance", stream=1, by=step).put("endloop")
    return sketch


def planned(program, noise=None):
    return plan(program, machine(program.meta), noise)


def unrolled(program, noise=None):
    walk = Walk(program, machine(program.meta), noise, unrolled=True)
    walk.to(None)
    return Plan(walk.steps, walk.state.largest)


def test_a_loop_in_loops_is_one_step_with_a_step_for_each_depth(new):
    (outer,) = planned(copies(new, (3, 3, 3, 3), (1, -2, 3, -4), base=300).program()).steps
    counts, inner = [outer.count], outer
    while isinstance(inner.body[0], Turns):
        (inner,) = inner.body
        counts.append(inner.count)
    (step,) = inner.body
    assert counts == [3, 3, 3, 3]
    # the loops inside have moved the stream on by as much as all their turns do
    assert isinstance(step.action.out, Moving)
    assert step.action.out.steps == (1 + 3 * -29, -2 + 3 * -9, 3 + 3 * -4, -4)


@pytest.mark.parametrize("counts", [(2,), (2, 2)])
def test_too_few_turns_are_unrolled(new, counts):
    steps = planned(copies(new, counts, (1, 1)[: len(counts)]).program()).steps
    assert not any(isinstance(step, Turns) for step in steps)


@pytest.mark.parametrize("step", [-33, 51])
def test_turns_up_to_the_end_of_memory(new, trapped, written, step):
    size = 512 if step > 0 else 400
    fits = copies(new, (9,), (step,), base=100 if step > 0 else 264, size=size)
    assert isinstance(planned(fits.program()).steps[0], Turns)
    assert len(written(fits, x=np.array([1, 2, 3], np.int8))) == 3
    over = copies(new, (10,), (step,), base=101 if step > 0 else 263, size=size)
    with pytest.raises(Trap, match="CIM0501"):
        Interpreter(over.program()).run({"x": np.zeros((1, 3), np.int8)})


CHANGING = {
    "program": lambda sketch: sketch.block(0, [[1, 2]], (0, 0, 0)),
    "pattern": lambda sketch: sketch.put("pattern", tile=0, row=0, col=0, rows=1, cols=1, plus=3, minus=0),
    "gain": lambda sketch: sketch.gain(),
    "time": lambda sketch: sketch.put("time", seconds=5),
}


@pytest.mark.parametrize("kind", CHANGING)
@pytest.mark.parametrize("noise", [None, NOISE], ids=["exact", "noisy"])
def test_turns_that_change_the_chip_are_unrolled(new, ask, kind, noise):
    sketch = new().port("x", (1,), 0).gain().block(0, [[100, -50]]).tensor(0, (1,), 0).tensor(1, (2,), 8)
    sketch.put("loop", count=4).put("capture", in_=0, out=1, block=0)
    CHANGING[kind](sketch)
    sketch.put("endloop")
    assert len(planned(sketch.program(), noise).steps) == 4
    ask(sketch, noise, x=np.array([3], np.int8))


def test_a_calibration_on_constants_is_unrolled_and_one_on_activations_is_not(new, ask):
    for data, count in ((True, 8), (False, 1)):
        sketch = new().port("x", (1,), 0).gain().block(0, [[100, -50]]).tensor(1, (2,), 8)
        sketch.data(0, [3], (1, 1), "i8") if data else sketch.tensor(0, (1,), 0)
        tables = {"scale": sketch.table([9000, 9000], "i32"), "bias": sketch.table([0, 0], "i64")}
        reference = sketch.table([150], "i64")
        sketch.put("loop", count=4).put("calibrate", in_=0, block=0, blocks=1, reference=reference, per="block")
        sketch.put("mvm", in_=0, out=1, block=0, blocks=1, shift=8, low=-128, high=127, **tables).put("endloop")
        assert len(planned(sketch.program()).observed) == count
        ask(sketch, NOISE, x=np.array([3], np.int8))


def test_blocks_that_share_columns_wait_until_their_reads_grow_alike(new, ask):
    """A count of reads that lies ahead goes on to one more block in each turn: two turns tell nothing of the third."""
    sketch = new().port("x", (1,), 0).gain().tensor(0, (1,), 0).tensor(1, (2,), 8)
    for number in range(6):
        sketch.block(number, [[100, 50]], (0, 0, number))
    for _ in range(9):
        sketch.put("capture", in_=0, out=1, block=5)
    sketch.put("loop", count=12)
    for number in range(5):
        sketch.put("capture", in_=0, out=1, block=number)
    sketch.put("capture", in_=0, out=1, block=5).put("endloop")
    ask(sketch, NOISE, x=np.array([3], np.int8))
    steps = planned(sketch.program(), NOISE).steps
    assert isinstance(steps[-1], Turns)
    assert len(steps) > 10


def test_empty_turns_are_nothing(new):
    sketch = new()
    for _ in range(3):
        sketch.put("loop", count=500)
    for _ in range(3):
        sketch.put("endloop")
    assert list(planned(sketch.program()).steps) == []


def test_a_mixed_plan_takes_steps_of_bodies(new):
    sketch = new().port("x", (1,), 0).port("y", (12,), 16, output=True).gain().block(0, [[100, -50]])
    sketch.tensor(0, (1,), 0).tensor(1, (2,), 16).put("loop", count=6).put("capture", in_=0, out=1, block=0)
    program = sketch.put("advance", stream=1, by=2).put("endloop").program()
    exact, noisy, x = planned(program), planned(program, NOISE), {"x": np.full((2, 1), 3, np.int8)}
    run = lambda found: Interpreter(program, noise=NOISE, planned=found).run(x)["y"].tolist()  # noqa: E731
    (index,) = (n for n, one in enumerate(program.instructions) if one.name == "capture")
    assert run(mixed(exact, noisy, {index})) == run(noisy)
    assert run(mixed(exact, noisy, ())) == run(exact) != run(noisy)


def test_a_fault_of_one_turn_is_told_as_on_the_reference(new, ask):
    sketch = new().port("x", (6,), 0).tensor(0, (1,), 0).tensor(1, (1,), 16)
    facts = {"table": sketch.table([5, 6, 7], "i8"), "type": "i8", "first": 0, "entries": 3}
    sketch.put("loop", count=6).put("lut", in_=0, out=1, **facts)
    sketch.put("advance", stream=0, by=1).put("advance", stream=1, by=1).put("endloop")
    assert ask(sketch, x=np.array([0, 1, 2, 0, 0, 1], np.int8))[1] == {}
    assert ask(sketch, x=np.array([0, 1, 2, 0, 3, 1], np.int8))[1][0] == "CIM0518"


STEPS = 40


@pytest.fixture(scope="module")
def lstm(tmp_path_factory):
    """A program of an LSTM over STEPS steps, and codes for it."""
    graph = load(laid(recurrent("LSTM", steps=STEPS, initial="none"), tmp_path_factory.mktemp("lstm")))
    x, target = normal(3, STEPS, 4), chip(array__tiles=20, array__rows=40, array__columns=24)
    program = emitted(lowered(graph, {"x": x}, target=target), target).program
    return program, {program.inputs[0].name: quantise(program.inputs[0], x)}


@pytest.mark.parametrize("noise", [None, NOISE], ids=["exact", "noisy"])
def test_an_lstm_has_the_bits_of_its_unrolled_plan(lstm, noise):
    program, codes = lstm
    wanted = told(program, codes, noise, unrolled(program, noise), "numpy")
    folded = planned(program, noise)
    for executor in executors():
        assert told(program, codes, noise, folded, executor) == wanted, executor


def told(program, codes, noise, found, executor):
    """Return the outputs of a plan, and all that is written of one sample."""
    seen, runner = [], Interpreter(program, noise=noise, planned=found, executor=executor)
    outputs = {name: array.tolist() for name, array in runner.run(codes).items()}
    keep = Writes(lambda index, values: seen.append((index, values.tobytes())))
    runner.run({name: array[:1] for name, array in codes.items()}, keep)
    return outputs, seen


def test_a_plan_does_not_grow_with_the_count_of_turns(lstm):
    program, _ = lstm
    count = lambda steps: sum(count(s.body) if isinstance(s, Turns) else 1 for s in steps)  # noqa: E731
    assert count(planned(program).steps) < 40
    assert count(unrolled(program).steps) > 20 * STEPS
