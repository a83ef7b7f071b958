"""The noise machine: both interpreters agree on every source, nothing depends on batches, and no noise is exact."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from noisy.network import EVERYTHING, TIMES, images, network, require_same, seen_by_interpreter, seen_by_reference

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.fixed_point import halvings
from cimc.backends.noise.profiles import built_in_names, load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import NAMES
from cimc.backends.plan import devices as planned_devices
from cimc.backends.reference import devices as literal_devices


@pytest.mark.parametrize("profile", built_in_names())
@pytest.mark.parametrize("source", [*NAMES, "default", "all"])
def test_both_interpreters_agree(new, profile, source):
    sources = {"default": Noise(load_profile(profile)).sources, "all": EVERYTHING}.get(source, frozenset({source}))
    noise = Noise(load_profile(profile), 11, TIMES.get(profile, 3600), sources, 5)
    program = network(new)
    require_same(program, images(2), noise)


@pytest.mark.parametrize(
    "sections",
    [
        {"adc": {"rounding": "floor", "codes": "full"}},
        {"adc": {"bits": 14, "multiplexing": 1}},
        {"dac": {"bits": 16}},
        {"array": {"fraction_bits": 6, "levels": 127, "unprogrammed": 3}},
        {"array": {"fraction_bits": 2, "unprogrammed": 40}},
        {"array": {"pairs_per_weight": 2, "unprogrammed": 3}},
        {"array": {"pairs_per_weight": 2, "unprogrammed": 3, "significance": 3}},
        {"array": {"pairs_per_weight": 2, "unprogrammed": 3, "significance": 16, "second_pair": "rest"}},
        {"read_phases": 2, "adc": {"codes": "full"}},
        {"read_phases": 4, "array": {"pairs_per_weight": 2, "unprogrammed": 3}},
        {"read_phases": 4, "adc": {"codes": "unsigned"}},
    ],
    ids=str,
)
def test_both_interpreters_agree_on_other_machines(new, sections):
    noise = Noise(load_profile("pcm"), 2**64 - 1, 31536000, EVERYTHING)
    program = network(new, "skip", **sections)
    require_same(program, images(2), noise)


def test_both_interpreters_agree_on_violent_noise(new):
    changes = "programming.scale=1000,drift.scale=30,read.scale=1000,cycle.scale=1000,output.sigma=64,adc.offset=64"
    noise = Noise(load_profile(f"pcm,{changes},adc.gain=0.125,dac.gain=0.125,adc.inl=64"), 1, 86400, EVERYTHING)
    program = network(new)
    require_same(program, images(2), noise)


@pytest.mark.parametrize("profile", built_in_names())
@pytest.mark.parametrize("zeros", ["program", "skip"])
def test_zero_noise_is_exact(new, profile, zeros):
    program = network(new, zeros, array={"unprogrammed": 3})
    noise = Noise(load_profile(profile).silent(), 3, TIMES.get(profile, 3600), EVERYTHING)
    exact = seen_by_interpreter(program, images(), None)
    assert seen_by_interpreter(program, images(), noise) == exact
    assert seen_by_reference(program, images(1), noise) == {0: exact[0]}


PAIRS = {
    "copy": {"pairs_per_weight": 2},
    "rest": {"pairs_per_weight": 2, "second_pair": "rest"},
    "significance": {"pairs_per_weight": 2, "second_pair": "rest", "significance": 4},
}


@pytest.mark.parametrize("profile", built_in_names())
@pytest.mark.parametrize("pairs", PAIRS)
def test_both_interpreters_agree_on_two_pairs(new, profile, pairs):
    noise = Noise(load_profile(f"{profile},stuck.low=0.2"), 11, TIMES.get(profile, 3600), EVERYTHING, 5)
    program = network(new, array=PAIRS[pairs])
    require_same(program, images(2), noise)


@pytest.mark.parametrize("zeros", ["program", "skip"])
@pytest.mark.parametrize("pairs", [*PAIRS.values(), {"pairs_per_weight": 2, "significance": 7}], ids=str)
def test_two_pairs_are_exact_without_noise(new, pairs, zeros):
    one, two = (network(new, zeros, array={"unprogrammed": 3, **each}) for each in ({}, pairs))
    exact = seen_by_interpreter(one, images(), None)
    silent = Noise(load_profile("pcm").silent(), 3, 3600, EVERYTHING)
    assert seen_by_interpreter(two, images(), None) == exact
    assert seen_by_interpreter(two, images(), silent) == exact
    assert seen_by_reference(two, images(1), silent) == {0: exact[0]}


@pytest.mark.parametrize("profile", built_in_names())
@pytest.mark.parametrize("ohms", ["0.35", "200", "1000"])
def test_both_interpreters_agree_on_ir_drop(new, profile, ohms):
    noise = Noise(load_profile(f"{profile},wire.resistance={ohms}"), 11, TIMES.get(profile, 3600), EVERYTHING, 5)
    program = network(new, array={"pairs_per_weight": 2, "rows": 1024, "columns": 512})
    require_same(program, images(2), noise)


def test_no_source_is_exact(new):
    program = network(new)
    noise = Noise(load_profile("pcm"), 3, 3600, frozenset())
    assert seen_by_interpreter(program, images(), noise) == seen_by_interpreter(program, images(), None)


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_bits_do_not_depend_on_the_chunk(new, chunk):
    program, x = network(new), images(5)
    noise = Noise(load_profile("pcm"), 3, 3600, EVERYTHING, 7)
    whole = Interpreter(program, chunk=5, noise=noise).run({"x": x})["y"]
    assert np.array_equal(Interpreter(program, chunk=chunk, noise=noise).run({"x": x})["y"], whole)


def test_bits_do_not_depend_on_threads(new):
    program, x = network(new), images(6)
    noise = Noise(load_profile("pcm"), 3, 3600, EVERYTHING)
    whole = Interpreter(program, chunk=6, noise=noise).run({"x": x})["y"]
    assert np.array_equal(Interpreter(program, chunk=1, threads=3, noise=noise).run({"x": x})["y"], whole)


def test_a_shard_agrees_with_the_whole(new):
    program, x = network(new), images(5)
    noise = Noise(load_profile("pcm"), 3, 3600, EVERYTHING, 2)
    whole = Interpreter(program, noise=noise).run({"x": x})["y"]
    shard = Interpreter(program, noise=replace(noise, sample_offset=5)).run({"x": x[3:]})["y"]
    assert np.array_equal(shard, whole[3:])
    assert np.array_equal(Interpreter(program, noise=noise).run({"x": x[3:]}, first=3)["y"], whole[3:])


@pytest.mark.parametrize("source", NAMES)
def test_every_source_and_seed_makes_a_difference(new, source):
    program, x = network(new), images()
    profile = load_profile(
        "pcm,stuck.low=0.2,wire.resistance=500,polarity.sigma=0.2,forming.mean=0.5,forming.sigma=0.2,levels.sigma=0.4,levels.skew=2"
    )
    results = [Interpreter(program).run({"x": x})["y"]]
    results += [
        Interpreter(program, noise=Noise(profile, seed, 3600, frozenset({source}))).run({"x": x})["y"]
        for seed in (0, 1)
    ]
    assert len({result.tobytes() for result in results}) == (2 if source == "ir_drop" else 3)


def test_order_of_tiles_does_not_matter(new):
    """The same blocks, programmed in either order, with another layer's products in between."""
    outputs = []
    for order in ((0, 1), (1, 0)):
        sketch = new().gain(40000, 21).port("x", (4,), 0).port("y", (3,), 64, "i32", output=True)
        for number in order:
            sketch.block(number, [[300 - 40 * number * j, -17 * j, 90] for j in range(4)], (number, number, 2))
        sketch.tensor(0, (4,))
        for number in order:
            sketch.tensor(1, (3,), 64 if number == 0 else 128, type="i32").put("capture", in_=0, out=1, block=number)
        noise = Noise(load_profile("pcm"), 3, 3600, EVERYTHING)
        x = np.array([[100, -50, 30, 7]], np.int8)
        outputs.append(Interpreter(sketch.program(), noise=noise).run({"x": x})["y"].tolist())
    assert outputs[0] == outputs[1]


