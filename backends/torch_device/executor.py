"""Runs a plan on a device, chunk by chunk of images; the processor does in between what has no form there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cimc.backends.machine.observer import Observer, elements
from cimc.backends.machine.ports import DTYPES, port_stream
from cimc.backends.plan.executor import Arrays, images_in_cache, perform_one
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.moving import through
from cimc.backends.plan.products import is_probed
from cimc.backends.plan.state import Write
from cimc.backends.plan.steps import Step, Turns
from cimc.backends.plan.walk import Plan
from cimc.backends.torch_device.device_check import require_exact
from cimc.backends.torch_device.lowering import lowered
from cimc.backends.torch_device.memory import Compute, Layout, Memory, Target
from cimc.isa.program import Program
from cimc.isa.streams import StreamState

MOST_IMAGES, MOST_ELEMENTS = 1 << 11, 1 << 28
BYTES_EACH = 32
"""A chunk on an accelerator has as many images, up to MOST_IMAGES, as keep its longest stream below MOST_ELEMENTS and,
at BYTES_EACH with all that is made of an element, within the memory that is free."""


@dataclass(frozen=True)
class Form:
    """What a step does on the device."""

    out: StreamState
    compute: Compute
    target: Target
    always_fits: bool

    def results(self, memory: Memory) -> Tensor:
        """Return the results [..., images]; the memory remembers whether one does not fit."""
        values = self.compute(memory)
        if not self.always_fits:
            memory.require(values, self.out.lowest, self.out.highest)
        return values


Forms = tuple["Form | Forms | None", ...]


class TorchExecutor:
    """An executor on a device; the processor, in numpy, also tells every fault of the program.

    `forms` are what the plan's steps do on the device, None where they stay with the processor; of a loop, its body's.
    """

    is_reentrant = False

    def __init__(
        self, device: torch.device, program: Program, plan: Plan, threads: int, chunk: int | None = None
    ) -> None:
        with _threads(1):
            require_exact(device)
        self._device = device
        self._program = program
        self._plan = plan
        self._threads = threads
        self.chunk = chunk or self._fitting(plan.largest)
        layout = Layout(program.constants, self._device)
        self.forms = _forms(plan.steps, layout)
        self._inputs = {port.name: layout.target(port_stream(port)) for port in program.inputs}
        self._outputs = {port.name: layout.source(port_stream(port)) for port in program.outputs}

    def _fitting(self, largest: int) -> int:
        """Return the images of a chunk whose longest stream has `largest` elements."""
        if self._device.type == "cpu":
            return images_in_cache(largest)
        free: int = torch.cuda.mem_get_info(self._device)[0]
        elements = min(MOST_ELEMENTS, free // BYTES_EACH)
        return min(MOST_IMAGES, max(elements // max(largest, self._program.activation_bytes), 1))

    def run(self, samples: range, inputs: Arrays, outputs: Arrays, observer: Observer | None) -> None:
        """Fill the outputs of a chunk, as every Executor does.

        Where a step has met a fault, the chunk is repeated with a look at every step; so is an observed one at once.
        """
        if observer:
            observer.begin(samples)
        with _threads(self._threads), torch.inference_mode():
            for checked in (observer is not None, True):
                flight = _Flight(self._program, samples, self._device, observer)
                for port in self._program.inputs:
                    self._inputs[port.name].write(flight.memory, self._uploaded(inputs[port.name], port.type))
                if self._finishes(flight, checked):
                    break
            for port in self._program.outputs:
                outputs[port.name][...] = self._downloaded(flight, port.name).reshape(-1, *port.shape)

    def _finishes(self, flight: "_Flight", checked: bool) -> bool:
        """Perform all steps; return False where one has met a fault. If `checked`, the processor performs that one."""
        observer = flight.observer
        for step, form in _in_order(self._plan.observed if observer else self._plan.steps, self.forms, flight):
            if form and not (observer and is_probed(step.action, observer)):
                flight.to_device()
                values = form.results(flight.memory)
                if not (checked and flight.memory.faulty()):
                    form.target.write(flight.memory, values)
                    if observer and observer.wants_write(step.index):
                        observer.wrote(step.index, _shown(values, form.out))
                    continue
            elif flight.memory.faulty():
                return False
            flight.to_processor()
            perform_one(step, flight.chunk, self._program.locations)
        flight.to_device()
        return not flight.memory.faulty()

    def _uploaded(self, codes: Array, element: str) -> Tensor:
        kind = np.int32 if element == "u16" else DTYPES[element]
        return torch.tensor(codes.astype(kind).reshape(len(codes), -1), device=self._device).T

    def _downloaded(self, flight: "_Flight", port: str) -> Array:
        source = self._outputs[port]
        codes: Array = source.read(flight.memory).T.cpu().numpy()
        return codes.astype(DTYPES[source.type])


class _Flight:
    """Images on their way: their memory lies on the device, or in the processor's chunk."""

    def __init__(self, program: Program, samples: range, device: torch.device, observer: Observer | None) -> None:
        self.memory = Memory(program.activation_bytes, len(samples), samples.start, device)
        self.observer = observer
        self._samples = samples
        self._program = program
        self._chunk: Chunk | None = None
        self._on_device = True

    @property
    def chunk(self) -> Chunk:
        """The processor's chunk, made when it is first used."""
        if self._chunk is None:
            self._chunk = Chunk(self.memory.images, self._program.activation_bytes, self._program.constants)
            self._chunk.first_sample = self._samples.start
            self._chunk.observer = self.observer
            self._chunk.turns = self.memory.turns
        return self._chunk

    def to_processor(self) -> None:
        """Let the processor have the newest memory."""
        if self._on_device:
            size = self._program.activation_bytes
            self.chunk.memories["act"][:, :size] = self.memory.bytes[:size].T.cpu().numpy()
        self._on_device = False

    def to_device(self) -> None:
        """Let the device have the newest memory."""
        if not self._on_device:
            size = self._program.activation_bytes
            self.memory.bytes[:size] = torch.tensor(self.chunk.memories["act"][:, :size]).to(self.memory.bytes.device).T
        self._on_device = True


def _forms(steps: Sequence[Step | Turns], layout: Layout) -> Forms:
    """Return what each step, and each step of a loop's body, does on the device."""
    return tuple(_form(one, layout) if isinstance(one, Step) else _forms(one.body, layout) for one in steps)


def _in_order(
    steps: Sequence[Step | Turns], forms: Sequence[Any], flight: _Flight
) -> Iterator[tuple[Step, Form | None]]:
    """Yield steps and what they do on the device, each while its turn of the loops around is."""
    left = iter(forms)
    for step in steps:
        if isinstance(step, Step):
            yield step, None if step.is_planned else next(left)
            continue
        body = next(left)
        for _ in through(flight.memory.turns, step.depth, step.count):
            yield from _in_order(step.body, body, flight)


def _form(step: Step, layout: Layout) -> Form | None:
    write = step.action
    compute = lowered(write, layout) if isinstance(write, Write) else None
    if compute is None:
        return None
    assert isinstance(write, Write)
    return Form(write.out, compute, layout.target(write.out), write.always_fits)


def _shown(values: Tensor, out: StreamState) -> Array:
    """Return results as the elements written [images, vectors, length]."""
    codes: Array = values.reshape(out.vectors, out.length, -1).permute(2, 0, 1).cpu().numpy()
    return elements(out, codes, len(codes))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch's operations on the processor use so many threads, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
