"""Emission: the program of a scheduled graph does what the graph says, tensor by tensor."""

import math

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import Array, chip, emitted, layers, lowered, normal, perceptron, residual

from cimc.backends.emission.builder import LONGEST, Emission, fitted
from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.observer import Writes
from cimc.backends.machine.ports import quantise
from cimc.evaluate import Evaluator
from cimc.ir import nn
from cimc.ir.facts import ACTIVATION_BYTES
from cimc.ir.graph import Graph
from cimc.ir.types import shape_of
from cimc.isa.writes import writes_of
from cimc.targets import load_target

SMALL = chip(array__tiles=20, array__rows=16, array__columns=6)


def image_data(size: int = 6) -> dict[str, Array]:
    return {"x": normal(5, size, size, 3)}


@pytest.fixture(scope="module")
def scheduled() -> Graph:
    return lowered(residual(), image_data(), target=SMALL)


@pytest.fixture(scope="module")
def emission(scheduled: Graph) -> Emission:
    return emitted(scheduled, SMALL)


def rebuilt(emission: Emission, graph: Graph, real: dict[str, Array]) -> dict[str, Array]:
    """Return every value as the interpreter's writes fill it."""
    program = emission.program
    codes = {port.name: quantise(port, real[port.name]) for port in program.inputs}
    count = len(next(iter(codes.values())))
    shapes = {op.label.data: shape_of(op.out) for op in graph.module.ops if isinstance(op, nn.Computed)}
    found: dict[str, Array] = {}
    writes = writes_of(program)

    def keep(index: int, values: Array) -> None:
        write = writes[index]
        flat = found.setdefault(write.tensor, np.full((count, math.prod(shapes[write.tensor])), 1 << 30, np.int64))
        places = write.start + sum(
            np.arange(size).reshape(-1, *[1] * (len(write.shape) - axis - 1)) * pitch
            for axis, (size, pitch) in enumerate(zip(write.shape, write.pitch, strict=True))
        )
        flat[:, np.asarray(places).ravel()] = values.reshape(count, -1)

    Interpreter(program).run(codes, Writes(keep))
    return {label: flat.reshape(count, *shapes[label]) for label, flat in found.items()}


def test_an_axis_too_long_for_an_instruction_is_cut() -> None:
    """ZFNet's normalisation runs over 109 x 109 x 96 values one by one."""
    for count in (1 << 20, 109 * 109 * 96, 3 * LONGEST):
        (parts, length), pitch = fitted((count,), (2,))
        assert parts * length == count and length <= LONGEST and pitch == [2 * length, 2]
    assert fitted((7, LONGEST), (LONGEST, 1)) == ([7, LONGEST], [LONGEST, 1])


def test_a_long_vector_of_single_values() -> None:
    builder, count, ideal = GraphBuilder(), 1 << 20, load_target("ideal")
    x = builder.input((count, 1))
    builder.output(builder.op(nn.UnaryOp, [x], (count, 1), function="sigmoid", parameters=[]))
    real = {"x": normal(1, count, 1)}
    scheduled = lowered(builder.graph(), real, target=ideal)
    found = rebuilt(emitted(scheduled, ideal), scheduled, real)
    want = Evaluator(scheduled, values=["y"]).run(real)
    assert np.array_equal(found["y"], want["y"])


def test_the_writes_rebuild_every_tensor(scheduled: Graph, emission: Emission) -> None:
    found = rebuilt(emission, scheduled, image_data())
    silent = ("nn.input", "xbar.view")
    labels = [op.label.data for op in scheduled.module.ops if isinstance(op, nn.Computed) and op.name not in silent]
    assert sorted(found) == sorted(labels)
    wanted = Evaluator(scheduled, labels).run(image_data())
    for label in labels:
        np.testing.assert_array_equal(found[label], wanted[label], err_msg=label)


