"""The first arrow: the graph as it is imported, tensor by tensor, against what others compute from the same file."""

from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import DiagnosticError
from cimc.driving.float_model import FloatModel, Place
from cimc.driving.float_session import Runtime, onnxruntime_of, reference_of
from cimc.evaluate import Evaluator, arrays_of, given_name
from cimc.frontend import Imported, Traced
from cimc.ir.nn import UNBOUNDED
from cimc.proof.agreement import SHORT, TOLERANCE, TOLERANCE_OF_A_NODE, Element, furthest, largest
from cimc.proof.file_nodes import FileNodes

Array = NDArray[Any]
Arrays = Mapping[str, Array]

ONNXRUNTIME, REFERENCE = "onnxruntime", "onnx's reference evaluator"


@dataclass(frozen=True)
class Wrong:
    """A node that computes something else than it should from right inputs, and where that shows most."""

    node: str
    tensor: str
    sample: int
    element: Element
    ours: float
    theirs: float

    def __str__(self) -> str:
        place = f"{self.node}, tensor {self.tensor!r}, sample {self.sample}, element {self.element}"
        return f"{place}: {self.ours:.7g} here, {self.theirs:.7g} there, from the same inputs"


@dataclass
class FloatCheck:
    """What was found: samples and elements compared, tensors covered of all that depend on an input.

    `inherited` are tensors that differ by what their nodes read, with the largest error as a share of the largest
    value; `wrong` has the first sample of each node that is wrong by itself.
    """

    runtime: str
    tensors: int
    samples: int = 0
    elements: int = 0
    covered: set[str] = field(default_factory=set)
    inherited: dict[str, float] = field(default_factory=dict)
    wrong: dict[str, Wrong] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.wrong


def check_float(path: Path, imported: Imported, inputs: Arrays) -> FloatCheck:
    """Return how the imported graph compares on inputs [N, *shape], on one of them where onnxruntime refuses the file.

    Raises CimcError CIM0211 where nobody runs it.
    """
    nodes = FileNodes.of(path)
    arrow = _Arrow(path, imported, nodes, {n: t for n, t in imported.tensors.items() if n in nodes.makers})
    try:
        with onnxruntime_of(path, imported.graph, arrow.shared) as runtime:
            return arrow.check(inputs, runtime, ONNXRUNTIME)
    except DiagnosticError as refusal:
        try:
            return arrow.check({name: array[:1] for name, array in inputs.items()}, reference_of(path), REFERENCE)
        except DiagnosticError:
            raise refusal from None


class Furthest(NamedTuple):
    """The element of a tensor that is furthest off, and its value here."""

    element: Element
    value: float

    def error(self, theirs: Array) -> float:
        return abs(self.value - float(theirs[self.element]))


