"""The weight store: arrays are kept in C order, whatever order theirs was."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from xdsl.dialects.builtin import StringAttr

from cimc.ir import cores
from cimc.ir.types import WeightRef
from cimc.ir.weights import Array, WeightStore


@pytest.mark.parametrize("large", [0, 1 << 24])
@pytest.mark.parametrize("shape", [(3, 300), (2, 3, 130), (0, 5), (5, 0), (1, 1)])
def test_arrays_are_kept_in_order_whatever_theirs_was(
    shape: tuple[int, ...], large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "LARGE_BYTES", large)
    straight = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    turned = np.asfortranarray(straight)
    store = WeightStore()
    kept = store.get(store.add("w", turned))
    assert kept.flags.c_contiguous and kept.dtype == np.float32
    np.testing.assert_array_equal(kept, straight)
    assert store.add("w", straight) is store.add("w", turned)


def test_what_nobody_can_change_is_put_in_order_when_it_is_read() -> None:
    fixed = np.arange(12.0).reshape(3, 4).copy()
    fixed.flags.writeable = False
    store = WeightStore()
    ref = store.add("w", fixed.T)
    assert np.shares_memory(store.view(ref), fixed) and not store.get(ref).flags.writeable
    assert store.get(ref) is store.get(ref) and store.get(ref).flags.c_contiguous
    np.testing.assert_array_equal(store.get(ref), fixed.T)


@pytest.mark.parametrize("seen", [lambda x: x.T, lambda x: np.broadcast_to(x[0], (3, 4))])
def test_what_can_be_changed_is_copied_as_it_is_added(seen: Callable[[Array], Array]) -> None:
    owner = np.arange(12.0).reshape(3, 4)
    store, wanted = WeightStore(), seen(owner).copy()
    ref = store.add("w", seen(owner))
    owner[:] = -1.0
    np.testing.assert_array_equal(store.get(ref), wanted)


@pytest.mark.parametrize("other", [np.append(np.zeros(2999), -0.0), np.zeros((3000, 1)), np.zeros(3000, np.int64)])
def test_other_bytes_shapes_and_types_have_names_of_their_own(other: Array) -> None:
    store = WeightStore()
    first, again = (store.add("w", np.zeros(3000)) for _ in range(2))
    assert first is again and store.add("w", other).key.data == "w.1"


def test_references_of_a_text_are_held_to_what_it_states() -> None:
    store = WeightStore()
    ref = store.add("w", np.zeros((2, 3), np.float32))
    stated = store.stated(ref)
    assert store.check(ref) is None and store.check(stated) is None and stated.digest.data == store.digest(ref)
    other = WeightStore().add("w", np.zeros((3, 2), np.float32))
    assert store.check(other) == "weight 'w' is <f4[2x3], the IR wants <f4[3x2]"
    wrong = WeightRef(ref.key, ref.dtype, ref.shape, StringAttr("0"))
    assert store.check(wrong) == f"weight 'w' has hash {store.digest(ref)}, the IR wants 0"
    store.keep(set())
    assert store.check(stated) == "weight 'w' is not in the weight store" and store.stated(ref) is ref
