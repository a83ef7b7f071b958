"""Slices: digits of inputs, two matrices for the weights, and one rounding of all that comes of them."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import SAME, Array, between, chip, emitted, normal, through

from cimc.backends.interpreter import Interpreter
from cimc.driving.slicing import slices
from cimc.evaluate import Evaluator, evaluate
from cimc.ir import nn, xbar
from cimc.ir.attributes import int_value, int_values
from cimc.ir.graph import Graph
from cimc.ir.text import print_graph
from cimc.ir.types import code_of
from cimc.isa.errors import CimcError
from cimc.passes.chosen import Chosen
from cimc.passes.code_types import code_type
from cimc.passes.pipeline import DEFAULT, Setting, parse_pipeline
from cimc.passes.ranges import Ranges
from cimc.passes.slices import Digits, digits_of
from cimc.targets import Target, load_target

DATA = {"x": normal(32, 5, 5, 3)}
EVERY_DIGITS = [digits_of(bits, 8) for bits in (12, 14, 16)]


@pytest.mark.parametrize("digits", EVERY_DIGITS)
def test_every_code_is_its_digits(digits: Digits) -> None:
    codes = np.arange(-digits.most, digits.most + 1)
    multiplier, shift = digits.inverse
    high = np.rint(codes * multiplier / 2.0**shift).astype(np.int64)
    assert high.tolist() == [round(Fraction(int(code), digits.radix)) for code in codes]
    assert np.abs(high).max() == digits.high == 127
    assert np.abs(codes - digits.radix * high).max() == digits.low


def test_codes_of_digits_have_zero_at_zero_and_the_same_reach() -> None:
    digits = Digits(127, 7)
    assert digits.code(code_type(0.0, 3.0, 16, offset=True)) == digits.code(code_type(0.0, 3.0, 16, offset=False))
    code = digits.code(code_type(-3.0, 2.0, 16, offset=False))
    assert (code.bits.data, code.low.data, code.high.data, code.zero.data) == (12, -1912, 1912, 0)
    assert code.scale.data * code.high.data == pytest.approx(3.0)


def network() -> Graph:
    """A convolution in two groups and a dense layer; a sum reads the first one's result too."""
    b = GraphBuilder()
    first = b.op(nn.ClampOp, [b.input((5, 5, 3))], (5, 5, 3), label="a", low=-2.0, high=2.0)
    weight, bias = normal(3, 3, 3, 4, seed=1), normal(4, seed=2)
    conv = b.op(nn.ConvOp, [first], (5, 5, 4), label="conv", weight=weight, bias=bias, group=1, **SAME)
    relu = b.op(nn.ClampOp, [conv], (5, 5, 4), label="relu", low=0.0, high=9.0)
    dense = b.op(nn.DenseOp, [relu], (5, 5, 6), label="dense", weight=normal(4, 6, seed=3), clamp=(0.0, 6.0))
    b.output(dense)
    return b.graph()


def built(target: Target, raised: dict[str, tuple[int, int]], ranges: Ranges | None = None) -> Graph:
    data = {} if ranges else DATA
    names = ",".join(DEFAULT.split(",")[DEFAULT.split(",").index("calibrate") :])
    return through(network(), *parse_pipeline(names, Setting(target, data, ranges, Chosen(raised))))


def test_bits_of_layers_that_are_none_raise_nothing() -> None:
    graph = built(chip(), {"nobody": (16, 8), "conv": (8, 8)})
    assert print_graph(graph) == print_graph(built(chip(), {}))


def quality(graph: Graph) -> float:
    real, found = (evaluate(one, DATA)["out"] for one in (network(), graph))
    return float(10.0 * np.log10(np.square(real).mean() / np.square(real - found).mean()))


RAISED = {"conv": (16, 8), "dense": (12, 8)}
TARGETS = [load_target("ideal"), chip(), load_target("hermes-64-2p"), load_target("hermes-64-4ptg")]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("raised", [RAISED, {"conv": (16, 16), "dense": (8, 16)}], ids=["inputs", "weights"])
def test_integer_graph_and_interpreter_have_the_same_bits(target: Target, raised: dict[str, tuple[int, int]]) -> None:
    graph = built(target, raised)
    labels = [op.label.data for op in graph.operations if isinstance(op, nn.Computed)]
    program = emitted(graph, target).program
    codes = Evaluator(graph, labels).run(DATA)
    outputs = Interpreter(program).run({"x": codes["x"]})
    np.testing.assert_array_equal(outputs["out"].reshape(codes["dense"].shape), codes["dense"])


@pytest.mark.parametrize("target", TARGETS[1:], ids=lambda target: target.name)
def test_slices_are_rounded_once(target: Target) -> None:
    """y = clamp(round((sum_t (c(h G_t) M_ht + c(l G_t) M_lt) + B) / 2^k)), in Python integers."""
    graph = built(target, RAISED)
    products = [op for op in graph.operations if isinstance(op, xbar.MvmOp) and op.label.data.startswith("dense")]
    (total,) = [op for op in graph.operations if isinstance(op, xbar.AddOp) and op.label.data == "dense"]
    assert [int_value(shift) for op in products if (shift := op.shift) is not None] == [0, 0]
    codes = Evaluator(graph, [*(_label(op) for op in products), "dense"]).run(DATA)
    sums = sum(_accumulated(graph, op, codes[_label(op)]) for op in products) + int_value(total.bias)
    wanted = [round(Fraction(int(one), 1 << int_value(total.shift))) for one in sums.ravel()]
    clamped = np.clip(wanted, int_value(total.low), int_value(total.high)).reshape(sums.shape)
    np.testing.assert_array_equal(codes["dense"], clamped)


