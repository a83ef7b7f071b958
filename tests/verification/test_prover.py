"""The prover on a layer with a loop: each step of each tensor is compared, and one wrong element is named."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest
from frontend.onnx_models import written
from frontend.recurrent_models import recurrent
from targets.stages import normal

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.observer import Observer, Writes
from cimc.backends.reference import instructions as reference
from cimc.driving.driver import Compilation, Request, compile_model
from cimc.ir.loop import StateOp, runs_of
from cimc.isa.program import Program
from cimc.proof import prover as proof
from cimc.proof.programs import Difference, compare_programs
from cimc.proof.prover import Prover
from cimc.targets import load_target

DATA = {"x": normal(3, 5, 4), "h": normal(3, 1, 6)}
STEPS = 5


@pytest.fixture(scope="module")
def compilation(tmp_path_factory: pytest.TempPathFactory) -> Compilation:
    path = written(recurrent("RNN"), tmp_path_factory.mktemp("models"))
    return compile_model(path, Request(load_target("ideal"), data=lambda _: DATA))


def held(prover: Prover) -> dict[str, int]:
    """Return the elements of each tensor in all steps; a state has one more."""
    return {
        op.label.data: prod(op.out.type.get_shape()) * (runs_of(op) + isinstance(op, StateOp))  # type: ignore[attr-defined]
        for op in prover.operations
    }


def test_every_step_is_compared(compilation: Compilation) -> None:
    prover = Prover(compilation)
    assert list(prover.prove(DATA, 2)) == [0, 1, 2, 3]
    assert any(isinstance(op, StateOp) for op in prover.operations)
    sizes = held(prover)
    for row in prover.rows():
        compared = (row.interpreter, row.reference)
        assert compared in ((0, 0), (3 * sizes[row.label], 2 * sizes[row.label])), row.label
        assert any(compared) or row.label not in prover.written


def test_the_share_of_a_sample_is_counted(compilation: Compilation) -> None:
    """All vectors of a layer so small are within the sample: each element that lasts is compared once."""
    prover = Prover(compilation)
    assert list(prover.prove(DATA, 1, sampled=True)) == [0, 1, 3]
    sizes = held(prover)
    written_elements = sum(sizes[label] for label in prover.written)
    assert prover.share and prover.share.elements == prover.share.of_elements == written_elements
    assert {row.reference for row in prover.rows() if row.label in prover.written} == {
        sizes[label] for label in prover.written
    }


class Off:
    """An interpreter of which one element of one run of one instruction is one more than it should be."""

    def __init__(self, program: Program, index: int, run: int, sample: int) -> None:
        self.inner, self.index, self.run_number, self.sample = Interpreter(program), index, run, sample
        self.chunk, self.seen = self.inner.chunk, 0

    def run(self, codes: Mapping[str, Any], observer: Observer) -> Any:
        return self.inner.run(codes, Writes(lambda index, values: observer.wrote(index, self.changed(index, values))))

    def changed(self, index: int, values: Any) -> Any:
        found = np.array(values)
        if index == self.index:
            if self.seen == self.run_number:
                found.reshape(len(found), -1)[self.sample, 2] += 1
            self.seen += 1
        return found


@pytest.mark.parametrize("step", [0, STEPS - 1])
@pytest.mark.parametrize("sample", [0, 2])
def test_one_wrong_element_is_named(compilation: Compilation, step: int, sample: int) -> None:
    prover = Prover(compilation)
    index, write = next((i, one) for i, one in prover.writes.items() if one.runs == STEPS and one.step > 0)
    prover.interpreter = Off(prover.program, index, step, sample)  # type: ignore[assignment]
    (found,) = prover.prove(DATA, 0)
    assert isinstance(found, Difference)
    element = (step, *np.unravel_index(2, prover.rows()[list(held(prover)).index(write.tensor)].shape))
    assert found.place.startswith(f"tensor {write.tensor!r} (layer ")
    assert found.place.endswith(f" of the interpreter, sample {sample}, element {tuple(map(int, element))}")
    assert int(found.found.split()[1]) == int(found.expected.split()[1]) + 1


def test_one_wrong_element_of_the_sampled_reference_is_named(
    compilation: Compilation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The element with the lowest code of one write, in its third step, is one more than it should be."""
    prover, seen, places = Prover(compilation), list[int](), list[int]()
    index, write = next((i, one) for i, one in prover.writes.items() if one.runs == STEPS and one.step > 0)

    def run(program: Program, given: Any, truth: Any, watch: Any) -> Any:
        def off(at: int, numbers: Any, values: Any) -> None:
            seen.append(at)
            if at == index and seen.count(at) == 3:
                place = int(np.argmin(values))
                places.append(int(numbers[place]))
                values = np.where(np.arange(len(values)) == place, values + 1, values)
            watch(at, numbers, values)

        return sampled(program, given, truth, off)

    sampled = proof.reference_sample.run
    monkeypatch.setattr(proof.reference_sample, "run", run)
    *_, found = prover.prove(DATA, 1, sampled=True)
    assert isinstance(found, Difference)
    element = (2, *np.unravel_index(places[0], prover.rows()[list(held(prover)).index(write.tensor)].shape))
    assert found.place.endswith(f"instruction {index}) of the reference, sample 0, element {tuple(map(int, element))}")
    assert int(found.found.split()[1]) == int(found.expected.split()[1]) + 1


