"""The whole proof in one function, its two arrows of real numbers included: file to graph, and graph to integers."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cimc.diagnostics import DiagnosticError
from cimc.driving.distances import FloatDistance, distances
from cimc.driving.driver import Compilation
from cimc.driving.float_model import run_float
from cimc.evaluate import evaluate, selftest
from cimc.frontend import load_traced
from cimc.isa.program import Program
from cimc.proof.float_graph import FloatCheck, check_float
from cimc.proof.programs import Difference, compare_programs, other_model, recompile, request_of
from cimc.proof.prover import Prover, TensorRow


@dataclass(frozen=True)
class Proof:
    """The outcome: the first `difference`, or the tensors compared and, as far as the float model ran, what it said.

    `imported` holds the graph as imported against onnxruntime, `distances` the integers against the float model.
    """

    difference: Difference | None
    tensors: tuple[TensorRow, ...] = ()
    distances: tuple[FloatDistance, ...] = ()
    imported: FloatCheck | None = None

    @property
    def ok(self) -> bool:
        return self.difference is None and (self.imported is None or self.imported.ok)


def proved(
    model: str,
    program: Program,
    inputs: Mapping[str, NDArray[Any]],
    reference_samples: int | None = None,
    with_float: bool = True,
) -> Proof:
    """Return the proof on float32 inputs [N, *shape] by port; without the model file's own values where asked.

    Raises CimcError where it cannot be tried.
    """
    selftest()
    compilation, difference = recompiled(model, program)
    if compilation is None or difference:
        return Proof(difference)
    prover = Prover(compilation)
    for step in prover.prove(inputs, *prover.on_reference(reference_samples)):
        if isinstance(step, Difference):
            return Proof(step)
    proof = Proof(None, tuple(prover.rows()))
    return _with_float(proof, model, compilation, inputs) if with_float else proof


def _with_float(proof: Proof, model: str, compilation: Compilation, inputs: Mapping[str, NDArray[Any]]) -> Proof:
    """Return the proof with what the model file itself computes, each arrow as far as something runs it."""
    with suppress(DiagnosticError):
        proof = replace(proof, imported=float_graph(model, compilation.emission.program, inputs))
    with suppress(DiagnosticError):
        proof = replace(proof, distances=tuple(float_distances(model, compilation, inputs)))
    return proof


def recompiled(model: str, program: Program) -> tuple[Compilation | None, Difference | None]:
    """Return the compilation of the model again and the program's first difference from it, from another file none."""
    difference = other_model(model, program)
    if difference:
        return None, difference
    compilation = recompile(model, program)
    return compilation, compare_programs(compilation.emission, program)


def float_graph(model: str, program: Program, inputs: Mapping[str, NDArray[Any]]) -> FloatCheck:
    """Return how the model, imported as the program says, compares with the file; raises DiagnosticError as that."""
    return check_float(Path(model), load_traced(Path(model), request_of(program).stated), inputs)


def float_distances(model: str, compilation: Compilation, inputs: Mapping[str, NDArray[Any]]) -> list[FloatDistance]:
    """Return the distance of every output from the float model's; raises DiagnosticError where that does not run."""
    real = run_float(Path(model), compilation.graph, inputs)
    return list(distances(evaluate(compilation.graph, inputs), real))