def test_programming_twice_draws_twice(new):
    def left_at(times):
        sketch = new().gain()
        for _ in range(times):
            sketch.block(0, [[400]])
        sketch.tensor(0, (1,), type="i32").put("readcell", tile=0, row=0, col=0, polarity="plus", out=0)
        sketch.port("y", (1,), 0, "i32", output=True)
        noise = Noise(load_profile("pcm"), 3)
        return Interpreter(sketch.program(), noise=noise).run({})["y"].item()

    assert len({left_at(times) for times in (1, 2, 3)}) == 3


CORRELATED = "pcm,read.time=correlated"


@pytest.mark.parametrize("seconds", [0, 5, 86400, (1 << 40) - 1])
@pytest.mark.parametrize("duration", ["250e-9", "1000", "1e12"])
def test_both_interpreters_agree_on_noise_that_remembers(new, seconds, duration):
    noise = Noise(load_profile(f"{CORRELATED},read.duration={duration}"), 11, seconds, frozenset({"read"}))
    require_same(network(new, once=True), images(2), noise)


def test_both_interpreters_agree_on_noise_that_remembers_in_two_pairs(new):
    noise = Noise(load_profile(f"{CORRELATED},stuck.low=0.2"), 11, 3600, EVERYTHING, 5)
    require_same(network(new, array=PAIRS["rest"]), images(2), noise)


