"""Runs a lowered graph on onnxruntime, some samples at a time."""

import math
import os
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import fail
from cimc.inference import session
from cimc.ir.graph import Graph
from cimc.ir.loop import runs_of
from cimc.ir.nn import Computed, OutputOp
from cimc.ir.types import shape_of

Array = NDArray[Any]
Batch = Mapping[str, NDArray[np.float32]]
"""Real samples of every model input by its name, [N, *model shape]."""

ELEMENTS_AT_ONCE = 1 << 23
"""Elements of all values of a chunk, unless one sample has more: 32 MiB of float32."""
ELEMENTS_IN_FLIGHT = 1 << 25
"""Elements of all values of the chunks that are computed or wait to be read, unless one chunk has more: 128 MiB."""
MOST_AT_ONCE = 32
"""Samples evaluated at once: more of them gain little, even where the network is small."""


class Evaluator:
    """A graph ready to run: lowered and loaded once.

    `values` and `batch` are as in `cimc.evaluate.evaluate`. Each chunk runs on one thread and chunks run side by side,
    so results do not depend on the number of cores. Values `given` by label are fed beside the model's inputs, under
    the names of `given_name`, and whatever reads them reads those.
    """

    def __init__(
        self, graph: Graph, values: Collection[str] | None = None, batch: int = 32, given: Collection[str] = ()
    ) -> None:
        from cimc.evaluate.lower import lower, output_name, value_name

        lowered = lower(graph, values or (), outputs=values is None, feeding=True, given=given)
        model, self._fed = lowered.model, lowered.fed
        self._session = session(model.SerializeToString()) if model.graph.output else None
        self._shapes = {entry.name: _sample_shape(entry) for entry in model.graph.input if entry.name not in self._fed}
        self._names = {value_name(label): label for label in values or ()}
        self._names |= {output_name(op): op.label.data for op in graph.module.ops if isinstance(op, OutputOp)}
        self._batch = batch
        self._ahead = min(os.cpu_count() or 1, ELEMENTS_IN_FLIGHT // max(batch * elements(graph), 1) - 1)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return every requested array for all samples."""
        chunks = list(self.stream(inputs))
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def stream(self, inputs: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """Yield the requested arrays chunk by chunk, in the order of the samples."""
        feeds = {name: self._checked(inputs, name) for name in self._shapes}
        count = _samples(feeds)
        starts = range(0, max(count, 1), self._batch)
        chunks = ({name: array[at : at + self._batch] for name, array in feeds.items()} for at in starts)
        if self._ahead < 1:
            yield from map(self._run_chunk, chunks)
            return
        pending: deque[Future[dict[str, Array]]] = deque()
        with ThreadPoolExecutor(self._ahead) as pool:
            for chunk in chunks:
                pending.append(pool.submit(self._run_chunk, chunk))
                if len(pending) > self._ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _run_chunk(self, feeds: dict[str, Array]) -> dict[str, Array]:
        if self._session is None:
            return {}
        names = [entry.name for entry in self._session.get_outputs()]
        results = self._session.run(names, {**feeds, **self._fed})
        return {self._names.get(name, name): np.asarray(array) for name, array in zip(names, results, strict=True)}

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


def samples_at_once(graph: Graph) -> int:
    """Return how many samples keep the values of all operations within ELEMENTS_AT_ONCE."""
    return min(max(ELEMENTS_AT_ONCE // max(elements(graph), 1), 1), MOST_AT_ONCE)


def elements(graph: Graph) -> int:
    """Return how many elements all operations compute for one sample."""
    computed = (op for op in graph.operations if isinstance(op, Computed))
    return sum(math.prod(shape_of(op.out)) * runs_of(op) for op in computed)


def _sample_shape(entry: Any) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim[1:])


def _samples(feeds: Mapping[str, Array]) -> int:
    counts = {len(array) for array in feeds.values()}
    if len(counts) != 1:
        raise fail(
            "CIM0202",
            "the arrays of the model's inputs have different numbers of samples: "
            + ", ".join(map(str, sorted(counts))),
        )
    return counts.pop()
