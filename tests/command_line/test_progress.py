"""What a compile shows of itself: its passes on a terminal, its layers on request."""

import contextlib
import json
from pathlib import Path

import pytest
from command_line.conftest import Command
from command_line.files import lay
from command_line.test_cases import Terminal
from frontend.onnx_models import model, node, weights, written

from cimc.command_line import main

DEEP = model(
    [node("Gemm", f"{'x' if n == 0 else f'h{n}'} w", "y" if n == 13 else f"h{n + 1}") for n in range(14)],
    {"x": ("N", 6)},
    {"w": weights(6, 6)},
)


def test_the_passes_of_a_compile_are_counted_on_a_terminal(folder: Path) -> None:
    for name in ("good.onnx", "rows.npz"):
        lay(name, folder)
    with contextlib.redirect_stderr(Terminal()) as shown:
        assert main(["compile", "good.onnx", "--calib", "rows.npz", "-o", "p.cimb"]) == 0
    assert "\rcompiling 1/" in shown.getvalue() and "\r\x1b[K" in shown.getvalue()


def test_nothing_is_counted_in_a_pipe(cimc: Command) -> None:
    assert "compiling" not in cimc("compile good.onnx --calib rows.npz -o p.cimb")[1]


@pytest.mark.parametrize("option", ["", " --all-layers", " --json"])
def test_all_layers_are_shown_on_request(option: str, cimc: Command, folder: Path) -> None:
    written(DEEP, folder)
    status, output = cimc(f"compile model.onnx --calib rows.npz -o p.cimb{option}")
    assert status == 0
    if "json" in option:
        assert len(json.loads(output.splitlines()[-1])["every_layer"]) == 14
    else:
        assert ("and 2 more: --all-layers" in output) == (option == "")
