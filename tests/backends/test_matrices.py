"""matmul, norm, embed and select, on both interpreters."""

from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.backends.interpreter import Interpreter
from cimc.backends.plan.executor import MOST_IMAGES, images_in_cache
from cimc.backends.plan.matrices import square_roots

WIDE = {"low": -(2**32), "high": 2**32 - 1}


def test_matmul_repeats_a_matrix_of_pitch_zero(new, written):
    sketch = new().data(0, [1, 2, 3, 4, 5, 6, 7, 8], (1, 2, 2, 2)).tensor(2, (1, 2, 2, 1), type="i16")
    sketch.tensor(1, (1, 2, 1, 2), sketch.table([10, 20], "i8"), space="const", pitch=(0, 0, 2, 1))
    sketch.put("matmul", a=0, b=1, out=2, za=1, zb=10, m=3, bias=1, shift=0, **WIDE)
    assert written(sketch) == [3 * 10 * v + 1 for v in (1, 3, 5, 7)]


def test_matmul_rounds_half_to_even_and_clamps(new, written):
    sketch = new().data(0, [1, 3, 5, 100], (4, 1)).data(1, [1], (1, 1)).tensor(2, (4, 1))
    assert written(sketch.put("matmul", a=0, b=1, out=2, za=0, zb=0, m=1, bias=0, shift=1, low=-9, high=9)) == [
        0,
        2,
        2,
        9,
    ]


@pytest.mark.parametrize("type_name", ["i16", "i32", "i64"])
def test_matmul_of_wide_elements_is_exact(new, written, type_name):
    sketch = new().data(0, [2**14 + 1, 1], (1, 2), type_name).data(1, [2**14 - 1, 2], (1, 2), type_name)
    sketch.tensor(2, (1, 1), type="i64").put("matmul", a=0, b=1, out=2, za=0, zb=0, m=7, bias=3, shift=0, **WIDE)
    assert written(sketch) == [(2**28 - 1 + 2) * 7 + 3]


def test_matmul_traps_where_shapes_or_sums_do_not_fit(new, trapped):
    sketch = new().data(0, [1, 2], (1, 2)).data(1, [1, 2], (2, 1)).tensor(2, (1, 2), type="i64")
    numbers = {"za": 0, "zb": 0, "m": 1, "bias": 0, "shift": 0, **WIDE}
    assert trapped(sketch.put("matmul", a=0, b=1, out=2, **numbers)) == "CIM0505"
    sketch = new().data(0, [2**60], (1, 1), "i64").data(1, [1], (1, 1)).tensor(2, (1, 1), type="i64")
    assert trapped(sketch.put("matmul", a=0, b=1, out=2, **numbers)) == "CIM0515"
    sketch = new().data(0, [1] * 4, (2, 2, 1)).window(0, (1, 1), (2, 2)).data(1, [1], (1, 1)).tensor(2, (4, 1))
    assert trapped(sketch.put("matmul", a=0, b=1, out=2, **numbers)) == "CIM0504"


def norm(sketch, epsilon, scale, bias, **operands):
    tables = {"epsilon": sketch.table([epsilon], "i64"), "scale": sketch.table(scale, "i32")}
    return sketch.put("norm", in_=0, out=1, **tables, bias=sketch.table(bias, "i64"), **operands)


def test_norm_about_the_mean(new, written):
    sketch = new().data(0, [3, 5, 7, 9, 9, 9], (2, 3)).tensor(1, (2, 3), type="i32")
    norm(sketch, 0, [1, 1, 2], [0, 10, 0], centre="mean", zero=4, fraction=0, shift=0, **WIDE)
    # 2 / sqrt(8/3) in units of 2^-16, and a vector without variance
    assert written(sketch) == [-80265, 10, 160530, 0, 10, 0]


def test_norm_about_zero_takes_epsilon_in(new, written):
    sketch = new().data(0, [3, 5], (1, 2)).tensor(1, (1, 2), type="i32")
    # W = 2 * (4 + 16) * 4 + 176
    norm(sketch, 4 * (4 * 16 - 20), [1, 1], [0, 0], centre="zero", zero=1, fraction=1, shift=0, **WIDE)
    assert written(sketch) == [round(4 * 2**16 / 84**0.5), round(8 * 2**16 / 84**0.5)]


def test_norm_takes_its_root_with_as_many_bits_as_fit(new, written):
    """W is 2 (113^2 + 110^2): with one bit less under the root the second element would be one more."""
    sketch = new().data(0, [113, 110], (1, 2)).tensor(1, (1, 2), type="i32")
    norm(sketch, 0, [1, 1], [0, 0], centre="zero", zero=0, fraction=0, shift=0, **WIDE)
    assert written(sketch) == [66412, 64648]


@pytest.mark.parametrize(("fraction", "dtype"), [(14, np.int64), (15, object)])
def test_norm_is_in_64_bits_up_to_roots_of_62(new, fraction, dtype):
    """Two elements of up to 2^15: the square of twice that, with twice the fraction's bits, is 2^60, then 2^62."""
    sketch = new().data(0, [1, -1], (2,), "i16").tensor(1, (2,))
    norm(sketch, 0, [1, 1], [0, 0], centre="mean", zero=0, fraction=fraction, shift=0, **WIDE)
    assert Interpreter(sketch.program())._plan.steps[0].action.compute.dtype == dtype


