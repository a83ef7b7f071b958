"""How far the codes of row blocks reach, and what ranges of their own would be worth: a closed form."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter

SCRIPT = Path(__file__).parents[2] / "samples" / "bench" / "row_ranges.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def test_blocks_reach_as_far_as_their_rows(new, script):
    sketch = new().gain().port("x", (4,), 0).port("y", (1,), 64, "i32", output=True)
    sketch.block(0, [[100], [100]], (0, 0, 0)).block(1, [[100], [100]], (1, 0, 0))
    tables = {"scale": sketch.table([900] * 2, "i32"), "bias": sketch.table([7], "i64")}
    sketch.tensor(0, (4,)).tensor(1, (1,), 64, type="i32")
    sketch.put("mvm", in_=0, out=1, block=0, blocks=2, shift=4, low=-(2**31), high=2**31 - 1, **tables)
    program = sketch.program()
    seen = script["Reach"](program)
    x = np.array([[100, -3, 8, 9], [5, 90, -50, 20]], np.int8)
    Interpreter(program, chunk=1).run({"x": x}, seen)
    (blocks,) = seen.found.values()
    assert blocks == {0: (100, 2), 1: (50, 2)}


def test_ranges_of_their_own_are_worth_nothing_where_all_reach_alike(script):
    assert script["decibels"]([(127, 144), (127, 144)]) == 0
    assert script["decibels"]([(100, 2), (50, 2)]) == pytest.approx(-10 * np.log10((1 + 0.25) / 2))
