"""Codes: which type a value gets, and real ratios as multipliers and shifts."""

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder, run_one
from hypothesis import given, settings
from hypothesis import strategies as st
from targets.stages import SAME, WINDOW, between, chip, lowered, normal, residual, through

from cimc.evaluate import evaluate
from cimc.ir import nn, xbar
from cimc.ir.attributes import floats
from cimc.ir.facts import RANGE
from cimc.ir.graph import Graph
from cimc.ir.types import CodeType, code_of
from cimc.isa.errors import CimcError
from cimc.passes.code_types import bounds, code_type, input_type
from cimc.passes.digital.digital import Digital
from cimc.passes.pipeline import Setting
from cimc.passes.quantise import Quantise
from cimc.passes.ranges import Ranges
from cimc.passes.requantise import code_clamp, multipliers, offsets, quantised, stored

RATIO = st.floats(2.0**-40, 65535.0)
SCALE = st.floats(0.01, 100.0)


def fields(code: CodeType) -> tuple[int, int, int, int]:
    return code.bits.data, code.low.data, code.high.data, code.zero.data


def test_tables_are_stored_in_parts_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values, code = normal(13, 7), code_type(-1.0, 1.0, 8, offset=True)
    whole = stored(values, code)
    np.testing.assert_array_equal(whole, quantised(values.astype(np.float64), code))
    monkeypatch.setattr("cimc.passes.requantise.AT_ONCE", 5)
    np.testing.assert_array_equal(stored(values, code), whole)
    assert whole.dtype == np.int8


def types(graph: Graph) -> dict[str, tuple[int, int, int, int]]:
    return {op.label.data: fields(code_of(op.out)) for op in graph.module.ops if isinstance(op, nn.Computed)}


@pytest.mark.parametrize(
    ("bounds", "offset", "wanted", "scale"),
    [
        ((-2.0, 1.0), False, (8, -127, 127, 0), 2 / 127),
        ((-2.0, 1.0), True, (8, -127, 127, 0), 2 / 127),
        ((0.0, 3.0), False, (8, 0, 127, 0), 3 / 127),
        ((0.0, 3.0), True, (8, -127, 127, -127), 3 / 254),
        ((-3.0, 0.0), False, (8, -127, 0, 0), 3 / 127),
        ((-3.0, 0.0), True, (8, -127, 127, 127), 3 / 254),
    ],
)
def test_code_type(bounds: tuple[float, float], offset: bool, wanted: tuple[int, ...], scale: float) -> None:
    code = code_type(*bounds, 8, offset)
    assert (fields(code), code.scale.data) == (wanted, pytest.approx(scale))


@given(st.floats(0.0, 9.0), st.floats(0.001, 9.0), st.integers(4, 16))
def test_input_codes_cover_the_range(below: float, above: float, bits: int) -> None:
    code = input_type(-below, above, bits)
    ends = [(end - code.zero.data) * code.scale.data for end in (code.low.data, code.high.data)]
    assert ends == pytest.approx([-below, above], abs=0.51 * code.scale.data)


def test_what_the_crossbar_reads_has_positive_codes_and_the_rest_is_wide_or_offset() -> None:
    found = types(lowered(residual(), {"x": normal(4, 6, 6, 3)}, "quantise"))
    assert found["stem"] == (8, 0, 127, 0)
    assert found["depth"] == found["both"] == found["added"] == (16, -32767, 32767, 0)
    assert found["scores"][0] == 16
    assert found["pooled"] == found["flat"]
    assert found["flat"][0] == 8


@pytest.mark.parametrize(("option", "stem"), [("offset", (8, -127, 127, -127)), ("positive", (8, 0, 127, 0))])
def test_one_form_for_all_one_sided_values(option: str, stem: tuple[int, ...]) -> None:
    found = types(lowered(residual(), {"x": normal(4, 6, 6, 3)}, "quantise", quantise=f"one_sided={option}"))
    assert found["stem"] == stem


def test_bits_are_the_dac_s_unless_told_otherwise() -> None:
    data = {"x": normal(4, 6, 6, 3)}
    assert types(lowered(residual(), data, "quantise", chip(dac__bits=5)))["stem"] == (5, 0, 15, 0)
    assert types(lowered(residual(), data, "quantise", quantise="bits=6"))["stem"] == (6, 0, 31, 0)


