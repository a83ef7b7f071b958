"""The sample network in SystemVerilog: its trace equals ours, and each broken variant is named by layer."""

import importlib.util
import shutil
from pathlib import Path

import pytest
from conformance.rtl import script

from cimc.bringup.difference import compare
from cimc.bringup.record import record_of
from cimc.isa.container import load_program

FIRST = {
    2: (6, "node_conv2d"),
    5: (16, "node_conv2d"),
    6: (16, "node_conv2d"),
    7: (6, "node_conv2d"),
    10: (20, "node_max_pool2d"),
    11: (32, "node_add_30"),
    13: (16, "node_conv2d"),
    14: (6, "node_conv2d"),
    15: (16, "node_conv2d"),
}
"""Fault -> the instruction and the layer where its trace first differs from ours on this sample."""
UNSEEN = (1, 3, 4, 8, 9, 12)
"""Faults that this sample of a trained network does not show: no sum is a tie, no code is clipped, borders are 0."""


@pytest.fixture(scope="module", params=["icarus", "verilator"])
def simulator(request, tmp_path_factory):
    """A function from a fault to the comparison of its trace with ours, and the program."""
    name = {"icarus": "iverilog", "verilator": "verilator"}[request.param]
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed here")
    folder, cosim = tmp_path_factory.mktemp(request.param), script()
    cosim.prepare(folder, [])
    command = cosim.build(folder, request.param)

    def run(fault):
        cosim.simulate(folder, command, fault)
        return compare(*((folder / f"{which}.trace").read_text().splitlines() for which in ("ours", "chip")))

    return run, load_program(folder / "digits.cimb")


def test_the_trace_is_ours(simulator):
    run, _ = simulator
    found = run(0)
    assert (found.difference, found.equal) == (None, 17)


@pytest.fixture(scope="module")
def in_lock_step(tmp_path_factory):
    """A function from a fault to what differs first between the sequencer and the golden model."""
    pytest.importorskip("cocotb", reason="cocotb is not installed here: pip install '.[cosim]'")
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed here")
    folder, cosim = tmp_path_factory.mktemp("lockstep"), script()
    cosim.prepare(folder, [])
    cosim.build(folder, "icarus")
    return lambda fault: cosim.lock_step(folder, fault)


@pytest.mark.skipif(importlib.util.find_spec("cocotb") is not None, reason="cocotb is installed here")
def test_without_cocotb_lock_step_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cosim.py", "--lock-step"])
    with pytest.raises(SystemExit, match="2"):
        script().main()
    assert "pip install '.[cosim]'" in capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("fault", "told"),
    [(0, ""), (5, "instruction 16, layer node_conv2d, "), (11, "instruction 32, layer node_add_30, ")],
)
def test_in_lock_step_with_the_golden_model(in_lock_step, fault, told):
    differs = in_lock_step(fault)
    assert differs.startswith(told) and bool(differs) == bool(fault)


@pytest.mark.nightly
@pytest.mark.parametrize("fault", FIRST)
def test_a_broken_variant_is_named(simulator, fault):
    run, program = simulator
    difference = run(fault).difference
    assert difference
    index = record_of(difference.expected.line).prefix.index
    assert (index, program.layer_name(index)) == FIRST[fault]


@pytest.mark.nightly
@pytest.mark.parametrize("fault", UNSEEN)
def test_natural_vectors_are_weak(simulator, fault):
    run, _ = simulator
    assert run(fault).difference is None


@pytest.mark.nightly
@pytest.mark.skipif(not shutil.which("iverilog"), reason="iverilog is not installed here")
def test_a_noisy_chip_is_another_image(tmp_path: Path):
    cosim = script()
    cosim.prepare(tmp_path, ["--noise", "pcm", "--seed", "1", "--time", "1d"])
    cosim.simulate(tmp_path, cosim.build(tmp_path, "icarus"), 0)
    found = compare(*((tmp_path / f"{which}.trace").read_text().splitlines() for which in ("ours", "chip")))
    assert (found.difference, found.equal) == (None, 12)
