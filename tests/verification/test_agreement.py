"""The rule of equal tensors, one edge at a time: what is right, what is not, and which element is named."""

import numpy as np
import pytest

from cimc.ir.nn import UNBOUNDED
from cimc.proof.agreement import CANCELLED, TOLERANCE, furthest, largest

NAN, INF = float("nan"), float("inf")


def wrong(ours, theirs, step=None, tolerance=TOLERANCE, read=0.0, kind="f8"):
    """Return the element that is named; what the node reads is asked for where it is given."""
    return furthest(np.array(ours, np.float64), np.array(theirs, kind), step, tolerance, lambda: read)


@pytest.mark.parametrize(
    ("error", "theirs", "read", "named"),
    [
        (0.0, 0.0, 0.0, None),
        (TOLERANCE, 0.0, 0.0, None),  # beside a largest of 1
        (TOLERANCE * 1.001, 0.0, 0.0, (1, 0)),
        (-TOLERANCE * 1.001, 0.0, 0.0, (1, 0)),
        (0.5, 0.0, 0.5 / CANCELLED, None),
        (0.5, 0.0, 0.499 / CANCELLED, (1, 0)),
    ],
)
def test_real_numbers_are_near_the_largest_or_what_was_read(error, theirs, read, named):
    assert wrong([[0.25, 1.0], [theirs + error, 0.5]], [[0.25, 1.0], [theirs, 0.5]], read=read) == named


def test_the_tolerance_is_the_node_s():
    assert wrong([0.01, 1.0], [0.0, 1.0], tolerance=0.02) is None
    assert wrong([0.01, 1.0], [0.0, 1.0], tolerance=0.005) == (0,)


def test_numbers_of_16_bits_are_no_finer():
    assert wrong([0.003, 1.0], [0.0, 1.0], kind="f2") is None
    assert wrong([0.003, 1.0], [0.0, 1.0], kind="f4") == (0,)
    assert wrong([0.006, 1.0], [0.0, 1.0], kind="f2") == (0,)
    assert wrong([0.006, 1.0], [0.0, 1.0], kind="f2", tolerance=0.01) is None


def test_the_furthest_of_several_is_named():
    assert wrong([[0.0, 2.0, 1.0], [5.0, 1.0, 9.0]], [[0.0, 1.0, 1.0], [1.0, 1.0, 6.0]]) == (1, 0)


@pytest.mark.parametrize("step", [0.25, 1.0, 4.0])
@pytest.mark.parametrize(
    ("steps", "ok"),
    [
        ([0, 0, 1], True),
        ([0, 0, -1.009], True),
        ([0, 0, 1.02], False),
        ([0, 0, 2], False),
        ([0, 1, 1], False),
        ([0.01] * 3, True),
        ([0.009, 0.009, 1], True),
        ([0.02, 0.02, 0], False),
    ],
)
def test_codes_are_one_step_off_at_most_and_few(step, steps, ok):
    ours = np.array(steps, np.float64) * step
    assert (wrong(ours, np.zeros(3), step) is None) == ok


def test_a_thousandth_of_many_codes_may_be_off():
    for off, ok in ((3, True), (4, False)):
        assert (wrong([1.0] * off + [0.0] * (3000 - off), [0.0] * 3000, 1.0) is None) == ok


@pytest.mark.parametrize(
    ("ours", "theirs", "named"),
    [
        ([INF, 1.0], [INF, 1.0], None),
        ([UNBOUNDED, 1.0], [INF, 1.0], None),
        ([-UNBOUNDED, 1.0], [INF, 1.0], (0,)),
        ([1.0, INF], [1.0, 2.0], (1,)),
        ([1.0, 2.0], [1.0, INF], (1,)),
        ([1.0, NAN], [1.0, 2.0], (1,)),
        ([1.0, 5.0], [1.0, NAN], None),
        ([1.0, NAN], [1.0, NAN], None),
    ],
)
def test_numbers_that_are_none(ours, theirs, named):
    assert wrong(ours, theirs) == named


def test_tensors_without_elements_agree():
    assert wrong([], []) is None
    assert wrong([], [], 1.0) is None


@pytest.mark.parametrize(
    ("values", "found"), [([], 0.0), ([0.5, -3.0, 2.0], 3.0), ([INF, 2.0, -INF], 2.0), ([NAN, INF], 0.0)]
)
def test_the_largest_finite_magnitude(values, found):
    assert largest(np.array(values)) == found
