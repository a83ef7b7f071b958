"""Range telemetry: clips and codes of every column, and the two signal-to-noise ratios of every layer."""

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.facts import machine
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import NAMES
from cimc.backends.plan.walk import mixed, plan
from cimc.backends.silicon.telemetry import BATCH, Telemetry

NOISE = Noise(load_profile("pcm"), 6, 86400, frozenset(NAMES))


def chain(new, layers, **sections):
    """Layers of 8 x 8 one after the other; the first is calibrated on its own inputs."""
    rng = np.random.default_rng(4)
    sketch = new(256, **sections).port("x", (8,), 0).port("y", (8,), 8 * layers, output=True).gain(40000, 21)
    tables = {"scale": sketch.table([9000] * 8, "i32"), "bias": sketch.table([0] * 8, "i64")}
    reference = sketch.table([300] * 8, "i64")
    for number in range(layers):
        sketch.block(number, rng.integers(-508, 509, (8, 8)), (number % 2, 8 * (number // 2), 0))
    for number in range(layers):
        sketch.tensor(0, (1, 8), 8 * number).tensor(1, (1, 8), 8 * number + 8)
        if number == 0:
            sketch.put("calibrate", in_=0, block=0, blocks=1, reference=reference, per="column")
        sketch.put("mvm", in_=0, out=1, block=number, blocks=1, **tables, shift=11, low=-127, high=127)
    return sketch.program()


def images(count):
    return {"x": np.random.default_rng(3).integers(-127, 128, (count, 8)).astype(np.int8)}


def test_a_single_layer_is_all_the_noise(new):
    telemetry = Telemetry(chain(new, 1), images(BATCH + 5), NOISE)
    (layer,) = telemetry.layers()
    assert layer.exact_sensitivity_db == layer.exact_accumulated_db == telemetry.outputs_db
    assert 0 < layer.exact_sensitivity_db < 40


def test_ratios_of_a_chain(new):
    program, x = chain(new, 3), images(150)
    telemetry = Telemetry(program, x, NOISE)
    layers = list(telemetry.layers())
    assert layers[-1].exact_accumulated_db == pytest.approx(telemetry.outputs_db)
    assert all(layer.exact_sensitivity_db > telemetry.outputs_db for layer in layers)
    exact = Interpreter(program).run(x)["y"].astype(float)
    facts = machine(program.meta)
    last = mixed(plan(program, facts), plan(program, facts, NOISE), {layers[-1].instruction})
    noisy = Interpreter(program, noise=NOISE, planned=last).run(x)["y"]
    expected = 10 * np.log10(exact.var() / np.square(noisy - exact).mean())
    assert layers[-1].exact_sensitivity_db == pytest.approx(expected)


def test_a_layer_is_held_against_what_was_written_whatever_is_written_over_it(new):
    """Three layers of 40 x 40, each in a place of its own, or by turns in two."""
    ratios = []
    for last in (80, 0):
        rng = np.random.default_rng(4)
        sketch = new(256, array={"rows": 80, "columns": 40}).port("x", (40,), 0).gain(40000, 22)
        sketch.port("y", (40,), 120 if last else 40, output=True)
        tables = {"scale": sketch.table([9000] * 40, "i32"), "bias": sketch.table([0] * 40, "i64")}
        for number, at in enumerate(((0, 40), (40, last), (last, 120 if last else 40))):
            sketch.block(number, rng.integers(-508, 509, (40, 40)), (number % 2, 40 * (number // 2), 0))
            sketch.tensor(0, (1, 40), at[0]).tensor(1, (1, 40), at[1])
            sketch.put("mvm", in_=0, out=1, block=number, blocks=1, **tables, shift=11, low=-127, high=127)
        x = {"x": np.random.default_rng(3).integers(-127, 128, (50, 40)).astype(np.int8)}
        ratios.append([layer.exact_accumulated_db for layer in Telemetry(sketch.program(), x, NOISE).layers()])
    assert ratios[0] == ratios[1]


def test_a_mixed_plan_is_exact_or_noisy_where_it_should_be(new):
    program, x = chain(new, 3), images(9)
    facts = machine(program.meta)
    exact, noisy = plan(program, facts), plan(program, facts, NOISE)
    run = lambda chosen: Interpreter(program, noise=NOISE, planned=mixed(exact, noisy, chosen)).run(x)["y"].tolist()  # noqa: E731
    assert run(()) == Interpreter(program).run(x)["y"].tolist()
    assert run(range(len(program.instructions))) == Interpreter(program, noise=NOISE).run(x)["y"].tolist()


def test_counts_without_noise(new):
    telemetry = Telemetry(chain(new, 2, adc={"bits": 6}), images(70), None)
    for layer in telemetry.layers():
        assert (layer.exact_sensitivity_db, layer.exact_accumulated_db, layer.conversions) == (None, None, 70)
        for column in layer.blocks[0].columns:
            assert (column.clipped_low == 0) == (column.lowest > -31) or column.lowest == -31
            assert column.clipped_low + column.clipped_high <= 70
            assert 1 < column.codes_used <= 63
    assert telemetry.outputs_db is None


def test_codes_of_a_wide_adc_are_not_told_apart(new):
    (layer,) = Telemetry(chain(new, 1, adc={"bits": 20}), images(3), None).layers()
    assert layer.blocks[0].columns[0].codes_used is None
