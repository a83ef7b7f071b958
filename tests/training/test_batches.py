"""Batches: functions of data, settings, seed and step."""

import numpy as np
import pytest
from targets.stages import normal

from cimc.training.batches import Data, batch, split
from cimc.training.settings import Settings

DATA = Data({"x": normal(30, 8, 6, 2)}, np.eye(3, dtype=np.float32)[np.arange(30) % 3])
LIVELY = Settings(batch=12, mix=0.8, shift=2, across=2, flip=1, jitter=0.3, offset=0.2)


def test_equal_steps_give_equal_batches_and_others_do_not() -> None:
    first, again, other = (batch(DATA, LIVELY, 3, step) for step in (5, 5, 6))
    assert np.array_equal(first.inputs["x"], again.inputs["x"])
    assert not np.array_equal(first.inputs["x"], other.inputs["x"])


def test_plain_batches_are_samples_of_the_data() -> None:
    found = batch(DATA, Settings(batch=10, mix=0.0), 0, 0)
    rows = {row.tobytes() for row in DATA.inputs["x"]}
    assert {row.tobytes() for row in found.inputs["x"]} <= rows
    assert len({row.tobytes() for row in found.inputs["x"]}) == 10


def test_few_samples_are_drawn_again() -> None:
    assert batch(Data({"x": normal(3, 4)}), Settings(batch=10), 0, 0).count == 10


def test_labels_are_mixed_as_their_samples() -> None:
    found = batch(DATA, LIVELY, 0, 1)
    assert found.labels is not None
    assert np.allclose(found.labels.sum(axis=1), 1.0)
    assert (found.labels.max(axis=1) < 0.999).any()


def test_disturbed_samples_stay_within_the_data() -> None:
    x, given = batch(DATA, LIVELY, 0, 2).inputs["x"], DATA.inputs["x"]
    assert x.dtype == np.float32
    assert given.min() <= x.min() and x.max() <= given.max()


def test_a_shift_moves_whole_samples() -> None:
    found = batch(DATA, Settings(batch=30, mix=0.0, shift=2, across=2), 1, 0).inputs["x"]
    windows = {one[a : a + 4, b : b + 2].tobytes() for one in DATA.inputs["x"] for a in range(5) for b in range(5)}
    moved = [row[2:6, 2:4].tobytes() in windows for row in found]
    assert all(moved)


def test_frames_are_moved_and_their_coefficients_stay() -> None:
    found = batch(DATA, Settings(batch=30, mix=0.0, shift=2), 1, 0).inputs["x"]
    windows = {one[first : first + 4].tobytes() for one in DATA.inputs["x"] for first in range(5)}
    assert {row[2:6].tobytes() for row in found} <= windows


def test_an_offset_is_the_same_along_the_first_axis() -> None:
    data = Data({"x": np.asarray(normal(30, 8, 6, 2) + 10.0 * normal(30, 1, 1, 1), np.float32)})
    found = batch(data, Settings(batch=30, mix=0.0, offset=0.01), 0, 0).inputs["x"]
    steps = {(one[1] - one[0]).round(3).tobytes() for one in data.inputs["x"]}
    assert np.mean([(row[1] - row[0]).round(3).tobytes() in steps for row in found]) > 0.5
    assert not {row.tobytes() for row in found} & {row.tobytes() for row in data.inputs["x"]}


@pytest.mark.parametrize("hold", [0.01, 0.3, 0.9])
def test_what_is_kept_back_is_not_trained_on(hold: float) -> None:
    given, held = split(DATA, hold, 1)
    rows = [{row.tobytes() for row in part.inputs["x"]} for part in (given, held)]
    assert rows[0] | rows[1] == {row.tobytes() for row in DATA.inputs["x"]}
    assert not rows[0] & rows[1]
    assert held.count == max(round(hold * 30), 1)


@pytest.mark.parametrize(("share", "others"), [(0.0, 0), (0.5, 5), (0.9, 9)])
def test_a_share_of_a_batch_is_of_others_which_have_no_class(share: float, others: int) -> None:
    more = Data(DATA.inputs, DATA.labels, {"x": normal(20, 8, 6, 2, seed=1)})
    found = batch(more, Settings(batch=10, mix=0.0, others=share), 0, 0)
    rows = {row.tobytes() for row in more.others["x"]}
    assert [row.tobytes() in rows for row in found.inputs["x"]] == [False] * (10 - others) + [True] * others
    assert found.labels is not None
    assert found.labels.sum(axis=1).tolist() == [1.0] * (10 - others) + [0.0] * others


def test_others_are_never_kept_back_and_tell_runs_apart() -> None:
    more = Data(DATA.inputs, DATA.labels, {"x": normal(20, 8, 6, 2, seed=1)})
    given, held = split(more, 0.3, 0)
    assert given.others is more.others
    assert (given.count, held.count) == (21, 9)
    assert set(more.arrays) - set(DATA.arrays) == {"others\nx"}
