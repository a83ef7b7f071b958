"""What kernels are told: rectangles that hold what a stream reads, digits of variances, and which form a step takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.backends.interpreter import on_processor
from cimc.backends.kernels.layout import even_step, rectangle
from cimc.backends.reference.memory import Memory
from cimc.isa.author import Author
from cimc.isa.streams import Im2colWindow, StreamState

pytestmark = pytest.mark.skipif(not on_processor()[1:], reason="the kernels were not built")
COMPILED = on_processor()[1:]
BYTES = np.random.default_rng(0).integers(-128, 128, 4096).astype(np.int8).tobytes()


@st.composite
def windows(draw: st.DrawFn) -> StreamState:
    """A window over a tensor with gaps between its rows and elements."""
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    shape = (1, draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 3)))
    across = shape[3] + draw(st.integers(0, 2))
    pitch = (0, across * shape[2] + draw(st.integers(0, 3)), across, 1)
    pad = (draw(st.integers(-1, 2)), draw(st.integers(-1, 2)))
    window = Im2colWindow(draw(pairs), draw(pairs), draw(pairs), pad, draw(pairs), draw(st.integers(-9, 9)))
    return StreamState("const", draw(st.sampled_from(["i8", "u8", "i16"])), 64, shape, pitch, window)


@st.composite
def tensors(draw: st.DrawFn) -> StreamState:
    """A plain tensor of any distances, most of them joining with their neighbours."""
    shape = tuple(draw(st.integers(1, 4)) for _ in range(4))
    pitch, dense = list[int](), 1
    for count in reversed(shape):
        pitch.insert(0, draw(st.sampled_from([dense, dense, dense, 0, 1, 7, -3])))
        dense = pitch[0] * count
    return StreamState("const", "i8", 2000, shape, tuple(pitch))  # type: ignore[arg-type]


def read(state: StreamState) -> list[list[int]]:
    """Return the vectors of a stream, element by element, by the reference."""
    sketch = Author({})
    assert sketch.table(np.frombuffer(BYTES, np.int8), "i8") == 0
    return Memory(sketch.program()).read(state)


def held(state: StreamState) -> list[list[int]] | None:
    """Return the vectors that a kernel makes of a stream's rectangle, None where it has none."""
    found = rectangle(state, np.frombuffer(BYTES, np.uint8))
    if found is None:
        return None
    source, dtype = found.source, np.dtype({"i8": "i1", "u8": "u1", "i16": "<i2"}[state.type])
    cells = np.full((*source.size, source.count[2]), source.fill, np.int64)
    for at in np.ndindex(*source.count):
        byte = source.base + sum(n * pitch for n, pitch in zip(at, source.pitch, strict=True))
        cells[at[0] + source.first[0], at[1] + source.first[1], at[2]] = np.frombuffer(BYTES, dtype, 1, byte)[0]
    assert cells.size == found.size
    return cells.ravel()[found.places[:, None] + found.elements].tolist()


@given(windows())
def test_a_rectangle_holds_what_a_window_reads(state: StreamState) -> None:
    assert held(state) == read(state)


@given(tensors())
def test_a_rectangle_holds_what_a_tensor_reads(state: StreamState) -> None:
    vectors = held(state)
    assert vectors is None or vectors == read(state)
    assert vectors is not None or sum(count > 1 for count in state.shape) > 2


@given(tensors(), st.integers(1, 6))
def test_evenly_spaced_results_lie_where_the_stream_says(state: StreamState, columns: int) -> None:
    step = even_step(state, columns)
    places = [state.address(*at) - state.base for at in np.ndindex(*state.shape)]
    if step is not None and state.elements % columns == 0 and (len(places) == columns or columns > 1):
        assert places == [n // columns * step + n % columns for n in range(len(places))]
    if step is not None and columns == 1:
        assert places == [n * step for n in range(len(places))]