def _label(op: xbar.MvmOp) -> str:
    owner = op.x.owner
    assert isinstance(owner, nn.Computed)
    return str(owner.label.data)


def _accumulated(graph: Graph, op: xbar.MvmOp, x: Array) -> Array:
    """Return sum_t code_t M_t + B of a product of one read phase or more, without any rounding but the ADC's."""
    levels, scale, offset = (graph.weights.get(ref).astype(np.int64) for ref in (op.conductance, op.scale, op.offset))  # type: ignore[arg-type]
    gain = int_value(op.adc_multiplier) / 2 ** int_value(op.adc_shift)  # type: ignore[arg-type]
    phases = 1 if op.read_phases is None else int_value(op.read_phases)
    inputs = [x.astype(np.int64)] if phases == 1 else [np.maximum(x, 0), np.maximum(-x, 0)]
    sides = [levels[0]] if phases < 4 else [np.maximum(levels[0], 0), np.maximum(-levels[0], 0)]
    low, high = int_value(op.adc_low), int_value(op.adc_high)  # type: ignore[arg-type]
    total = np.zeros((*x.shape[:-1], levels.shape[2]), np.int64) + offset
    cuts = int_values(op.row_cuts)
    for block, (a, b) in enumerate(pairwise(cuts)):
        for i, part in enumerate(inputs):
            for j, side in enumerate(sides):
                code = np.clip(np.rint((part[..., a:b].astype(np.int64) @ side[a:b]) * gain), low, high)
                total += (-1) ** (i + j) * code.astype(np.int64) * scale[0, block]
    return total


def test_digits_read_the_blocks_of_one_matrix() -> None:
    graph = built(chip(), RAISED)
    high, low = (op for op in graph.operations if isinstance(op, xbar.MvmOp) and op.label.data.startswith("conv"))
    assert low.shares is not None and low.shares.data == high.label.data
    assert low.blocks == high.blocks and low.vectors is None and high.vectors is not None


def test_each_slice_is_worth_its_bits() -> None:
    target = load_target("ideal")
    plain, inputs, both = (
        quality(built(target, raised))
        for raised in ({}, {"conv": (16, 8), "dense": (16, 8)}, {"conv": (16, 16), "dense": (16, 16)})
    )
    assert plain + 3.0 < inputs and inputs + 12.0 < both and both > 70.0


@pytest.mark.parametrize("raised", [RAISED, {"conv": (16, 16), "dense": (8, 16)}], ids=["inputs", "weights"])
def test_stored_bits_give_the_same_program(raised: dict[str, tuple[int, int]]) -> None:
    ranges, graph = Ranges(), network()
    for one in parse_pipeline(DEFAULT[DEFAULT.index("calibrate") :], Setting(chip(), DATA, None, Chosen(raised))):
        graph = one(graph)
        ranges = ranges.noted(graph)
    assert ranges.bits == raised
    again = emitted(built(chip(), {}, Ranges.from_json(ranges.to_json()))).program
    assert again.instructions == emitted(graph).program.instructions


def test_weights_alone_are_raised_where_the_dac_has_fewer_bits_than_they() -> None:
    graph = built(load_target("aon-cim-6b"), {"dense": (8, 16)})
    labels = [op.label.data for op in graph.operations if isinstance(op, xbar.MvmOp)]
    assert labels == ["conv", "dense.coarse", "dense.fine"]


def test_inputs_have_no_more_bits_than_two_digits() -> None:
    with pytest.raises(CimcError, match=r"CIM0305.*16 bits are not two slices of at most 6"):
        built(load_target("aon-cim-6b"), {"dense": (16, 8)})


@pytest.mark.parametrize(("target", "widths"), [("hermes-64", {12, 16}), ("aon-cim-6b", {12}), ("aon-cim-4b", set())])
def test_slices_of_inputs_are_weighed_that_a_dac_reads(target: str, widths: set[int]) -> None:
    graph = through(network(), *between("calibrate", "column-ranges", Setting(load_target(target), DATA)))
    found = slices(graph, DATA, load_target(target))
    assert {one.bits for one in found if not one.weights} == widths


def test_a_layer_whose_input_has_no_more_bits_to_give_is_left_as_it_is() -> None:
    b = GraphBuilder()
    whole = b.op(nn.InputOp, [], (4,), label="x", model_shape=[4], order=[0], integers=[-100, 100])
    b.output(b.op(nn.DenseOp, [whole], (3,), label="dense", weight=normal(4, 3)))
    names = DEFAULT[DEFAULT.index("calibrate") : DEFAULT.index(",digital")]
    setting = Setting(chip(), {"x": np.rint(30 * normal(16, 4))}, None, Chosen({"dense": (16, 8)}))
    graph = through(b.graph(), *parse_pipeline(names, setting))
    (product,) = [op for op in graph.operations if isinstance(op, xbar.MvmOp)]
    assert product.label.data == "dense" and code_of(product.x).bits.data == 8