FORMING = "generic,forming.mean=0.5,forming.sigma=0.3"


@pytest.mark.parametrize("sources", [frozenset({"forming"}), EVERYTHING], ids=["alone", "all"])
@pytest.mark.parametrize("array", [{}, {"pairs_per_weight": 2, "second_pair": "rest"}], ids=["one", "rest"])
def test_both_interpreters_agree_on_random_devices(new, array, sources):
    program = network(new, "skip", array=array)
    require_same(program, images(2), Noise(load_profile(FORMING), 3, 3600, sources))


def test_forming_decides_what_is_programmed_and_leaves_the_rest_alone(new):
    def left_at(target, times=1, seed=3):
        sketch = new().gain()
        for _ in range(times):
            sketch.block(0, [[target]], zeros="skip")
        sketch.tensor(0, (1,), type="i32").put("readcell", tile=0, row=0, col=0, polarity="plus", out=0)
        sketch.port("y", (1,), 0, "i32", output=True)
        noise = Noise(load_profile(FORMING), seed, 0, frozenset({"forming"}))
        return Interpreter(sketch.program(), noise=noise).run({})["y"].item()

    assert left_at(400) == left_at(7) == left_at(400, times=3)
    assert left_at(0) == 0
    formed = [left_at(508, seed=seed) for seed in range(40)]
    assert len(set(formed)) > 30
    assert np.mean(formed) == pytest.approx(254, abs=60)
    assert np.std(formed) == pytest.approx(0.3 * 508, rel=0.3)


def test_an_unused_device_stays_silent(new):
    """zeros=skip: what was never programmed conducts what the target says, at any time, without noise."""
    sketch = (
        new(array={"unprogrammed": 5}).gain().block(0, [[0, 3]], zeros="skip").port("y", (2,), 0, "i32", output=True)
    )
    sketch.data(0, [100], (1,)).tensor(1, (2,), type="i32").put("capture", in_=0, out=1, block=0)
    noise = Noise(load_profile("pcm"), 3, 86400)
    assert Interpreter(sketch.program(), noise=noise).run({})["y"][0, 0] == 0


SCRIPT = """
import hashlib
import sys
sys.path[:0] = sys.argv[1:]
from conftest import author
from noisy.network import EVERYTHING, images, network
from cimc.backends.interpreter import Interpreter, executors
from cimc.backends.machine.observer import Observer
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.profiles import load_profile
noise = Noise(load_profile("pcm"), 3, 3600, EVERYTHING)
result = Interpreter(network(author), noise=noise, executor="numpy").run({"x": images(4)})["y"]
print(hashlib.sha256(result.tobytes()).hexdigest())
"""


def test_bits_do_not_depend_on_the_processor():
    """numpy without its vector instructions computes the same."""
    features = np.show_config("dicts")["SIMD Extensions"]["found"]
    results = []
    for disabled in ("", " ".join(features)):
        environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": disabled}
        run = [sys.executable, "-W", "ignore", "-c", SCRIPT, *map(str, Path(__file__).parents[:2])]
        done = subprocess.run(run, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        results.append(done.stdout)
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"seed": -1}, "CIM0531"),
        ({"time_s": -1}, "CIM0532"),
        ({"sources": frozenset({"drfit"})}, "CIM0531"),
        ({"sample_offset": -1}, "CIM0531"),
    ],
)
def test_impossible_noise_is_refused(facts, code):
    with pytest.raises(Refusal) as refusal:
        Noise(load_profile("pcm"), **facts)
    assert refusal.value.code == code


def test_a_time_that_the_profile_does_not_know_is_refused(new):
    noise = Noise(load_profile("reram-wan"), 0, 60)
    for run in (
        lambda: Interpreter(network(new), noise=noise).run({"x": images(1)}),
        lambda: seen_by_reference(network(new), images(1), noise),
    ):
        with pytest.raises(Refusal) as refusal:
            run()
        assert refusal.value.code == "CIM0532"


@pytest.mark.parametrize("part", [0, 1, (1 << 20) - 1, (1 << 20) + 1, (517 << 20) + 777_777, (1 << 30) - 1])
@pytest.mark.parametrize("whole", [0, 2])
def test_halvings_between_entries_of_the_table_are_interpolated_to_the_last_bit(part, whole):
    """Both forms, of a value so large that the result is the factor itself."""
    passed = (whole << 30 | part) << 10
    start, end = (halvings()[(part >> 20) + n] for n in (0, 1))
    factor = start - math.floor(Fraction((start - end) * (part % (1 << 20)), 1 << 20) + Fraction(1, 2))
    assert literal_devices.decayed(1 << 30 + whole, passed) == factor
    assert planned_devices.decayed(np.array([1 << 30 + whole]), np.array([passed])).tolist() == [factor]