def test_norm_of_single_elements_is_one_or_nothing(new, written):
    """W is 1 at both ends of its least: where the square of one element is, and where there would be none."""
    sketch = new().data(0, [1, -1, 0], (3, 1)).tensor(1, (3, 1), type="i32")
    norm(sketch, 0, [1], [0], centre="zero", zero=0, fraction=0, shift=0, **WIDE)
    assert written(sketch) == [2**16, -(2**16), 0]


@given(st.integers(1, 2**31 - 1))
def test_square_roots_beside_squares_are_exact(root):
    values = [root**2 - 1, root**2, root**2 + 1, root * (root + 1), 2**62 - root]
    assert square_roots(np.array(values)).tolist() == [isqrt(value) for value in values]


@pytest.mark.parametrize(
    ("code", "zero", "fraction", "epsilon"),
    [(32767, -32768, 15, 0), (32767, 0, 15, 2**62), (1, 0, 0, 2**63 - 1)],
    ids=["zero point", "both", "epsilon"],
)
def test_sums_under_the_root_beyond_64_bits_trap(new, trapped, code, zero, fraction, epsilon):
    """In 64 bits these sums would be negative, and no vector has a smaller one than 1."""
    sketch = new().data(0, [code, code], (1, 2), "i16").tensor(1, (1, 2), type="i64")
    facts = {"centre": "zero", "zero": zero, "fraction": fraction, "shift": 0}
    assert trapped(norm(sketch, epsilon, [1, 1], [0, 0], **facts, **WIDE)) == "CIM0515"


def test_one_vector_of_two_is_enough_to_trap(new, trapped):
    sketch = new().data(0, [1, 2**31], (2, 1), "i64").tensor(1, (2, 1), type="i64")
    facts = {"centre": "zero", "zero": 0, "fraction": 0, "shift": 0, **WIDE}
    assert trapped(norm(sketch, 0, [1], [0], **facts)) == "CIM0515"


def test_chunks_are_as_small_as_the_longest_result_wants(new):
    sketch = new(1 << 16).data(0, [1] * 256, (256, 1)).tensor(1, (256, 256), type="i8")
    sketch.put("matmul", a=0, b=0, out=1, za=0, zb=0, m=1, bias=0, shift=0, low=-9, high=9)
    assert Interpreter(sketch.program()).chunk == images_in_cache(256 * 256) < MOST_IMAGES
    sketch = new(1 << 16).data(0, [0] * 8, (8,)).tensor(1, (8, 8192))
    sketch.put("embed", in_=0, out=1, table=sketch.table([1] * 8192, "i8"), type="i8", first=0, rows=1)
    assert Interpreter(sketch.program()).chunk == images_in_cache(8 * 8192) < MOST_IMAGES


def test_norm_traps(new, trapped):
    operands = {"centre": "zero", "zero": 0, "fraction": 0, "shift": 0, **WIDE}
    sketch = new().data(0, [2**31], (1, 1), "i64").tensor(1, (1, 1), type="i64")
    assert trapped(norm(sketch, 0, [1], [0], **operands)) == "CIM0515"
    sketch = new().data(0, [1], (1, 1)).tensor(1, (1, 1), type="i64")
    assert trapped(norm(sketch, -1, [1], [0], **operands)) == "CIM0517"


def test_embed_copies_rows(new, written):
    sketch = new().data(0, [5, 7, 5], (3,)).tensor(1, (3, 2), type="i16")
    table = sketch.table([1, 2, 3, 4, 500, 600], "i16")
    assert written(sketch.put("embed", in_=0, out=1, table=table, type="i16", first=5, rows=3)) == [
        1,
        2,
        500,
        600,
        1,
        2,
    ]


@pytest.mark.parametrize("code", [4, 8])
def test_embed_traps_beyond_the_table(new, trapped, code):
    sketch = new().data(0, [5, code], (2,)).tensor(1, (2, 2))
    table = sketch.table(range(6), "i8")
    assert trapped(sketch.put("embed", in_=0, out=1, table=table, type="i8", first=5, rows=3)) == "CIM0518"


def test_select(new, written):
    sketch = new().data(0, [0, 1, 2, -1], (4,)).data(1, [1, 2, 3, 4], (4,)).data(2, [300] * 4, (4,), "i16")
    sketch.tensor(3, (4,), type="i16").put("select", c=0, a=1, b=2, out=3, zero=1)
    assert written(sketch) == [1, 300, 3, 4]


def test_select_traps_where_a_choice_does_not_fit(new, trapped):
    sketch = new().data(0, [0], (1,)).data(1, [1], (1,)).data(2, [300], (1,), "i16").tensor(3, (1,))
    assert trapped(sketch.put("select", c=0, a=1, b=2, out=3, zero=0)) == "CIM0506"