def test_parts_of_a_concatenation_get_its_codes_once_each() -> None:
    b = GraphBuilder()
    x, z = b.input((4,)), b.input((4,), label="z")
    b.output(b.op(nn.ConcatOp, [[x, z, x]], (12,), axis=0))
    graph = through(lowered(b.graph(), {"x": normal(9, 4), "z": 5 * normal(9, 4)}, "quantise"))
    joined = next(op for op in graph.module.ops if isinstance(op, nn.ConcatOp))
    assert {code_of(part) for part in joined.parts} == {code_of(joined.out)}
    assert joined.parts[0] is joined.parts[2]
    assert joined.parts[0].owner.name == "nn.requantise"  # type: ignore[union-attr]


def test_movements_and_max_pools_keep_the_codes() -> None:
    b = GraphBuilder()
    x = b.input((4, 4, 2))
    pool = b.op(nn.MaxPoolOp, [x], (2, 2, 2), label="pool", kernel=[3, 3], **WINDOW)
    turned = b.op(nn.TransposeOp, [pool], (2, 2, 2), label="turned", order=[2, 0, 1])
    b.output(b.op(nn.SliceOp, [turned], (1, 2, 2), label="part", begin=[1, 0, 0], step=[1, 1, 1]))
    graph = lowered(b.graph(), {"x": normal(5, 4, 4, 2)}, "quantise")
    assert len({code_of(op.out) for op in graph.module.ops if isinstance(op, nn.Computed)}) == 1


@pytest.mark.parametrize("form", ["offset", "positive"])
@pytest.mark.parametrize(("value", "recoded"), [(0.0, False), (0.5, False), (9.0, True), (-9.0, True)])
def test_a_pad_value_is_always_representable(value: float, recoded: bool, form: str) -> None:
    b = GraphBuilder()
    x = b.op(nn.ClampOp, [b.input((4,))], (4,), label="r", low=0.0, high=1.0)
    b.output(b.op(nn.PadOp, [x], (6,), before=[1], after=[1], value=value))
    graph = lowered(b.graph(), {"x": normal(20, 4)}, "quantise", quantise=f"one_sided={form}")
    assert any(isinstance(op, nn.RequantiseOp) for op in graph.module.ops) is recoded
    pad = next(op for op in graph.module.ops if isinstance(op, nn.PadOp))
    code = code_of(pad.out)
    assert (code.zero.data != 0) is (form == "offset" and value >= 0.0)
    code_value = (int(quantised(np.array([value]), code)[0]) - code.zero.data) * code.scale.data
    assert code_value == pytest.approx(value, abs=0.51 * code.scale.data)


def test_padding_of_a_convolution_is_the_zero_point() -> None:
    b = GraphBuilder()
    x = b.input((1, 1, 1))
    b.output(b.op(nn.ConvOp, [x], (1, 1, 1), weight=np.ones((3, 3, 1, 1), np.float32), group=1, **SAME))
    data = {"x": np.array([0.0, 2.0, 4.0], np.float32).reshape(3, 1, 1, 1)}
    graph = lowered(b.graph(), data, calibrate="inputs=full")
    assert code_of(next(iter(graph.module.ops)).results[0]).zero.data == -127
    np.testing.assert_allclose(evaluate(graph, data)["out"].ravel(), [0.0, 2.0, 4.0], atol=0.05)


@given(st.lists(RATIO, min_size=1, max_size=6), st.booleans())
def test_multipliers_are_normalised_and_near(ratios: list[float], negative: bool) -> None:
    wanted = np.array(ratios) * (-1.0 if negative else 1.0)
    found, shift = multipliers(wanted, "v")
    assert 1 << 15 <= np.abs(found).max() < 1 << 16
    assert np.abs(found / 2.0**shift - wanted).max() <= 2.0**-16 * np.abs(wanted).max()


@pytest.mark.parametrize("ratio", [1.0 - 2.0**-20, 2.0 - 2.0**-30, 65535.49])
def test_multipliers_that_round_up_to_a_power_of_two_stay_16_bit(ratio: float) -> None:
    found, shift = multipliers(np.array([ratio]), "v")
    assert found[0] < 1 << 16
    assert found[0] / 2.0**shift == pytest.approx(ratio, rel=2.0**-15)