@dataclass(frozen=True)
class _Arrow:
    """A file, the graph made of it, and the tensors that both have."""

    path: Path
    imported: Imported
    nodes: FileNodes
    shared: Mapping[str, Traced]

    @property
    def labels(self) -> list[str]:
        return list(dict.fromkeys(one.label for one in self.shared.values()))

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        """The tensors of the file that are one value here, by its label."""
        found: dict[str, list[str]] = {}
        for name, one in self.shared.items():
            found.setdefault(one.label, []).append(name)
        return found

    @cached_property
    def _node_by_node(self) -> Evaluator:
        """Every value computed from what others computed of those that it reads."""
        return Evaluator(self.imported.graph, self.labels, batch=1, given=self.labels)

    def check(self, inputs: Arrays, runtime: Runtime, name: str) -> FloatCheck:
        """Compare on all of these inputs."""
        model = FloatModel.of(self.path, self.imported.graph, runtime)
        typed, step = model.typed(inputs), model.fixed or 1
        fed = {port: array.astype(np.float32) for port, array in typed.items()}
        places = {tensor: Place(one.axis, one.shape) for tensor, one in self.shared.items()}
        computed = self.nodes.computed()
        found = FloatCheck(name, len(computed))
        ours = Evaluator(self.imported.graph, self.labels, batch=step).chunks(fed)
        for parts, theirs in zip(ours, model.stream(typed, places, step), strict=True):
            chunk = {port: array[found.samples : found.samples + step] for port, array in fed.items()}
            rows = list(zip(_one_by_one(theirs), _one_by_one(chunk), strict=False))
            off: list[dict[str, Furthest]] = [{} for _ in rows]
            for label, array in arrays_of(parts):
                for number, row in enumerate(rows):
                    off[number] |= self._off(label, array[number], *row, row[0], TOLERANCE)
            for furthest_off, row in zip(off, rows, strict=True):
                self._sample(found, furthest_off, *row)
            found.covered.update(computed.intersection(theirs))
        return found

    def _sample(self, found: FloatCheck, off: Mapping[str, Furthest], theirs: Arrays, inputs: Arrays) -> None:
        """Judge one sample, whose tensors `off` are not right, by those once more on right inputs."""
        found.samples += 1
        found.elements += sum(array.size for array in theirs.values())
        if not off:
            return
        wrong = dict[str, Furthest]()
        for label, array in self._from_right_inputs(theirs, inputs):
            wrong |= self._off(label, array, theirs, inputs, off, TOLERANCE_OF_A_NODE)
        for tensor in off.keys() - wrong.keys():
            share = off[tensor].error(theirs[tensor]) / (largest(theirs[tensor]) or 1.0)
            found.inherited[tensor] = max(found.inherited.get(tensor, 0.0), share)
        for tensor in (tensor for tensor in theirs if tensor in wrong):
            node, (element, value) = self.nodes.describe(tensor), wrong[tensor]
            there = float(theirs[tensor][element])
            found.wrong.setdefault(node, Wrong(node, tensor, found.samples - 1, element, value, there))

    def _off(
        self, label: str, ours: Array, theirs: Arrays, inputs: Arrays, among: Collection[str], tolerance: float
    ) -> dict[str, Furthest]:
        """Return which tensors of the file that are one value here are not right, and their furthest elements."""
        found = dict[str, Furthest]()
        for name in (name for name in self._alike[label] if name in among):
            one = self.shared[name]
            read = partial(self._read, name, theirs, inputs)
            element = furthest(ours, theirs[name], one.step, max(tolerance, self._grain(one, theirs)), read)
            if element is not None:
                found[name] = Furthest(element, float(ours[element]))
        return found

    def _grain(self, value: Traced, theirs: Arrays) -> float:
        """Return what tensors of 16 bits allow that are the same value: a cast makes what they hold no finer."""
        kinds = {theirs[name].dtype.name for name in self._alike[value.label] if name in theirs}
        return max((SHORT.get(kind, 0.0) for kind in kinds), default=0.0)

    def _read(self, tensor: str, theirs: Arrays, inputs: Arrays) -> float:
        """Return the largest value that the node of a tensor reads."""
        values = ChainMap(dict(theirs), dict(inputs))
        read = self.nodes.read(tensor, values)
        sizes = (largest(values[name]) if name in values else self.nodes.largest_constant(name) for name in read)
        return max(sizes, default=0.0)

    def _from_right_inputs(self, theirs: Arrays, inputs: Arrays) -> Iterator[tuple[str, Array]]:
        """Yield every value of one sample, computed from theirs."""
        given = {given_name(self.shared[name].label): theirs[name] for name in reversed(list(theirs))}
        bounded = {name: np.clip(array.astype(np.float32), -UNBOUNDED, UNBOUNDED) for name, array in given.items()}
        feed = {name: array[np.newaxis] for name, array in {**inputs, **bounded}.items()}
        for parts in self._node_by_node.chunks(feed):
            yield from ((label, array[0]) for label, array in arrays_of(parts))


def _one_by_one(arrays: Arrays) -> Iterator[dict[str, Array]]:
    """Yield the values of each sample."""
    for row in range(min(map(len, arrays.values()), default=0)):
        yield {name: array[row] for name, array in arrays.items()}