@pytest.mark.parametrize(("phases", "codes"), [(2, "symmetric"), (4, "unsigned")])
def test_programs_of_several_read_phases_rebuild_every_result(phases: int, codes: str) -> None:
    """Layers behind a Relu read half of the phases, which their streams say by their element type."""
    target = chip(array__tiles=20, array__rows=16, array__columns=6, read_phases=phases, adc__codes=codes)
    graph = lowered(residual(), image_data(), target=target)
    emission = emitted(graph, target)
    labels = [op.label.data for op in layers(graph)]
    found, wanted = rebuilt(emission, graph, image_data()), Evaluator(graph, labels).run(image_data())
    for label in labels:
        np.testing.assert_array_equal(found[label], wanted[label], err_msg=label)
    types = {one.choice("type") for one in emission.program.instructions if one.name == "tensor"}
    assert {"i8", "u8"} <= types


def test_long_shapes_and_broadcasts_are_addressed_right() -> None:
    b = GraphBuilder()
    x, z = b.input((3, 4, 5)), b.input((4, 1), label="z")
    turned = b.op(nn.TransposeOp, [x], (5, 3, 4), label="turned", order=[2, 0, 1])
    part = b.op(nn.SliceOp, [turned], (2, 3, 2), label="part", begin=[4, 0, 1], step=[-3, 1, 2])
    b.output(part, "p")
    b.output(b.op(nn.MulOp, [x, z], (3, 4, 5), label="product"), "m")
    data = {"x": normal(4, 3, 4, 5), "z": normal(4, 4, 1, seed=1)}
    graph = lowered(b.graph(), data)
    found, labels = rebuilt(emitted(graph), graph, data), ["turned", "part", "product"]
    wanted = Evaluator(graph, labels).run(data)
    for label in labels:
        np.testing.assert_array_equal(found[label], wanted[label], err_msg=label)


def test_the_number_of_instructions_does_not_depend_on_the_image() -> None:
    names = []
    for size in (6, 14):
        program = emitted(lowered(residual(size), image_data(size), target=SMALL), SMALL).program
        names.append([one.name for one in program.instructions])
    assert names[0] == names[1]


def test_programming_comes_first_then_one_gain_then_calibration(emission: Emission) -> None:
    names = [one.name for one in emission.program.instructions]
    blocks = names.count("program")
    assert names[:blocks] == ["program"] * blocks
    assert (names[blocks], names.count("gain"), names[-1]) == ("gain", 1, "halt")
    last = len(names) - 1 - names[::-1].index("calibrate")
    assert set(names[blocks + 1 : last + 1]) == {"tensor", "calibrate"}


def test_every_instruction_but_gain_and_halt_has_a_layer(emission: Emission) -> None:
    program = emission.program
    alone = [one.name for index, one in enumerate(program.instructions) if program.layer_at(index) is None]
    assert alone == ["gain", "halt"]


def test_all_cells_say_where_they_come_from(scheduled: Graph, emission: Emission) -> None:
    for (data, rows, cols, name), (number, width) in zip(
        emission.cells, sorted(emission.program.block_columns.items()), strict=True
    ):
        program = emission.program.instructions[number]
        assert (program["block"], program["data"], program["rows"], program["cols"]) == (number, data, rows, cols)
        assert width == cols and name.startswith("conductance of ")
    stored = np.frombuffer(emission.program.conductances, "<i2").astype(np.int64)
    total = sum(np.abs(scheduled.weights.get(op.conductance).astype(np.int64)).sum() for op in layers(scheduled))  # type: ignore[arg-type]
    assert np.abs(stored).sum() == total


def test_nothing_lies_outside_the_memories(scheduled: Graph, emission: Emission) -> None:
    program = emission.program
    assert program.activation_bytes == ACTIVATION_BYTES.of(scheduled.module)
    assert len(program.constants) <= SMALL.constant_bytes
    assert all(address + size <= len(program.constants) for address, size, _ in emission.constants)


def test_a_graph_without_layers_programs_nothing() -> None:
    b = GraphBuilder()
    b.output(b.op(nn.ClampOp, [b.input((4,))], (4,), low=0.0, high=1.0))
    program = emitted(lowered(b.graph(), {"x": normal(3, 4)})).program
    assert not {"program", "gain", "calibrate"} & {one.name for one in program.instructions}


def test_emission_is_deterministic() -> None:
    made = [emitted(lowered(perceptron(20, 9, 4), {"x": normal(9, 20)}, target=SMALL), SMALL) for _ in range(2)]
    assert made[0].program == made[1].program
