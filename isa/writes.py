"""Which elements of which tensor every instruction of a program writes, from its table of layers and its streams."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cimc.isa.program import Instruction, Program
from cimc.isa.streams import StreamState, advanced, define


@dataclass(frozen=True)
class TensorWrite:
    """Where one instruction's results go inside a tensor: flat element start + i * pitch[0] + ... in stream order.

    In a loop it does so in each of its `runs`, `step` elements further on: in the stack of all steps of a value. The
    stack of a state starts with what it holds before the first run.
    """

    tensor: str
    start: int
    shape: tuple[int, ...]
    pitch: tuple[int, ...]
    step: int = 0
    runs: int = 1


@dataclass
class _Output:
    """An instruction's output stream as it stands in the first run; `by` is how far each run moves it, in elements."""

    index: int
    stream: int
    state: StreamState
    is_inside: bool
    runs: int
    by: int = 0

    @property
    def lowest(self) -> int:
        """Lowest byte address of all runs."""
        return self.state.extent()[0] + self.state.size * min(self.by * (self.runs - 1), 0)


def writes_of(program: Program) -> Mapping[int, TensorWrite]:
    """Return instruction number -> what it writes, for programs as the compiler makes them: loops are one deep.

    Empty for a program without a table of layers.
    """
    outputs: dict[str, list[_Output]] = defaultdict(list)
    for output in _outputs(program.instructions):
        layer = program.layer_at(output.index)
        if layer and layer.tensor:
            outputs[layer.tensor].append(output)
    found = {index: write for tensor, group in outputs.items() for index, write in _placed(tensor, group)}
    return dict(sorted(found.items()))


def streams_written(program: Program) -> Mapping[int, StreamState]:
    """Return instruction number -> the stream of activation memory that it writes, as it stands in the first run."""
    return {output.index: output.state for output in _outputs(program.instructions)}


def _outputs(instructions: Sequence[Instruction]) -> list[_Output]:
    streams, found, turns, first = dict[int, StreamState](), list[_Output](), list[int](), 0
    for index, one in enumerate(instructions):
        if one.name == "tensor":
            streams[one["stream"]] = define(one)
        elif one.name == "loop":
            turns.append(one["count"])
            first = len(found)
        elif one.name == "endloop":
            turns.pop()
        elif one.name == "advance" and one["stream"] in streams:
            _advance(streams, found[first:] if turns else [], one)
        elif (out := output_of(one)) is not None and out in streams:
            found.append(_Output(index, out, streams[out], bool(turns), turns[-1] if turns else 1))
    return found


def output_of(one: Instruction) -> int | None:
    """Return the stream that an instruction writes, None where it writes no activation memory."""
    return next((one[field.name] for field in one.spec.fields if field.is_written), None)


def inputs_of(one: Instruction) -> tuple[int, ...]:
    """Return the streams that an instruction reads."""
    fields = (field for field in one.spec.fields if field.prefix == "s" and field.name != "stream")
    return tuple(one[field.name] for field in fields if not field.is_written)


def _advance(streams: dict[int, StreamState], inside: Iterable[_Output], one: Instruction) -> None:
    """Move a stream, and note for what was written to it in this loop that the next run lies further on."""
    streams[one["stream"]] = advanced(streams[one["stream"]], one)
    for output in inside:
        if output.stream == one["stream"]:
            output.by = one["by"]


def _placed(tensor: str, outputs: Sequence[_Output]) -> Iterator[tuple[int, TensorWrite]]:
    """Yield the writes of one tensor: it starts at the lowest address written, and a state before its loop."""
    base, size = min(output.lowest for output in outputs), outputs[0].state.size
    elements = (max(output.state.extent()[1] for output in outputs) - base) // size
    is_state = not all(output.is_inside for output in outputs)
    for output in outputs:
        start, stays = (output.state.base - base) // size, output.is_inside and not output.by
        start += elements if stays and is_state else 0
        step = elements if stays else output.by
        yield output.index, TensorWrite(tensor, start, output.state.shape, output.state.pitch, step, output.runs)