def test_the_literal_reference_s_time_is_made_of_what_it_does(
    compilation: Compilation, monkeypatch: pytest.MonkeyPatch
) -> None:
    prover, elements = Prover(compilation), list[int]()
    given = {port.name: [0] * prod(port.shape) for port in prover.program.inputs}
    reference.run(prover.program, given, Writes(lambda _, values: elements.append(np.size(values))))
    programs = [one for one in prover.program.instructions if one.name == "program"]
    multiplies = sum(op.multiplies() * (STEPS if runs_of(op) > 1 else 1) for op in prover.operations)
    counts = {
        "CELL_S": sum(one["rows"] * one["cols"] for one in programs),
        "MULTIPLY_S": multiplies,
        "ELEMENT_S": sum(elements),
    }
    assert prover.multiplies() == multiplies > 0
    for unit, count in counts.items():
        for other in counts:
            monkeypatch.setattr(proof, other, float(other == unit))
        assert prover.reference_s() == count > 0, unit


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        (10.1, (1, True)),
        (10.0, (1, False)),
        (5.1, (1, False)),
        (5.0, (2, False)),
        (0.5, (20, False)),
        (0.0, (454545, False)),
    ],
)
def test_the_reference_gets_as_many_samples_as_it_has_time(
    compilation: Compilation, monkeypatch: pytest.MonkeyPatch, seconds: float, wanted: tuple[int, bool]
) -> None:
    prover = Prover(compilation)
    monkeypatch.setattr(prover, "reference_s", lambda: seconds)
    assert prover.on_reference(None) == wanted
    assert prover.on_reference(7) == (7, False)


def test_the_first_and_the_last_byte_of_a_constant_are_named(compilation: Compilation) -> None:
    emission = compilation.emission
    for start, size, name in emission.constants:
        for at in (start, start + size - 1):
            content = bytearray(emission.program.constants)
            content[at] ^= 1
            found = compare_programs(emission, replace(emission.program, constants=bytes(content)))
            values = f"expected {content[at] ^ 1:#04x}, found {content[at]:#04x}"
            assert str(found) == f"constant memory byte {at} ({name}, byte {at - start}): {values}"


def test_the_first_and_the_last_cell_of_a_matrix_are_named(compilation: Compilation) -> None:
    emission = compilation.emission
    for start, rows, cols, name in emission.cells:
        for row, col in ((0, 0), (0, cols - 1), (rows - 1, 0), (rows - 1, cols - 1)):
            at = start + 2 * (row * cols + col)
            for byte in (at, at + 1):
                content = bytearray(emission.program.conductances)
                before = int.from_bytes(content[at : at + 2], "little", signed=True)
                content[byte] ^= 0x80
                after = int.from_bytes(content[at : at + 2], "little", signed=True)
                found = compare_programs(emission, replace(emission.program, conductances=bytes(content)))
                place = f"{name}, cell row {row}, column {col}"
                assert found == Difference(place, str(before), str(after))
