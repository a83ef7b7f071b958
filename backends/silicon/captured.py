"""Codes of layers from those that `capture` keeps: what the digital side makes of ADC codes, which nothing disturbs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.traps import Refusal
from cimc.backends.plan.exact import half_even
from cimc.isa.constants import ConstantMemory
from cimc.isa.program import Instruction, Program
from cimc.isa.region import blocks_streamed

Codes = Mapping[str, NDArray[Any]]

ADC = ".adc"
"""Behind a layer's name: its raw ADC codes [samples, vectors, blocks, columns]."""


def with_layer_codes(program: Program, measured: Codes) -> Codes:
    """Return measured codes, and those [samples, vectors, columns] of layers of which only ADC codes are there.

    Raises Refusal CIM0535 where drift factors, which ADC codes do not tell, come between, or the shape does not fit.
    """
    found, instructions = dict(measured), program.instructions
    scaled = {number for one in instructions if one.name == "calibrate" for number in blocks_streamed(one)}
    for index, one in enumerate(instructions):
        name = program.layer_name(index)
        if one.name == "mvm" and name + ADC in measured and name not in found:
            if scaled & set(blocks_streamed(one)):
                rule = f"measured layer {name!r} has ADC codes alone, and drift factors that they do not tell"
                hint = "measure the layer's own codes as well, or with --compensation none, and say so here"
                raise Refusal("CIM0535", rule, hint)
            found[name] = _layer_codes(program, one, name, measured[name + ADC])
    return found


def epilogue_constants(program: Program, one: Instruction, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the multipliers [blocks, columns] and offsets [columns] of an mvm, as its constants hold them."""
    constants, blocks = ConstantMemory(program.constants), len(blocks_streamed(one))
    scales = constants.read(one["scale"], "i32", blocks * columns).reshape(blocks, columns)
    return scales.astype(np.int64), constants.read(one["bias"], "i64", columns)


def _layer_codes(program: Program, one: Instruction, name: str, codes: NDArray[Any]) -> NDArray[np.int64]:
    blocks = len(blocks_streamed(one))
    if codes.dtype.kind not in "iu" or codes.ndim != 4 or codes.shape[2] != blocks:
        found = f"is of type {codes.dtype} and shape {codes.shape}"
        rule = f"measured layer {name + ADC!r} {found}, not whole numbers [samples, vectors, {blocks}, columns]"
        raise Refusal("CIM0535", rule, "measure the program and inputs that are given")
    scales, offset = epilogue_constants(program, one, codes.shape[3])
    sums = (codes.astype(np.int64) * scales).sum(axis=2) + offset
    return np.clip(half_even(sums, 1 << one["shift"]), one["low"], one["high"])
