"""`xbar.mvm` bit for bit against int64, at every optimisation level of onnxruntime."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import S8, at_every_level, codes, one, run_one
from evaluate.integers import half_even, patches
from numpy.typing import NDArray

from cimc.ir import xbar
from cimc.ir.types import CodeType
from cimc.isa.errors import CimcError

Array = NDArray[Any]
U8 = codes(0, 255, 9)
I16 = codes(-32768, 32767, 5)
TINY = codes(-7, 7)


@dataclass(frozen=True)
class Layer:
    """Parameters of an mvm; cuts are of rows, ends left out."""

    shape: tuple[int, ...]
    group: int = 1
    cols: int = 5
    window: tuple[int, ...] = ()
    cuts: tuple[int, ...] = ()
    code: CodeType = S8
    largest: int = 508
    adc: tuple[int, int, int, int] = (40000, 24, -127, 127)
    shift: int = 12
    scales: int = 3000
    offsets: int = 1 << 18
    phases: int = 1

    @property
    def rows(self) -> int:
        taps = self.window[0] * self.window[1] if self.window else 1
        return self.shape[-1] * taps // self.group

    @property
    def lead(self) -> tuple[int, ...]:
        return self.window[8:] if self.window else self.shape[:-1]

    def constants(self) -> tuple[Array, Array, Array]:
        """Return conductance, scale and offset."""
        rng = np.random.default_rng(1)
        g = rng.integers(-self.largest, self.largest + 1, (self.group, self.rows, self.cols)).astype(np.int16)
        scale = rng.integers(-self.scales, self.scales, (self.group, len(self.cuts) + 1, self.cols)).astype(np.int32)
        return g, scale, rng.integers(-self.offsets, self.offsets, self.group * self.cols)

    def graph(self) -> Any:
        g, scale, offset = self.constants()
        names = ("adc_multiplier", "adc_shift", "adc_low", "adc_high")
        properties: dict[str, Any] = dict(zip(names, self.adc, strict=True))
        properties |= {
            "window": self.window or None,
            "row_cuts": (0, *self.cuts, self.rows),
            "col_cuts": (0, self.cols),
        }
        properties |= {
            "conductance": g,
            "scale": scale,
            "offset": offset,
            "shift": self.shift,
            "low": -100,
            "high": 120,
            "read_phases": None if self.phases == 1 else self.phases,
        }
        out = (*self.lead, self.group * self.cols)
        return one(xbar.MvmOp, [(self.shape, self.code)], out, S8, **properties)

    def expected(self, x: Array) -> Array:
        g, scale, offset = self.constants()
        multiplier, shift, low, high = self.adc
        lead = (len(x), *self.lead)
        vectors = patches(x, self.window, self.code.zero.data) if self.window else x[..., None, :]
        vectors = vectors.reshape(*lead, -1, self.group, self.shape[-1] // self.group)
        vectors = np.moveaxis(vectors, -2, -3).reshape(*lead, self.group, self.rows)
        total = offset.reshape(self.group, self.cols)
        edges = (0, *self.cuts, self.rows)
        for t, (first, last) in enumerate(pairwise(edges)):
            for sign, inputs, block in in_phases(self.phases, vectors[..., first:last], g[:, first:last]):
                sums = np.einsum("...gr,grc->...gc", inputs, block)
                total = total + sign * np.clip(half_even(sums * multiplier, shift), low, high) * scale[:, t]
        return np.clip(half_even(total, self.shift), -100, 120).reshape(*lead, self.group * self.cols)


def in_phases(count: int, x: Array, g: Array) -> list[tuple[int, Array, Array]]:
    """Return sign, inputs and conductances of each read phase."""
    g = g.astype(np.int64)
    if count == 1:
        return [(1, x, g)]
    signs = [(1, np.maximum(x, 0)), (-1, np.maximum(-x, 0))]
    sides = [(1, g)] if count == 2 else [(1, np.maximum(g, 0)), (-1, np.maximum(-g, 0))]
    return [(a * b, inputs, side) for a, inputs in signs for b, side in sides]


LAYERS = {
    "dense": Layer((40,)),
    "dense on the last axis": Layer((2, 3, 40)),
    "dense in blocks": Layer((100,), cuts=(33, 66)),
    "dense in groups": Layer((3, 40), group=4, cols=2),
    "pointwise": Layer((4, 5, 8), window=(1, 1, 1, 1, 1, 1, 0, 0, 4, 5)),
    "padding with a zero point": Layer((5, 6, 4), window=(3, 3, 1, 1, 1, 1, 1, 1, 5, 6), code=U8),
    "strides and dilation": Layer((9, 8, 4), window=(3, 2, 2, 3, 2, 1, 1, 0, 3, 3), code=U8, cuts=(7, 16)),
    "window smaller than the tensor": Layer((9, 8, 4), window=(2, 2, 2, 2, 1, 1, 0, 0, 2, 3)),
    "one position": Layer((5, 6, 4), window=(3, 3, 1, 1, 2, 2, 1, 1, 1, 1), code=U8),
    "groups in blocks": Layer((5, 6, 8), window=(3, 3, 2, 1, 1, 1, 1, 1, 3, 6), group=4, cols=3, cuts=(10,), code=U8),
    "block-diagonal depthwise": Layer((5, 6, 8), window=(3, 3, 1, 1, 1, 1, 1, 1, 5, 6), group=8, cols=1),
    "double": Layer((64,), code=I16, largest=2000, adc=(40000, 40, -127, 127)),
    "double in groups and blocks": Layer(
        (3, 128), group=2, cuts=(20,), code=I16, largest=2000, adc=(65535, 40, -300, 300)
    ),
    "ties at the ADC": Layer((4,), cols=40, code=TINY, largest=3, adc=(1, 1, -40, 40), shift=0, scales=4, offsets=9),
    "ties at the epilogue": Layer(
        (4,), cols=40, code=TINY, largest=3, adc=(1, 0, -90, 90), shift=1, scales=4, offsets=9
    ),
    "two phases": Layer((100,), cuts=(33,), phases=2),
    "four phases in groups": Layer((3, 40), group=4, cols=2, adc=(40000, 24, 0, 255), phases=4),
    "four phases that clip": Layer((5, 6, 4), window=(3, 3, 1, 1, 1, 1, 1, 1, 5, 6), adc=(60000, 22, 0, 255), phases=4),
    "four phases without negative codes": Layer((64,), code=codes(0, 127), adc=(40000, 27, 0, 255), phases=4),
    "wide ADC that never clips": Layer((64,), adc=(1 << 15, 15, -(1 << 31), (1 << 31) - 1), shift=28),
}


@pytest.mark.parametrize("name", LAYERS)
def test_mvm(name: str) -> None:
    layer = LAYERS[name]
    x = np.random.default_rng(0).integers(layer.code.low.data, layer.code.high.data + 1, (6, *layer.shape))
    x[0], x[1] = layer.code.low.data, layer.code.high.data
    wanted = layer.expected(x)
    assert len(np.unique(wanted)) > 5
    for found in [
        *at_every_level(layer.graph(), x - layer.code.zero.data),
        run_one(layer.graph(), x - layer.code.zero.data),
    ]:
        np.testing.assert_array_equal(found, wanted)


def test_simulated_mvm_is_real_arithmetic() -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.integers(0, 256, (3, 5, 6, 4)), rng.normal(size=(2, 18, 3)), rng.normal(size=6)
    window = (3, 3, 2, 1, 1, 1, 1, 1, 3, 6)
    code, out = codes(0, 255, 9, 0.1), codes(-127, 127, 1, 0.3)
    properties = {"window": window, "weight": weight.astype(np.float32), "bias": bias, "low": 1, "high": 90}
    graph = one(xbar.MvmOp, [((5, 6, 4), code)], (3, 6, 6), out, **properties)
    vectors = (
        patches(x - 9, window, 0).reshape(3, 3, 6, 9, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(3, 3, 6, 2, 18) * 0.1
    )
    real = np.einsum("...gr,grc->...gc", vectors, weight).reshape(3, 3, 6, 6) + bias
    wanted = np.clip(np.rint(real / 0.3) + 1, 1, 90)
    found = run_one(graph, (x - 9) * 0.1)
    assert np.abs(found - wanted).max() <= 1 and (found == wanted).mean() > 0.99


def test_bounds_name_the_layer() -> None:
    with pytest.raises(CimcError, match=r"error\[CIM0304\] node 'y' \(xbar.mvm\): in 'y', the array sum can reach"):
        run_one(Layer((512,), code=I16, largest=32767).graph(), np.zeros((1, 512)))
    with pytest.raises(CimcError, match="the accumulator can reach"):
        heavy = one(
            xbar.MvmOp, [((8,), S8)], (1,), S8, low=-1, high=1, conductance=np.ones((1, 8, 1), np.int16), shift=3,
            adc_multiplier=1, adc_shift=0, adc_low=-8, adc_high=7, scale=np.ones((1, 1, 1)), offset=np.array([1 << 52]),
        )  # fmt: skip
        run_one(heavy, np.zeros((1, 8)))


def test_a_half_described_mvm_is_refused() -> None:
    graph = one(xbar.MvmOp, [((8,), S8)], (1,), S8, low=-1, high=1, conductance=np.ones((1, 8, 1), np.int16))
    with pytest.raises(CimcError, match="the mvm of 'y' is half described"):
        run_one(graph, np.zeros((1, 8)))
