"""The twin of a chip from its codes: what its columns conduct, where its ADCs begin, and which columns stay open."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.chip import Array
from cimc.backends.noise.fixed_point import FINE_BITS
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import DEFAULTS
from cimc.backends.silicon.adc_codes import adc_codes
from cimc.backends.silicon.bands import layer_codes
from cimc.backends.silicon.captured import ADC, with_layer_codes
from cimc.backends.silicon.layer_equations import MOST, layer_equations, spread_vectors
from cimc.backends.silicon.normal_equations import NormalEquations
from cimc.backends.silicon.reading_back import read_back
from cimc.backends.silicon.twin import Twin, twin
from cimc.isa.author import Author
from cimc.isa.program import Program

ROWS, COLUMNS = 12, 4
CHIP = Noise(load_profile("pcm,adc.offset=2,adc.inl=0"), 3, 86400, frozenset({*DEFAULTS, "adc"}))


def only(program: Program) -> str:
    """Return the name of the only layer."""
    (index,) = (i for i, one in enumerate(program.instructions) if one.name == "mvm")
    return program.layer_name(index)


def network(new: Callable[..., Author], calibrated: bool = False, turns: int = 1) -> Program:
    """Return one layer of two stacked row blocks, which a loop may read several times."""
    rng = np.random.default_rng(2)
    sketch = new(4096, array={"rows": 2 * ROWS}).port("x", (8, 2 * ROWS), 0)
    sketch.port("y", (8 * turns, COLUMNS), 1024, "i32", output=True).gain(40000, 25)
    for block in range(2):
        targets = rng.integers(-508, 509, (ROWS, COLUMNS))
        targets[:, 3] *= block  # of column 3 one block holds nothing
        sketch.block(block, targets, (block, 0, 0))
    tables = {"scale": sketch.table([1 << 12] * 2 * COLUMNS, "i32"), "bias": sketch.table([0] * COLUMNS, "i64")}
    sketch.tensor(0, (8, 2 * ROWS)).tensor(1, (8, COLUMNS), 1024, type="i32")
    if calibrated:
        sums = sketch.table([3000] * 2 * COLUMNS, "i64")
        sketch.put("calibrate", in_=0, block=0, blocks=2, reference=sums, per="column")
    sketch.put("loop", count=turns)
    sketch.put("mvm", in_=0, out=1, block=0, blocks=2, **tables, shift=12, low=-400, high=400)
    program = sketch.put("advance", stream=1, by=8 * COLUMNS).put("endloop").program()
    return replace(program, locations=tuple(("layer",) for _ in program.instructions))


def codes(silent: int | None = None) -> dict[str, Array]:
    """Return inputs of 24 samples, none of a row."""
    x = np.random.default_rng(5).integers(-60, 61, (24, 8, 2 * ROWS)).astype(np.int8)
    if silent is not None:
        x[..., silent] = 0
    return {"x": x}


def measured(program: Program, inputs: dict[str, Array], with_adc: bool = True) -> dict[str, Array]:
    return layer_codes(program, inputs, CHIP) | (adc_codes(program, inputs, CHIP) if with_adc else {})


def estimated(program: Program, inputs: dict[str, Array], with_adc: bool = True) -> Twin:
    return twin(program, layer_equations(program, inputs, measured(program, inputs, with_adc), None))


@pytest.mark.parametrize("turns", [1, 2])
def test_adc_codes_tell_conductances_and_offsets(new: Callable[..., Author], turns: int) -> None:
    program, inputs = network(new, turns=turns), codes()
    found, true = estimated(program, inputs), read_back(program, CHIP)
    for tile, one in true.tiles.items():
        wanted, known = (each.conductance[0, 0] - each.conductance[0, 1] for each in (one, found.chip.tiles[tile]))
        assert np.abs(wanted - known)[:ROWS, :COLUMNS].max() < 8 << FINE_BITS
        assert np.abs(one.adc[0] - found.chip.tiles[tile].adc[0])[:COLUMNS].max() < 0.3 * 65536
    assert {one.reason for one in found.columns} == {"", "no cell was asked to conduct"}
    assert [(one.tile, one.column) for one in found.columns if one.reason] == [(0, 3)]


@pytest.mark.parametrize("calibrated", [False, True])
def test_codes_of_layers_give_the_same_codes(new: Callable[..., Author], calibrated: bool) -> None:
    program, inputs = network(new, calibrated), codes()
    name = only(program)
    found = estimated(program, inputs, with_adc=False)
    wanted, ideal = layer_codes(program, inputs, CHIP)[name], layer_codes(program, inputs)[name]
    given = layer_codes(program, inputs, Noise.of_chip(found.chip))[name]
    assert np.abs(given - wanted).mean() < 0.1 * np.abs(ideal - wanted).mean()
    reasons = {one.reason for one in found.columns}
    assert reasons == ({"drift factors hide its factor: measure ADC codes"} if calibrated else {""})


def test_columns_that_inputs_do_not_reach_keep_their_targets_and_are_named(new: Callable[..., Author]) -> None:
    program = network(new)
    found = estimated(program, {"x": codes()["x"] * 0})
    assert {one.reason for one in found.columns if one.column < 3} == {"inputs leave its factor open by 0.30"}
    asked = np.frombuffer(program.conductances, "<i2", ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    plus, minus = found.chip.tiles[0].conductance[0, :, :ROWS, :COLUMNS] >> FINE_BITS
    assert (plus - minus == asked).all()


def test_drift_factors_tell_what_inputs_leave_open(new: Callable[..., Author]) -> None:
    """All rows read the same value: codes tell the sum of a column, calibration on other vectors tells more."""
    rng = np.random.default_rng(7)
    sketch = new(4096, array={"rows": ROWS}).port("x", (8, ROWS), 0).gain(40000, 25)
    sketch.port("y", (8, COLUMNS), 1024, "i32", output=True).block(
        0, rng.integers(-508, 509, (ROWS, COLUMNS)), (0, 0, 0)
    )
    tables = {"scale": sketch.table([1 << 12] * COLUMNS, "i32"), "bias": sketch.table([0] * COLUMNS, "i64")}
    probes = sketch.table(rng.integers(-60, 61, 32 * ROWS).tolist(), "i8")
    sketch.tensor(0, (32, ROWS), probes, space="const")
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=sketch.table([3000] * COLUMNS, "i64"), per="column")
    sketch.tensor(0, (8, ROWS)).tensor(1, (8, COLUMNS), 1024, type="i32")
    sketch.put("mvm", in_=0, out=1, block=0, blocks=1, **tables, shift=12, low=-4000, high=4000)
    program = replace(sketch.program(), locations=tuple(("layer",) for _ in sketch.program().instructions))
    inputs = {"x": np.repeat(codes()["x"][..., :1], ROWS, axis=2)}
    name = only(program)
    wanted = layer_codes(program, inputs, CHIP)[name]
    given = layer_codes(program, inputs, Noise.of_chip(estimated(program, inputs).chip))[name]
    assert np.abs(given - wanted).mean() < 0.02 * np.abs(wanted).mean()


@pytest.mark.parametrize("turns", [1, 2])
def test_adc_codes_alone_stand_for_a_layer_without_drift_factors(new: Callable[..., Author], turns: int) -> None:
    program, inputs = network(new, turns=turns), codes()
    both = measured(program, inputs)
    alone = {only(program) + ADC: both[only(program) + ADC]}
    assert np.array_equal(with_layer_codes(program, alone)[only(program)], both[only(program)])
    found, wanted = (twin(program, layer_equations(program, inputs, one, None)) for one in (alone, both))
    assert found.columns == wanted.columns


@pytest.mark.parametrize(
    ("calibrated", "change", "told"),
    [
        (True, lambda array: array, "has ADC codes alone, and drift factors that they do not tell"),
        (
            False,
            lambda array: array[:, :, :1],
            r"shape (24, 8, 1, 4), not whole numbers [samples, vectors, 2, columns]",
        ),
        (False, lambda array: array * 0.5, "is of type float64"),
    ],
)
def test_adc_codes_alone_that_do_not_tell_a_layer_are_refused(
    new: Callable[..., Author], calibrated: bool, change: Callable, told: str
) -> None:
    program, inputs = network(new, calibrated), codes()
    name = only(program) + ADC
    alone = {name: change(measured(program, inputs)[name])}
    with pytest.raises(Refusal, match="CIM0535") as refused:
        list(layer_equations(program, inputs, alone, None))
    assert told in str(refused.value)


def test_what_capture_keeps_block_by_block_is_what_is_measured(new: Callable[..., Author]) -> None:
    """A program that captures each block, and its outputs side by side as docs/formats.md says."""
    program, inputs = network(new), codes()
    kept = []
    for block in range(2):
        sketch = new(8192, array={"rows": 2 * ROWS}).port("x", (8, 2 * ROWS), 0).gain(40000, 25)
        sketch.port("y", (8, COLUMNS), 1024, "i32", output=True)
        asked = np.frombuffer(program.conductances, "<i2").reshape(2, ROWS, COLUMNS)[block]
        sketch.block(0, asked.astype(int), (block, 0, 0))
        sketch.tensor(0, (8, ROWS), block * ROWS, pitch=(0, 0, 2 * ROWS, 1)).tensor(1, (8, COLUMNS), 1024, type="i32")
        capturing = sketch.put("capture", in_=0, out=1, block=0).program()
        kept.append(Interpreter(capturing, noise=CHIP).run(inputs)["y"])
    assert np.array_equal(np.stack(kept, axis=2), measured(program, inputs)[only(program) + ADC])


def test_normal_equations_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    design, codes = rng.normal(size=(50, 4)), rng.normal(size=50)
    known = NormalEquations.of(np.zeros(4), np.eye(4) * 1e12)
    for row, code in zip(design, codes, strict=True):
        known = known.with_equation(row, code, 0.25)
    mean, covariance = known.solved
    np.testing.assert_allclose(mean, np.linalg.lstsq(design, codes, rcond=None)[0], rtol=1e-6)
    np.testing.assert_allclose(covariance, np.linalg.inv(design.T @ design) * 0.25, rtol=1e-6)


def test_whole_unknowns_are_found_where_rounding_each_alone_would_miss_them() -> None:
    """Of 8 inputs that are nearly alike codes tell the sum much better than the parts."""
    rng, missed = np.random.default_rng(1), np.zeros(2)
    for _ in range(20):
        true = rng.integers(-20, 21, 8)
        inputs = np.repeat(rng.normal(size=(60, 1)), 8, axis=1) + 0.02 * rng.normal(size=(60, 8))
        known = NormalEquations.of(np.zeros(9), np.diag([400.0] * 8 + [16.0]))
        for row, code in zip(inputs, inputs @ true + 0.25 + 0.1 * rng.normal(size=60), strict=True):
            known = known.with_equation(np.append(row, 1.0), float(code), 0.01)
        found = known.rounded()
        assert np.array_equal(found[:-1], np.rint(found[:-1]))
        assert abs(found[-1] - 0.25) < 0.1
        for which, one in enumerate((found[:-1], np.rint(known.solved[0][:-1]))):
            missed[which] += np.std(inputs @ (one - true))
    assert missed[0] < missed[1] / 4


@pytest.mark.parametrize("width", [7, 32, 64])
def test_vectors_of_an_image_are_taken_from_all_of_its_columns(width: int) -> None:
    count = width * width
    taken = spread_vectors(count, 256 * count)
    assert len(set(taken)) == len(taken) <= max(MOST // 256, 1)
    assert max(taken) < count
    assert len({vector % width for vector in taken}) > min(width, len(taken)) // 2
    assert spread_vectors(count, count) == range(count)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda array: array[:5], "shape (5, 8, 4)"),
        (lambda array: array[:, :5], "has 5 vectors a sample, the program computes 8"),
        (lambda array: array[..., :3], "shape (24, 8, 3)"),
        (lambda array: np.concatenate([array, array], axis=1), "has 16 vectors a sample, the program computes 8"),
        (lambda array: array * 1.5, "is of type float64"),
        (lambda array: array + 500, "the layer gives -400 to 400"),
    ],
)
def test_codes_that_do_not_fit_are_refused(new: Callable[..., Author], change: Callable, told: str) -> None:
    program, inputs = network(new), codes()
    wrong = {name: change(array) for name, array in layer_codes(program, inputs).items()}
    with pytest.raises(Refusal, match="CIM0535") as error:
        twin(program, layer_equations(program, inputs, wrong, None))
    assert told in str(error.value)


def test_codes_of_no_layer_are_refused(new: Callable[..., Author]) -> None:
    program = network(new)
    with pytest.raises(Refusal, match="no layer of the program is among the measured codes"):
        twin(program, layer_equations(program, codes(), {"other": np.zeros((24, 8, 4), int)}, None))


def test_adc_codes_of_another_shape_are_refused(new: Callable[..., Author]) -> None:
    program, inputs = network(new), codes()
    known = {
        name: array[:, :, :1] if name.endswith(ADC) else array for name, array in measured(program, inputs).items()
    }
    with pytest.raises(Refusal, match=r"is of shape \(24, 8, 1, 4\), \(24, 8, 2, 4\) is needed"):
        twin(program, layer_equations(program, inputs, known, None))
