"""Streams against a plain enumeration of the addresses that the manual gives."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.isa.byte_runs import TooManyRuns, byte_runs, intersect, overlaps_itself, same_elements
from cimc.isa.program import instruction
from cimc.isa.streams import Im2colWindow, StreamState, advanced, define, follow, with_window

TENSOR = instruction("tensor", stream=1, space="const", type="i16", base=8, shape=(1, 4, 5, 3), pitch=(60, 15, 3, 1))
COUNTS = st.integers(0, 4)
PITCHES = st.integers(-9, 9)
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
TENSORS = st.builds(
    StreamState,
    st.just("act"),
    st.sampled_from(["i8", "i16", "i32"]),
    st.integers(0, 50),
    st.tuples(COUNTS, COUNTS, COUNTS, COUNTS),
    st.tuples(PITCHES, PITCHES, PITCHES, PITCHES),
)
WINDOWS = st.builds(
    Im2colWindow, PAIRS, PAIRS, PAIRS, st.tuples(st.integers(-2, 3), st.integers(-2, 3)), PAIRS, st.just(0)
)


def _addresses(stream: StreamState) -> list[int]:
    return [stream.address(*index) for index in product(*map(range, stream.shape))]


def _bytes(stream: StreamState) -> list[int]:
    return [address + byte for address in _addresses(stream) for byte in range(stream.size)]


def _window_bytes(stream: StreamState, window: Im2colWindow) -> set[int]:
    touched = set()
    for y, x, i, j in product(
        range(window.out[0]), range(window.out[1]), range(window.kernel[0]), range(window.kernel[1])
    ):
        row = y * window.stride[0] - window.pad[0] + i * window.dilation[0]
        column = x * window.stride[1] - window.pad[1] + j * window.dilation[1]
        if 0 <= row < stream.shape[1] and 0 <= column < stream.shape[2]:
            touched |= {stream.address(0, row, column, d) for d in range(stream.shape[3])}
    return {address + byte for address in touched for byte in range(stream.size)}


def test_a_tensor_yields_vectors_of_its_last_axis() -> None:
    stream = define(TENSOR)
    assert (stream.space, stream.type, stream.vectors, stream.length, stream.elements) == ("const", "i16", 20, 3, 60)
    assert stream.extent() == (8, 128)


def test_a_window_yields_taps_by_channels() -> None:
    window = instruction(
        "window", stream=1, kernel=(3, 2), stride=(2, 1), dilation=(1, 1), pad=(1, 0), out=(2, 4), fill=-7
    )
    stream = with_window(define(TENSOR), window)
    assert (stream.vectors, stream.length, stream.elements) == (8, 18, 144)
    assert stream.window is not None
    assert (stream.window.taps, stream.window.fill) == (6, -7)


def test_advance_counts_elements() -> None:
    assert advanced(define(TENSOR), instruction("advance", stream=1, by=-3)).base == 2


def test_streams_follow_what_changes_them_and_nothing_else() -> None:
    window = instruction(
        "window", stream=1, kernel=(3, 2), stride=(2, 1), dilation=(1, 1), pad=(1, 0), out=(2, 4), fill=-7
    )
    streams = dict[int, StreamState]()
    for one in (TENSOR, window, instruction("advance", stream=1, by=2), instruction("fill", out=1, value=0)):
        follow(streams, one)
    assert streams == {1: advanced(with_window(define(TENSOR), window), instruction("advance", stream=1, by=2))}


def test_tensor_drops_the_window() -> None:
    assert define(TENSOR).window is None


@pytest.mark.parametrize(
    ("type_name", "low", "high"), [("i8", -128, 127), ("u16", 0, 65535), ("i64", -(2**63), 2**63 - 1)]
)
def test_limits_of_element_types(type_name: str, low: int, high: int) -> None:
    stream = StreamState("act", type_name, 0, (1, 1, 1, 1), (1, 1, 1, 1))
    assert (stream.lowest, stream.highest) == (low, high)


@given(TENSORS)
def test_extent_and_runs_are_the_bytes_of_the_elements(stream: StreamState) -> None:
    touched = set(_bytes(stream))
    assert stream.extent() == ((min(touched), max(touched) + 1) if touched else (stream.base, stream.base))
    assert {byte for start, end in byte_runs(stream) for byte in range(start, end)} == touched


@given(TENSORS, WINDOWS)
def test_extent_of_a_window_holds_every_tap(stream: StreamState, window: Im2colWindow) -> None:
    image = StreamState("act", stream.type, stream.base, (1, *stream.shape[1:]), stream.pitch, window)
    runs = {byte for start, end in byte_runs(image) for byte in range(start, end)}
    low, high = image.extent()
    assert _window_bytes(image, window) <= runs <= set(range(low, high))


@given(TENSORS)
def test_overlaps_are_found(stream: StreamState) -> None:
    assert overlaps_itself(stream) == (len(_bytes(stream)) != len(set(_bytes(stream))))


@given(TENSORS, TENSORS)
def test_intersections_are_found(first: StreamState, second: StreamState) -> None:
    assert intersect(byte_runs(first), byte_runs(second)) == bool(set(_bytes(first)) & set(_bytes(second)))


@given(TENSORS, TENSORS)
def test_same_elements_are_the_same(first: StreamState, second: StreamState) -> None:
    if same_elements(first, second):
        assert _bytes(first) == _bytes(second)
    assert same_elements(first, first)


def test_too_many_pieces_are_not_listed() -> None:
    with pytest.raises(TooManyRuns):
        byte_runs(StreamState("act", "i8", 0, (1, 2048, 2048, 1), (1, 8192, 2, 1)))


@given(*[st.tuples(st.integers(0, 3), st.integers(1, 3))] * 2, PAIRS, PAIRS, st.integers(-2, 3), st.integers(1, 6))
def test_touched_rows_are_those_of_taps_inside(
    kernel: tuple[int, int],
    out: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pad: int,
    size: int,
) -> None:
    window = Im2colWindow(kernel, stride, dilation, (pad, 0), out, 0)
    taps = [n * stride[0] - pad + k * dilation[0] for n in range(out[0]) for k in range(kernel[0])]
    first, last = max(min(taps, default=0), 0), min(max(taps, default=-1), size - 1)
    assert list(window.touched(0, size)) == list(range(first, last + 1))
