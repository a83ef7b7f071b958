"""Streams, windows, loops and moves, on both interpreters."""


def test_dense_stream_yields_memory_order(new, written):
    assert written(new().data(0, range(6), (2, 3)).tensor(1, (2, 3)).put("move", in_=0, out=1)) == [0, 1, 2, 3, 4, 5]


def test_pitch_transposes(new, written):
    sketch = new().data(0, range(6), (2, 3)).tensor(0, (3, 2), space="const", pitch=(0, 0, 1, 3))
    assert written(sketch.tensor(1, (6,)).put("move", in_=0, out=1)) == [0, 3, 1, 4, 2, 5]


def test_negative_pitch_reverses(new, written):
    sketch = new().data(0, range(4), (4,)).tensor(0, (4,), 3, space="const", pitch=(0, 0, 0, -1))
    assert written(sketch.tensor(1, (4,)).put("move", in_=0, out=1)) == [3, 2, 1, 0]


def test_pitch_zero_repeats_on_reading(new, written):
    sketch = new().data(0, [7, 8], (2,)).tensor(0, (3, 2), space="const", pitch=(0, 0, 0, 1))
    assert written(sketch.tensor(1, (6,)).put("move", in_=0, out=1)) == [7, 8, 7, 8, 7, 8]


def test_the_last_of_several_writes_to_one_address_stays(new, written):
    sketch = (
        new().data(0, [1, 2, 3, 4, 5, 6], (2, 3)).tensor(1, (2, 3), 4, pitch=(0, 0, 1, 1)).put("move", in_=0, out=1)
    )
    assert written(sketch.tensor(2, (4,), 4).tensor(3, (4,), 32).put("move", in_=2, out=3)) == [1, 4, 5, 6]


def test_all_inputs_are_read_before_any_output_is_written(new, written):
    sketch = new().data(0, [1, 2, 3, 4], (4,)).tensor(1, (4,)).put("move", in_=0, out=1)
    sketch.tensor(2, (3,), 1).put("move", in_=1, out=1).tensor(1, (3,)).put("move", in_=1, out=2)
    assert written(sketch.tensor(3, (4,), 32).tensor(1, (4,)).put("move", in_=1, out=3)) == [1, 1, 2, 3]


def test_element_types_keep_their_values(new, written):
    for type_name, values in {"u8": [0, 255], "i16": [-32768, 7], "u16": [65535, 1], "i32": [-(2**31), 9]}.items():
        sketch = new().data(0, values, (2,), type_name).tensor(1, (2,), 3, type="i64").put("move", in_=0, out=1)
        assert written(sketch) == values


def test_unwritten_memory_is_zero(new, written):
    assert written(new().tensor(0, (2,)).tensor(1, (2,), 8).put("move", in_=0, out=1)) == [0, 0]


def test_window_with_padding_stride_and_dilation(new, written):
    sketch = new().data(0, range(1, 10), (3, 3, 1))
    sketch.window(0, (2, 2), (2, 2), stride=(1, 2), dilation=(2, 1), pad=(1, 1), fill=-9).tensor(1, (4, 4))
    assert written(sketch.put("move", in_=0, out=1)) == [-9, -9, -9, 4, -9, -9, 5, 6, -9, 1, -9, 7, 2, 3, 8, 9]


def test_window_with_negative_padding_crops(new, written):
    sketch = new().data(0, range(9), (3, 3, 1)).window(0, (1, 1), (2, 2), pad=(-1, -1)).tensor(1, (4,))
    assert written(sketch.put("move", in_=0, out=1)) == [4, 5, 7, 8]


def test_window_outside_the_tensor_reads_its_fill(new, written):
    sketch = new().data(0, range(4), (2, 2, 1)).window(0, (1, 2), (2, 1), pad=(-5, 7), fill=3).tensor(1, (4,))
    assert written(sketch.put("move", in_=0, out=1)) == [3, 3, 3, 3]


def test_a_fill_that_the_element_type_cannot_hold_is_read_as_it_is(new, written):
    sketch = new().data(0, [5], (1, 1, 1), "u8").window(0, (1, 2), (1, 1), fill=-300).tensor(1, (2,), type="i16")
    assert written(sketch.put("move", in_=0, out=1)) == [5, -300]


def test_a_tensor_instruction_removes_the_window(new, written):
    sketch = new().data(0, range(4), (2, 2, 1)).window(0, (2, 2), (1, 1)).tensor(0, (4,)).tensor(1, (4,), 8)
    assert written(sketch.put("move", in_=1, out=0)) == [0, 0, 0, 0]


def test_fill_writes_one_value(new, written):
    assert written(new().tensor(0, (3,), type="i16").put("fill", out=0, value=-300)) == [-300] * 3


def test_nested_loops_with_advancing_streams(new, ask):
    sketch = new().data(0, range(6), (1,)).tensor(1, (1,))
    sketch.put("loop", count=2).put("loop", count=3).put("move", in_=0, out=1).put("advance", stream=0, by=1)
    sketch.put("advance", stream=1, by=2).put("endloop").put("advance", stream=1, by=-1).put("endloop").put("nop")
    sketch.tensor(2, (12,)).tensor(3, (12,), 32).put("move", in_=2, out=3)
    writes, _ = ask(sketch)
    assert [values for _, values in writes[:6]] == [[0], [1], [2], [3], [4], [5]]
    assert writes[-1] == (13, [0, 0, 1, 0, 2, 3, 0, 4, 0, 5, 0, 0])


def test_advance_counts_in_elements(new, written):
    sketch = new().data(0, [1, 2, 3], (1,), "i32").put("advance", stream=0, by=2).tensor(1, (1,))
    assert written(sketch.put("move", in_=0, out=1)) == [3]


def test_nothing_after_halt_is_executed(new, ask):
    writes, end = ask(new().put("halt").put("move", in_=0, out=1))
    assert (writes, end) == ([], {})


def test_an_empty_stream_traps_before_anything_runs(new, ask):
    sketch = new().tensor(0, (0, 3)).tensor(1, (3, 0), 8).put("move", in_=0, out=1)
    assert ask(sketch) == ([], ("CIM0509", 0, ("node0",)))
