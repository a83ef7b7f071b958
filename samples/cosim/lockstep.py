"""A cocotb bench: the sequencer and the golden model retire one instruction after the other, and are held equal."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.triggers import Edge

from cimc.backends.machine import ports
from cimc.bringup.stepping import Stepper
from cimc.driving.arrays import load_arrays
from cimc.driving.feeding import Feeding
from cimc.driving.scoring import program_inputs
from cimc.isa.container import load_program
from cimc.isa.streams import StreamState
from cimc.isa.writes import output_of

PROGRAM = "digits.cimb"
INPUTS = str(Path(__file__).resolve().parents[1] / "digits_test.npz")


@cocotb.test()
async def lock_step(dut: SimHandleBase) -> None:
    """Step the golden model with each instruction that the sequencer retires; the first difference is told."""
    stepper = golden_model()
    while stepper.current is not None and stepper.current.name != "halt":
        await Edge(dut.retired)
        index, out = stepper.index, output_of(stepper.current)
        stepper.step()
        assert int(dut.pc.value) == stepper.index, f"behind instruction {index} comes {int(dut.pc.value)}"
        if out is not None:
            require_equal(dut, stepper, index, stepper.streams[out])


def golden_model() -> Stepper:
    """Return the program of this folder at its start, on the first sample of the network's test data."""
    program = load_program(PROGRAM)
    real = program_inputs(program, load_arrays(INPUTS), Feeding(limit=1), INPUTS)
    return Stepper(program, {name: codes[0] for name, codes in ports.codes_of(program, real).items()})


def require_equal(dut: SimHandleBase, stepper: Stepper, index: int, out: StreamState) -> None:
    """Hold the CRC of what an instruction wrote against ours; where it differs, name the first element that does."""
    ours = stepper.view(out)
    if int(dut.crc.value) ^ 0xFFFFFFFF == zlib.crc32(ours.tobytes()):
        return
    for place, (expected, found) in enumerate(zip(ours.ravel().tolist(), elements(dut, out), strict=True)):
        name = stepper.program.layer_name(index)
        assert found == expected, f"instruction {index}, layer {name}, element {place}: {expected}, found {found}"
    raise AssertionError(f"instruction {index}: memory is equal, what was recorded is not")


def elements(dut: SimHandleBase, out: StreamState) -> Iterator[int]:
    """Yield the elements of a stream as they lie in the sequencer's activation memory."""
    signed = out.lowest < 0
    for place in np.ndindex(*out.shape):
        address = out.address(*place)
        data = bytes(int(dut.activations[address + n].value) for n in range(out.size))
        yield int.from_bytes(data, "little", signed=signed)
