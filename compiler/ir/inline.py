"""Small weights in IR text itself: an attribute that holds every element, to the bit."""

from math import prod
from typing import Any

import numpy as np
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import ParametrizedAttribute
from xdsl.irdl import irdl_attr_definition

from cimc.ir.types import WeightRef, dims_of
from cimc.ir.weights import Array, WeightStore

LARGEST = 64
"""Elements of a weight that still stands inline: a bias or a small kernel, so that a line stays readable."""


@irdl_attr_definition
class InlineWeight(ParametrizedAttribute):
    """A weight in text: name, numpy dtype, shape, and the elements in row-major order with blanks between.

    An element is a decimal number, or its bits as 0x... where no decimal number gives them (NaN, infinities).
    """

    name = "cim.inline"
    key: StringAttr
    dtype: StringAttr
    shape: StringAttr
    elements: StringAttr

    @property
    def array(self) -> Array:
        """The elements as an array. Raises ValueError, OverflowError or TypeError where the text is none."""
        dtype, dims, words = np.dtype(self.dtype.data), dims_of(self.shape.data), self.elements.data.split()
        if dtype.kind not in "biuf":
            raise ValueError(f"elements of type {dtype} cannot be written in text")
        if len(words) != prod(dims):
            raise ValueError(f"{len(words)} elements, shape {self.shape.data!r} wants {prod(dims)}")
        return np.array([_read(word, dtype) for word in words], dtype).reshape(dims)


def inlined(ref: WeightRef, weights: WeightStore) -> InlineWeight | None:
    """Return a reference's weight as it stands inline; None where it is large or not in the store."""
    if weights.check(ref) is not None or weights.get(ref).size > LARGEST:
        return None
    elements = " ".join(_spelt(element) for element in weights.get(ref).reshape(-1))
    return InlineWeight(ref.key, ref.dtype, ref.shape, StringAttr(elements))


def beside(weights: WeightStore) -> dict[str, Array]:
    """Return the arrays that are too large to stand inline, by name."""
    arrays = {key: weights.array(key) for key in sorted(weights.names())}
    return {key: array for key, array in arrays.items() if array.size > LARGEST}


def _spelt(element: Any) -> str:
    """Return the shortest decimal number of an element where it reads back to the same bits, else its bits."""
    word = str(element)
    if element.dtype.kind != "b" and np.isfinite(element) and _read(word, element.dtype).tobytes() == element.tobytes():
        return word
    return f"0x{element.tobytes()[::-1].hex()}"


def _read(word: str, dtype: np.dtype[Any]) -> Any:
    if word.startswith("0x"):
        return np.frombuffer(int(word, 16).to_bytes(dtype.itemsize, "little"), dtype)[0]
    return np.array(float(word) if dtype.kind == "f" else int(word), dtype)[()]