def test_zero_ratios_give_zero_multipliers() -> None:
    assert multipliers(np.zeros(3), "v")[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("ratio", [65535.5, 65536.0, 1e30, np.inf, np.nan])
def test_what_fits_no_multiplier_is_refused(ratio: float) -> None:
    with pytest.raises(CimcError, match=r"CIM0304.*'v'"):
        multipliers(np.array([1.0, ratio]), "v")


def test_offsets_end_at_52_bits() -> None:
    assert offsets(np.array([1.0]), 51, "v")[0] == 1 << 51
    for value in (1.0, -1.0, np.nan):
        with pytest.raises(CimcError, match=r"CIM0304.*'v'"):
            offsets(np.array([value]), 52, "v")


def test_a_fused_clamp_becomes_two_codes() -> None:
    code = CodeType.of(8, -127, 127, -27, 0.1)
    assert code_clamp(None, code) == (-127, 127)
    assert code_clamp(floats([0.0, nn.UNBOUNDED]), code) == (-27, 127)
    assert code_clamp(floats([-1.0, 6.0]), code) == (-37, 33)


@settings(max_examples=30)
@given(SCALE, SCALE, SCALE, st.integers(-127, 127), st.integers(-127, 127), st.booleans())
def test_a_sum_is_the_real_sum_rounded_once(a: float, b: float, y: float, za: int, zb: int, minus: bool) -> None:
    ca, cb, cy = (
        CodeType.of(8, -127, 127, za, a),
        CodeType.of(8, -127, 127, zb, b),
        CodeType.of(16, -32767, 32767, 5, y),
    )
    build = GraphBuilder()
    operands = [build.input((64,), ca, "a"), build.input((64,), cb, "b")]
    build.output(build.op(nn.SubOp if minus else nn.AddOp, operands, (64,), cy))
    graph = through(build.graph(), Digital())
    codes = np.random.default_rng(0).integers(-127, 128, (2, 1, 64))
    op = next(op for op in graph.module.ops if isinstance(op, xbar.AddOp))
    ma, mb, bias, shift = (int(p.value.data) for p in (op.ma, op.mb, op.bias, op.shift))
    found = (codes[0] * ma + codes[1] * mb + bias) / 2.0**shift
    wanted = ((codes[0] - za) * a + (-1 if minus else 1) * (codes[1] - zb) * b) / y + 5
    slack = 2.0**-16 * 254 * 2 * max(a, b) / y
    assert np.abs(found - wanted).max() <= slack
    real = (codes[0] - za) * a, (codes[1] - zb) * b
    np.testing.assert_array_equal(run_one(graph, *real), np.clip(np.rint(found), -32767, 32767))


def test_the_zero_point_of_a_result_far_above_its_factors_fits_the_accumulator() -> None:
    """A product that is zero on all the data has range 1, however small its factors are: zero times zero is zero."""
    b = GraphBuilder()
    x, z = b.input((4,)), b.input((4,), label="z")
    b.output(b.op(nn.MulOp, [x, z], (4,)))
    graph = b.graph()
    for op, reach in zip(graph.module.ops, ((-1e-6, 1e-6), (-1e-6, 1e-6), (0.0, 1.0)), strict=False):
        RANGE.note(op, reach)
    graph = through(graph, Quantise(chip()), Digital())
    (found,) = evaluate(graph, {"x": normal(8, 4) * 1e-7, "z": normal(8, 4) * 1e-7}).values()
    assert found.shape == (8, 4) and not found.any()


def test_a_difference_of_equal_values_has_codes_no_finer_than_it_can_tell() -> None:
    b = GraphBuilder()
    x, z = b.input((3,)), b.input((3,), label="z")
    b.output(b.op(nn.SubOp, [x, z], (3,)))
    data = {"x": normal(8, 3), "z": normal(8, 3) + np.float32(1e-7)}
    lowered(b.graph(), data, "digital")


def depthwise_beside_a_convolution() -> Graph:
    """A value that the crossbar, the depthwise unit and a function read."""
    b = GraphBuilder()
    x = b.input((4, 4, 3))
    value = b.op(nn.ClampOp, [x], (4, 4, 3), label="value", low=-1.0, high=1.0)
    dense = b.op(nn.ConvOp, [value], (4, 4, 3), label="dense", weight=normal(3, 3, 3, 3), group=1, **SAME)
    deep = b.op(nn.ConvOp, [value], (4, 4, 3), label="deep", weight=normal(3, 3, 1, 3), group=3, **SAME)
    table = b.op(nn.UnaryOp, [value], (4, 4, 3), label="table", function="sigmoid", parameters=[])
    b.output(b.op(nn.AddOp, [b.op(nn.AddOp, [dense, deep], (4, 4, 3), label="s"), table], (4, 4, 3), label="t"))
    return b.graph()


@pytest.mark.parametrize(("option", "bits"), [("digital_bits=0", (8, 8)), ("digital_bits=16", (16, 8))])
def test_the_digital_unit_may_read_more_bits_than_the_crossbar(option: str, bits: tuple[int, int]) -> None:
    data = {"x": normal(16, 4, 4, 3)}
    graph = lowered(depthwise_beside_a_convolution(), data, "quantise", quantise=option)
    ops = {op.label.data: op for op in graph.module.ops if isinstance(op, nn.Computed)}
    read = {name: code_of(ops[name].operands[0]).bits.data for name in ("deep", "table", "dense")}
    assert read == {"deep": bits[0], "table": bits[0], "dense": bits[1]}


@pytest.mark.parametrize(
    ("target", "option", "bits"),
    [
        (chip(dac__bits=4), "bits=0", 8),
        (chip(dac__bits=4), "bits=6", 6),
        (chip(dac__bits=4, digital__depthwise=False), "bits=0", 4),
        (chip(dac__bits=6), "digital_bits=12", 12),
    ],
    ids=["bytes", "as asked for", "on the array", "more"],
)
def test_depthwise_layers_read_bytes_where_no_dac_of_fewer_bits_is_driven(target, option: str, bits: int) -> None:
    b = GraphBuilder()
    x = b.op(nn.ClampOp, [b.input((4, 4, 3))], (4, 4, 3), label="x1", low=-1.0, high=1.0)
    b.output(b.op(nn.ConvOp, [x], (4, 4, 3), label="deep", weight=normal(3, 3, 1, 3), group=3, **SAME))
    assert types(lowered(b.graph(), {"x": normal(16, 4, 4, 3)}, "quantise", target, quantise=option))["x1"][0] == bits


def test_the_digital_unit_reads_no_more_bits_than_memory_holds() -> None:
    with pytest.raises(CimcError, match=r"CIM0305.*quantise\{digital_bits\} is 17"):
        through(depthwise_beside_a_convolution(), Quantise(chip(), digital_bits=17))


def test_wide_codes_have_room_and_narrow_ones_of_the_same_value_have_none() -> None:
    data = {"x": normal(16, 4, 4, 3)}
    options = {"calibrate": "room=2", "quantise": "digital_bits=16"}
    graph = lowered(depthwise_beside_a_convolution(), data, "quantise", **options)
    ops = {op.label.data: op for op in graph.module.ops if isinstance(op, nn.Computed)}
    assert bounds(code_of(ops["value"].out)) == pytest.approx((-2.0, 2.0), rel=1e-3)
    assert bounds(code_of(ops["dense"].operands[0])) == pytest.approx((-1.0, 1.0), rel=1e-3)


def test_ranges_with_room_are_stored() -> None:
    setting = Setting(chip(), {"x": normal(16, 4, 4, 3)})
    passes = between("calibrate", "quantise", setting, calibrate="room=2", quantise="digital_bits=16")
    ranges, graph = Ranges(), depthwise_beside_a_convolution()
    for one in passes:
        graph = one(graph)
        ranges = ranges.noted(graph)
    again = Setting(chip(), ranges=Ranges.from_json(ranges.to_json()))
    options = {"calibrate": "room=2", "quantise": "digital_bits=16"}
    stored_graph = through(depthwise_beside_a_convolution(), *between("calibrate", "quantise", again, **options))
    assert types(stored_graph) == types(graph)
