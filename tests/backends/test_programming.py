"""A chip that is programmed once gives at each time the bits of one that was programmed for that time."""

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import NAMES
from cimc.backends.plan.programming import ProgrammedChip

X = np.arange(-8, 8, dtype=np.int8).reshape(8, 2)
BEHIND = {
    "nothing": lambda sketch: sketch,
    "program": lambda sketch: sketch.block(0, [[-70, 40], [30, 5]], (0, 0, 0)),
    "pattern": lambda sketch: sketch.put("pattern", tile=0, row=0, col=0, rows=1, cols=1, plus=9, minus=0),
    "time": lambda sketch: sketch.put("time", seconds=77),
}
"""What lies between two products of the same block."""


@pytest.mark.parametrize("behind", BEHIND)
def test_every_time_has_the_bits_of_a_chip_of_its_own(new, behind):
    sketch = new().port("x", (2,), 0).port("y", (2,), 16, output=True).port("z", (2,), 24, output=True)
    sketch.block(0, [[50, -60], [20, 90]], (0, 0, 0)).gain().tensor(1, (2,), 0).tensor(2, (2,), 16).tensor(3, (2,), 24)
    BEHIND[behind](sketch.put("capture", in_=1, out=2, block=0)).put("capture", in_=1, out=3, block=0)
    program = sketch.program()
    noises = [Noise(load_profile("pcm"), 6, time, frozenset(NAMES)) for time in (0, 3600, 10**8, 3600)]
    chip, seen = ProgrammedChip(program, noises[0]), set()
    for noise in noises:
        found = Interpreter(program, noise=noise, planned=chip.at(noise).plan()).run({"x": X})
        alone = Interpreter(program, noise=noise).run({"x": X})
        np.testing.assert_array_equal(found["y"], alone["y"])
        np.testing.assert_array_equal(found["z"], alone["z"])
        seen.add(found["y"].tobytes())
    assert len(seen) == 3
