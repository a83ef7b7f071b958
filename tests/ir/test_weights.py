"""The weight store: arrays are kept in C order, whatever order theirs was."""

import math

import numpy as np
import pytest

from cimc.ir.weights import WeightStore


@pytest.mark.parametrize("shape", [(3, 300), (2, 3, 130), (0, 5), (5, 0), (1, 1)])
def test_arrays_are_kept_in_order_whatever_theirs_was(shape: tuple[int, ...]) -> None:
    straight = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    turned = np.asfortranarray(straight)
    store = WeightStore()
    kept = store.get(store.add("w", turned))
    assert kept.flags.c_contiguous and kept.dtype == np.float32
    np.testing.assert_array_equal(kept, straight)
    assert store.add("w", straight).digest == store.add("w", turned).digest
