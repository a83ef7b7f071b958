"""Preprocessing is stated once: the program keeps it, and every command applies it, whoever forgets it."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frontend.onnx_models import model, node, weights
from numpy.typing import NDArray

import cimc
from cimc.backends.machine import ports
from cimc.driving.feeding import Feeding, preprocessed, program_intakes
from cimc.isa.errors import CimcError
from cimc.isa.preprocessing import Preprocessing
from cimc.isa.program import Program

RAW = np.random.default_rng(1).integers(0, 256, (20, 3, 5, 4)).astype(np.uint8)
STEPS = Preprocessing(-3.0, 1 / 255, (0.5, 0.25, 0.125), (0.5, 2.0, 4.0))
CONV = model([node("Conv", "x w", "y")], {"x": ("N", 3, 5, 4)}, {"w": weights(4, 3, 1, 1)}).SerializeToString()


@pytest.fixture(scope="module")
def program() -> Program:
    return cimc.compile_model(CONV, target="ideal", calibration=RAW, preprocessing=STEPS)


def real() -> NDArray[np.float32]:
    return preprocessed(RAW, STEPS)


def test_the_formula() -> None:
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (STEPS.mean, STEPS.std))
    wanted = ((((RAW + np.float64(-3.0)) * (1 / 255)) - mean) / std).astype(np.float32)
    assert np.array_equal(real(), wanted)
    channels_last = preprocessed(np.moveaxis(RAW, 1, -1), STEPS)
    assert np.array_equal(channels_last, np.moveaxis(wanted, 1, -1))


def test_without_mean_and_std_it_is_offset_and_scale() -> None:
    found = preprocessed(RAW, Preprocessing(-83.0, 0.5847029))
    assert np.array_equal(found, ((RAW.astype(np.float64) - 83.0) * 0.5847029).astype(np.float32))


def test_the_program_keeps_it_and_computes_the_same(program: Program) -> None:
    """On raw data what it computes on real values, and what a program computes that was calibrated on these."""
    assert program.inputs[0].preprocessing == STEPS
    (outputs,) = cimc.run(program, RAW).values()
    assert np.array_equal(outputs, cimc.run(program, real(), feed="model")["y"])
    plain = cimc.compile_model(CONV, target="ideal", calibration=real())
    assert plain.inputs[0].preprocessing is None
    assert (plain.instructions, plain.constants, plain.meta) == (program.instructions, program.constants, program.meta)
    assert np.array_equal(outputs, cimc.run(plain, real())["y"])


def test_codes_are_taken_as_they_are(program: Program) -> None:
    port = program.inputs[0]
    codes = ports.model_order(port, ports.quantise(port, real()))
    assert np.array_equal(cimc.run(program, codes, feed="codes")["y"], cimc.run(program, RAW)["y"])


@pytest.mark.parametrize("code", [128.0, -129.0, 0.5])
def test_what_is_no_code_is_refused(program: Program, code: float) -> None:
    with pytest.raises(CimcError, match=r"CIM0553.*takes codes"):
        cimc.run(program, np.full((1, 3, 5, 4), code), feed="codes")


def test_the_proof_states_it_again(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "conv.onnx"
    path.write_bytes(CONV)
    assert cimc.verify(path, program, RAW[:2]).ok
    forged = replace(program, inputs=(replace(program.inputs[0], preprocessing=Preprocessing()),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cimc.CimcWarning)
        assert cimc.verify(path, forged, RAW[:2]).ok  # another statement of what data are, and the same arithmetic


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"": {"offset": -3.0}}, ""),
        ({"x": {"scale": 1 / 255, "mean": STEPS.mean}}, ""),
        ({"": {"offset": -4.0}}, "offset -4.0 is given, the program holds -3.0"),
        ({"x": {"std": (1.0,)}}, r"std 1.0 is given, the program holds 0.5,2.0,4.0"),
        ({"z": {"scale": 2.0}}, "'z', which is no input"),
    ],
)
def test_what_is_stated_again_must_be_the_same(program: Program, stated: Any, said: str) -> None:
    if said:
        with pytest.raises(CimcError, match=said):
            program_intakes(program, Feeding(stated))
    else:
        assert program_intakes(program, Feeding(stated))[0].preprocessing == STEPS


@pytest.mark.parametrize("kind", ["model", "codes"])
def test_data_that_need_none_get_none_stated(program: Program, kind: str) -> None:
    with pytest.raises(CimcError, match=f"--feed {kind} says"):
        program_intakes(program, Feeding({"": {"scale": 2.0}}, kind))


def test_a_program_that_holds_none_takes_what_is_given(program: Program) -> None:
    bare = replace(program, inputs=(replace(program.inputs[0], preprocessing=None),))
    assert program_intakes(bare, Feeding())[0].preprocessing is None
    assert program_intakes(bare, Feeding({"": {"scale": 2.0}}))[0].preprocessing == Preprocessing(scale=2.0)


def test_inputs_of_whole_numbers_are_never_fed(program: Program) -> None:
    whole = replace(program, inputs=(replace(program.inputs[0], preprocessing=None, whole=True),))
    with pytest.raises(CimcError, match="no input takes real numbers"):
        program_intakes(whole, Feeding({"": {"scale": 2.0}}))
    with pytest.raises(CimcError, match="input 'x' takes whole numbers"):
        program_intakes(whole, Feeding({"x": {"scale": 2.0}}))
    both = replace(program, inputs=(*whole.inputs, replace(program.inputs[0], name="image")))
    found = program_intakes(both, Feeding({"": {"offset": -3.0}}))
    assert [one.preprocessing for one in found] == [None, STEPS]
