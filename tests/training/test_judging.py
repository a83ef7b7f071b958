"""How far the outputs of two networks lie apart, for any scores of classes."""

import numpy as np
import pytest

pytest.importorskip("jax", reason="the extra `train` is not installed")

from cimc.training.judging import divergence


@pytest.mark.parametrize("apart", [1.0, 50.0, 200.0, 1e4])
def test_shares_that_no_float_holds_count(apart: float) -> None:
    """Networks without a softmax give scores that lie hundreds apart: as shares, float32 has 0 for them."""
    wanted, given = np.array([[apart, 0.0]], np.float32), np.array([[0.0, apart]], np.float32)
    share = 1 / (1 + np.exp(-apart))
    assert divergence(wanted, given) == pytest.approx(apart * (2 * share - 1), rel=1e-5)
    assert divergence(wanted, wanted) == 0.0


def test_it_is_that_of_the_shares() -> None:
    rng = np.random.default_rng(0)
    wanted, given = rng.normal(size=(2, 20, 5))
    shares = [np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True) for scores in (wanted, given)]
    assert divergence(wanted, given) == pytest.approx((shares[0] * np.log(shares[0] / shares[1])).sum(axis=1).mean())
