"""Ports: real numbers to codes in memory order, and back."""

import numpy as np
import pytest

from cimc.backends.machine.ports import PortError, dequantise, quantise
from cimc.isa.program import Port

IMAGE = Port("x", 0, "i8", (2, 3, 4), (4, 2, 3), (1, 2, 0), 0.5, 3, -100, 100)


def test_codes_lie_in_memory_order():
    real = np.arange(24, dtype=np.float32).reshape(1, 4, 2, 3)
    codes = quantise(IMAGE, real)
    assert codes.shape == (1, 2, 3, 4)
    assert codes.dtype == np.int8
    assert codes[0, 1, 2, 3] == round(float(real[0, 3, 1, 2]) / 0.5) + 3


def test_codes_come_back_as_model_values():
    real = np.arange(48, dtype=np.float32).reshape(2, 4, 2, 3) / 2
    assert dequantise(IMAGE, quantise(IMAGE, real)).tolist() == real.tolist()
    assert dequantise(IMAGE, quantise(IMAGE, real)).dtype == np.float32


def test_codes_are_rounded_half_to_even_and_clipped():
    port = Port("x", 0, "u8", (5,), (5,), (0,), 1.0, 10, 2, 20)
    assert quantise(port, np.array([[0.5, 1.5, -0.5, 1e30, -1e30]])).tolist() == [[10, 12, 10, 20, 2]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_has_no_code(bad):
    real = np.zeros((3, 4, 2, 3))
    real[2, 0, 0, 0] = bad
    with pytest.raises(PortError, match=r"CIM0552.*sample 2"):
        quantise(IMAGE, real)


@pytest.mark.parametrize("shape", [(4, 2, 3), (1, 2, 3, 4), (1, 24), ()])
def test_wrong_shapes(shape):
    with pytest.raises(PortError, match="CIM0551"):
        quantise(IMAGE, np.zeros(shape))


def test_a_scalar_port_and_a_memory_shape_that_is_flat():
    port = Port("y", 0, "i16", (6,), (2, 3), (1, 0), 1.0, 0, -32768, 32767)
    codes = quantise(port, np.arange(6.0).reshape(1, 2, 3))
    assert codes.tolist() == [[0, 3, 1, 4, 2, 5]]
    assert dequantise(port, codes).tolist() == [[[0, 1, 2], [3, 4, 5]]]
    scalar = Port("s", 0, "i8", (), (), (), 1.0, 0, -127, 127)
    assert dequantise(scalar, quantise(scalar, np.array([3.0]))).tolist() == [3.0]
