"""Runs a lowered graph on onnxruntime, some samples at a time."""

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import fail
from cimc.evaluate.allocation import give_back, share_freed
from cimc.evaluate.sizes import abreast, elements, elements_of, is_large
from cimc.inference import session
from cimc.ir.cores import on_cores
from cimc.ir.graph import Graph
from cimc.ir.nn import OutputOp

if TYPE_CHECKING:
    from cimc.evaluate.lower import Lowered

Array = NDArray[Any]
Batch = Mapping[str, NDArray[np.float32]]
"""Real samples of every model input by its name, [N, *model shape]."""

ELEMENTS_IN_FLIGHT = 1 << 25
"""Elements of all values of the chunks that are computed or wait to be read, unless one chunk has more: 128 MiB."""
VALUE_BYTES = 4
"""Bytes of an element."""


class Evaluator:
    """A graph ready to run: lowered and loaded once, a long one in pieces.

    `values` and `batch` are as in `cimc.evaluate.evaluate`. Each chunk runs on one thread and chunks run side by side,
    so results do not depend on the number of cores. Values `given` by label are fed beside the model's inputs, under
    the names of `given_name`, and whatever reads them reads those.
    """

    def __init__(
        self, graph: Graph, values: Collection[str] | None = None, batch: int = 32, given: Collection[str] = ()
    ) -> None:
        from cimc.evaluate.lower import output_name, value_name
        from cimc.evaluate.pieces import pieces

        large = is_large(graph)
        if large:
            share_freed()
        cut = list(pieces(graph, values, given))
        self._parts = on_cores(
            lambda piece: Part(piece.lowered(), piece.handed, lean=len(cut) > 1), cut, VALUE_BYTES * elements(graph)
        )
        if large:
            give_back()
        self._read_after = [_inputs(self._parts[number:]) for number in range(1, len(self._parts) + 1)]
        handed = {name for part in self._parts for name in part.handed.values()}
        shapes = {name: shape for part in self._parts for name, shape in part.shapes.items()}
        self._shapes = {name: shape for name, shape in shapes.items() if name not in handed}
        self._names = {value_name(label): label for label in values or ()}
        self._names |= {output_name(op): op.label.data for op in graph.module.ops if isinstance(op, OutputOp)}
        self._batch = batch
        most = ELEMENTS_IN_FLIGHT // max(batch * elements(graph), 1) - 1
        cores = os.cpu_count() or 1
        self._ahead = 0 if large else min(cores, most)
        self._abreast = min(cores, abreast([sum(map(elements_of, piece.operations)) for piece in cut])) if large else 1

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return every requested array for all samples."""
        chunks = list(self.stream(inputs))
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def stream(self, inputs: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """Yield the requested arrays chunk by chunk, in the order of the samples."""
        for parts in self.chunks(inputs):
            yield {name: array for part in parts for name, array in part.items()}

    def chunks(self, inputs: Mapping[str, Array]) -> Iterator[Iterable[dict[str, Array]]]:
        """Yield the requested arrays of each chunk in parts, in the order of the samples.

        A part whose arrays are let go of leaves its memory to the next one, where a sample has many elements.
        """
        chunks = self._chunks(inputs)
        if self._ahead < 1:
            yield from (self._in_parts([chunk]) for chunk in chunks)
            give_back()
            return
        pending: deque[Future[list[dict[str, Array]]]] = deque()
        with ThreadPoolExecutor(self._ahead) as pool:
            for chunk in chunks:
                pending.append(pool.submit(lambda feeds: list(self._in_parts([feeds])), chunk))
                if len(pending) > self._ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def arrays(self, inputs: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        """Yield name and array of what is requested, chunk by chunk: those of each name in the order of the samples.

        Samples of many elements are computed side by side, part by part, and may come in turns; the next part is
        computed while the caller looks at one.
        """
        if self._abreast == 1:
            yield from arrays_of(chain.from_iterable(self.chunks(inputs)))
        else:
            yield from arrays_of(_ahead(self._side_by_side(inputs), self._abreast))
            give_back()

    def _side_by_side(self, inputs: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        chunks = self._chunks(inputs)
        with ThreadPoolExecutor(self._abreast) as pool:
            while together := list(islice(chunks, self._abreast)):
                yield from self._in_parts(together, pool)

    def _chunks(self, inputs: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        feeds = {name: self._checked(inputs, name) for name in self._shapes}
        for at in range(0, max(_samples(feeds), 1), self._batch):
            yield {name: array[at : at + self._batch] for name, array in feeds.items()}

    def _in_parts(
        self, chunks: Sequence[dict[str, Array]], pool: ThreadPoolExecutor | None = None
    ) -> Iterator[dict[str, Array]]:
        """Yield what each part shows of each chunk; of what it hands over only what later parts read is kept."""
        known = list(chunks)
        for part, read in zip(self._parts, self._read_after, strict=True):
            made = list((pool.map if pool else map)(part.run, known))
            known = [
                {name: array for name, array in (before | new).items() if name in read}
                for before, new in zip(known, made, strict=True)
            ]
            for new in made:
                yield {self._names[name]: new.pop(name) for name in list(new) if name in self._names}

    def _checked(self, inputs: Mapping[str, Array], name: str) -> Array:
        if name not in inputs:
            raise fail(
                "CIM0201", f"no array for the model's input '{name}'; there are: {', '.join(sorted(inputs)) or 'none'}"
            )
        array = np.asarray(inputs[name], dtype=np.float32)
        if array.shape[1:] != self._shapes[name]:
            wanted = ", ".join(["N", *map(str, self._shapes[name])])
            raise fail("CIM0202", f"the array for input '{name}' has shape {array.shape}, the model wants ({wanted})")
        return array


class Part:
    """A lowered model in a session of its own; one without outputs needs none.

    `handed` are labels of values that others read, under the names of `given_name`. `lean` is as in `session`.
    """

    def __init__(self, lowered: "Lowered", handed: Collection[str], lean: bool = False) -> None:
        from cimc.evaluate.lower import given_name, value_name

        self.handed = {value_name(label): given_name(label) for label in handed}
        model, self._fed = lowered.model, lowered.fed
        entries = [entry for entry in model.graph.input if entry.name not in self._fed]
        self.shapes = {entry.name: _sample_shape(entry) for entry in entries}
        self._dtypes = {entry.name: _dtype(entry) for entry in entries}
        self._outputs = [entry.name for entry in model.graph.output]
        self._session = session(model.SerializeToString(), lean=lean) if self._outputs else None

    def reads(self, names: Collection[str]) -> bool:
        """Return whether any of these is an input."""
        return not self._dtypes.keys().isdisjoint(names)

    def run(self, known: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name; `known` are the inputs, among others."""
        if self._session is None:
            return {}
        feeds = {name: known[name].astype(dtype, copy=False) for name, dtype in self._dtypes.items()}
        results = self._session.run(self._outputs, {**feeds, **self._fed})
        found = {name: np.asarray(array) for name, array in zip(self._outputs, results, strict=True)}
        return found | {given: found[name] for name, given in self.handed.items()}


def arrays_of(parts: Iterable[dict[str, Array]]) -> Iterator[tuple[str, Array]]:
    """Yield names and arrays of the parts of a chunk; each is let go of before more is computed."""
    for part in parts:
        for name in list(part):
            yield name, part.pop(name)


def _ahead(parts: Iterator[dict[str, Array]], count: int) -> Iterator[dict[str, Array]]:
    """Yield what comes in parts; a thread has the next `count` of them computed meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        pending = deque(thread.submit(next, parts, None) for _ in range(count))
        while (part := pending.popleft().result()) is not None:
            pending.append(thread.submit(next, parts, None))
            yield part


def _inputs(parts: Sequence[Part]) -> set[str]:
    return {name for part in parts for name in part.shapes}


def _sample_shape(entry: Any) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim[1:])


def _dtype(entry: Any) -> np.dtype[Any]:
    from onnx.helper import tensor_dtype_to_np_dtype

    return tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)


def _samples(feeds: Mapping[str, Array]) -> int:
    counts = {len(array) for array in feeds.values()}
    if len(counts) != 1:
        raise fail(
            "CIM0202",
            "the arrays of the model's inputs have different numbers of samples: "
            + ", ".join(map(str, sorted(counts))),
        )
    return counts.pop()
