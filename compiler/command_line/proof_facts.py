"""What `cimc verify --json` prints: the proof as one JSON object."""

import argparse
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from cimc.command_line.bound_options import bound_of
from cimc.command_line.feeding_options import feeding_of
from cimc.driving.distances import FloatDistance, shortfalls
from cimc.driving.provenance import run_facts
from cimc.isa.program import Program
from cimc.proof.verdict import Proof, proved


def proof_facts(options: argparse.Namespace, program: Program, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome and everything that was compared; `failures` are sentences, none where the proof holds.

    A distance of infinitely many decibels is null.
    """
    proof = proved(options.model, program, inputs, options.reference_samples, not options.no_float)
    failures = list(_failures(options, proof))
    float_arrows = {} if options.no_float else _float_arrows(proof)
    facts = {"model": options.model, **run_facts(program, feeding_of(options), None, "none"), **float_arrows}
    return {"ok": not failures, "failures": failures, **facts, "tensors": [asdict(row) for row in proof.tensors]}


def _failures(options: argparse.Namespace, proof: Proof) -> Iterator[str]:
    if proof.difference:
        yield str(proof.difference)
    elif not options.no_float:
        yield from map(str, proof.imported.wrong.values() if proof.imported else ())
        if options.require_float and proof.imported is None:
            yield "the float graph is not checked, which --require-float asks for"
        if not proof.distances and bound_of(options).asks:
            yield "the quality of the outputs is not known, which --min-sqnr and --min-top1 bound"
        yield from shortfalls(proof.distances, bound_of(options))


def _float_arrows(proof: Proof) -> dict[str, Any]:
    found = proof.imported
    imported = found and {"runtime": found.runtime, "tensors": found.tensors, "covered": sorted(found.covered)}
    return {"float_graph": imported, "float_model": [_distance(one) for one in proof.distances]}


def _distance(one: FloatDistance) -> dict[str, Any]:
    return {name: value if value != math.inf else None for name, value in asdict(one).items()}
