"""The check, before a device is used, that it computes as the number rules say."""

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimc.backends.machine.traps import Refusal
from cimc.backends.torch_device.exact import product, square_root

Array = NDArray[Any]
ROWS, COLUMNS = 1023, 64
CASES = ((np.float32, 127, 129, 4095), (np.float64, (1 << 20) - 1, (1 << 21) - 1, (1 << 26) - 1))
"""Type, largest factors of sums over ROWS that stay just below its bound, largest factor of a single product."""


def require_exact(device: torch.device) -> None:
    """Raise Refusal CIM0542 unless a device multiplies integers within the bounds exactly, and rounds roots correctly.

    The single products have more digits than TF32 or bfloat16 hold. Settings may change, so every interpreter asks.
    """

    def moved(values: Array) -> Tensor:
        return torch.tensor(values).to(device)

    for left, right, wanted in _products():
        found = product(moved(left), moved(right)).cpu().numpy()
        _require(np.array_equal(found, wanted), device, f"a {left.dtype} product")
    squares = np.random.default_rng(0).integers(0, 1 << 53, 1 << 12).astype(np.float64)
    roots = square_root(moved(squares)).cpu().numpy()
    _require(np.array_equal(roots, np.sqrt(squares)), device, "a square root")


@cache
def _products() -> tuple[tuple[Array, Array, Array], ...]:
    """Return factors in the types to be checked, and their products in integers."""
    pairs = [(kind, *pair) for kind, a, b, wide in CASES for pair in (_sums(a, b), _single_products(wide))]
    return tuple((left.astype(kind), right.astype(kind), left @ right) for kind, left, right in pairs)


def _sums(a: int, b: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return two matrices of factors up to a and b; the first sum of their product is the largest there can be."""
    rng = np.random.default_rng(1)
    left = rng.integers(-a, a, (COLUMNS, ROWS), endpoint=True)
    right = rng.integers(-b, b, (ROWS, COLUMNS), endpoint=True)
    left[0], right[:, 0] = a, b
    return left, right


def _single_products(wide: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return two matrices whose product holds single products of factors of as many digits as `wide`."""
    rng = np.random.default_rng(2)
    left, right = np.zeros((COLUMNS, ROWS), np.int64), rng.integers(wide // 2, wide, (ROWS, COLUMNS), endpoint=True)
    left[np.arange(COLUMNS), rng.integers(0, ROWS, COLUMNS)] = rng.integers(wide // 2, wide, COLUMNS, endpoint=True)
    return left, right


def _require(equal: bool, device: torch.device, what: str) -> None:
    if not equal:
        hint = "switch TF32 and emulated precision off, or use --device cpu"
        raise Refusal("CIM0542", f"{what} on {device} is not what the number rules ask for", hint)
