"""Text of the IR: printing and parsing undo each other, to the last bit of a weight."""

from math import prod
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import ParseError

from cimc.ir.build import constant
from cimc.ir.graph import Graph
from cimc.ir.inline import LARGEST, beside
from cimc.ir.location import named
from cimc.ir.nn import ConstantOp
from cimc.ir.text import parse_graph, print_graph, print_sparse
from cimc.ir.weights import WeightStore

Array = NDArray[np.generic]
DTYPES = ("<f4", "<f8", "|i1", "|u1", "<i2", "<u2", "<i4", "<i8", "|b1")


def holding(array: Array, label: str = "y", place: str = "node") -> Graph:
    """Return a graph of one constant."""
    store = WeightStore()
    op = constant(store.add("w", array), label)
    op.location = named(place)
    return Graph(ModuleOp([op]), store)


def read_back(graph: Graph) -> Array:
    (op,) = graph.operations
    assert isinstance(op, ConstantOp)
    return graph.weights.get(op.value)


@given(st.sampled_from(DTYPES), st.binary(min_size=8, max_size=8 * LARGEST))
def test_a_small_weight_comes_back_bit_for_bit(dtype: str, content: bytes) -> None:
    size = np.dtype(dtype).itemsize
    array = np.frombuffer(content[: min(len(content), size * LARGEST) // size * size], dtype)
    graph = holding(array % 2 == 1 if dtype == "|b1" else array)
    again = parse_graph(print_graph(graph))
    assert read_back(again).tobytes() == read_back(graph).tobytes()
    assert print_graph(again) == print_graph(graph)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0, 5e-324, 0.1])
@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_no_number_is_too_odd(value: float, dtype: str) -> None:
    graph = holding(np.array(value, dtype))
    assert read_back(parse_graph(print_graph(graph))).tobytes() == read_back(graph).tobytes()


@pytest.mark.parametrize("shape", [(), (LARGEST,), (LARGEST + 1,), (5, 13)])
def test_the_text_or_the_file_beside_holds_a_weight(shape: tuple[int, ...]) -> None:
    graph = holding(np.zeros(shape, np.float32))
    inline = prod(shape) <= LARGEST
    assert ("#cim.inline<" in print_graph(graph)) is inline
    assert (beside(graph.weights) == {}) is inline


@pytest.mark.parametrize("label", ["y", "h_1", "0", "/conv/Conv_output", "x y"])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_a_text_leaves_out_is_filled_in(label: str, elsewhere: bool) -> None:
    graph = holding(np.ones(2, np.float32), label, "node" if elsewhere else label)
    sparse = print_sparse(graph)
    assert ("label" in sparse) is not label.startswith(("y", "h"))
    assert ("loc(" in sparse) is elsewhere
    assert print_graph(parse_graph(sparse)) == print_graph(graph)


def test_a_named_type_may_be_a_property() -> None:
    code = "!cim.code<8 : -127, 127, 0, 0.5>"
    facts = "code = !c0, model_shape = array<i64>, order = array<i64>"
    text = f'!c0 = {code}\n%x = "nn.input"() <{{{facts}}}> : () -> tensor<!c0>\n'
    assert print_sparse(parse_graph(text)) == text
    assert f"code = {code}" in print_graph(parse_graph(text))


def test_names_of_results_are_no_part_of_a_graph() -> None:
    text = print_graph(holding(np.ones(2, np.float32)))
    assert print_graph(parse_graph(text.replace("%0", "%other"))) == text


@pytest.mark.parametrize(
    ("elements", "fault"),
    [
        ('"<f4", "2", "1.0"', "1 elements, shape '2' wants 2"),
        ('"<f4", "2", "1.0 one"', "could not convert string to float: 'one'"),
        ('"<f4", "2", "1.0 0x123456789"', "int too big to convert"),
        ('"|i1", "1", "300"', "Python integer 300 out of bounds for int8"),
        ('"O", "1", "1"', "elements of type object cannot be written in text"),
        ('"no", "1", "1"', "data type 'no' not understood"),
        ('"<f4", "1x", "1"', "invalid literal for int"),
    ],
)
def test_a_weight_that_is_none_is_refused_at_its_place(elements: str, fault: str) -> None:
    with pytest.raises(ParseError, match=f"(?s)<ir>:1:32\n.*weight 'w': {fault}"):
        parse_graph(f'%y = "nn.constant"() <{{value = #cim.inline<"w", {elements}>}}> : () -> tensor<2xf32>')


@pytest.mark.parametrize("inside", ["a" * 1_000_000, "\\n" * 500_000, "a\\" * 100_000])
def test_a_string_without_an_end_is_refused_at_once(inside: str) -> None:
    started = process_time()
    with pytest.raises(ParseError, match="before closing string"):
        parse_graph(f'"nn.constant"() {{label = "{inside}')
    assert process_time() - started < 5
