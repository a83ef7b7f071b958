"""The reference on a sample: which vectors it computes."""

import pytest

from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.reference import sampled as reference_sample
from cimc.isa.table import FACTOR_ONE


def test_a_sample_holds_ends_corners_and_edges(new):
    sketch = new(512).tensor(0, (1, 20, 30, 1)).window(0, (1, 1), (20, 30))
    machine = reference_sample.SampledReference(sketch.program(), lambda _: None, lambda *_: None)
    for i in sketch.instructions[:2]:
        getattr(machine, i.name)(i)
    chosen = reference_sample._chosen_vectors(machine.streams[0], 5)
    assert {0, 29, 19 * 30, 599, 15, 10 * 30, 10 * 30 + 29, 19 * 30 + 15} <= set(chosen)
    assert 64 < len(chosen) <= 64 + 9 and chosen == reference_sample._chosen_vectors(machine.streams[0], 5)
    assert chosen != reference_sample._chosen_vectors(machine.streams[0], 6)


@pytest.mark.parametrize("per", ["block", "column"])
def test_a_calibration_reads_all_its_vectors(new, per):
    """With the sum of all 300 vectors as its reference a block is as good as new, and a factor is 1."""
    sketch = new(512, adc={"bits": 16}).gain().block(0, [[1, 2]]).data(0, [1] * 300, (300, 1))
    reference = sketch.table([900] if per == "block" else [300, 600], "i64")
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=reference, per=per)
    machine = reference_sample.run(sketch.program(), {}, lambda _: None, lambda *_: None)
    assert machine.crossbar.blocks[0].factors == [FACTOR_ONE] * 2


@pytest.mark.parametrize("first", [0, 3])
def test_a_calibration_has_the_noise_of_sample_0_whichever_sample_runs(new, ask, first):
    """What the ADCs add to each conversion is another for each sample, but the factors belong to the chip."""
    sketch = new().gain().block(0, [[100], [60]]).data(0, [3, 1, 2, 4], (2, 2)).tensor(1, (2,), type="i16")
    sketch.put("calibrate", in_=0, block=0, blocks=1, reference=sketch.table([300], "i64"), per="block")
    tables = {"scale": sketch.table([60000], "i32"), "bias": sketch.table([0], "i64")}
    sketch.put("mvm", in_=0, out=1, block=0, blocks=1, shift=8, low=-30000, high=30000, **tables)
    ask(sketch, Noise(load_profile("generic,output.sigma=20"), 5, 0, frozenset({"output"}), first))
