"""Windows that the instruction cannot say are refused by the node's name, before any work is done."""

from pathlib import Path

import pytest
from frontend.onnx_models import model, node, weights, written

from cimc.diagnostics import DiagnosticError
from cimc.driving.driver import Request, compile_model
from cimc.frontend import load
from cimc.isa.limits import WINDOW_MOST
from cimc.passes.windows import require_windows
from cimc.targets import load_target


def write(folder: Path, taps: int, dilation: int) -> Path:
    """Write one convolution of 1-D data."""
    proto = model([node("Conv", "x w", "y", dilations=[dilation])], {"x": ("N", 1, 4100)}, {"w": weights(1, 1, taps)})
    return written(proto, folder)


@pytest.mark.parametrize("case", [(2, WINDOW_MOST + 1), (WINDOW_MOST + 1, 1)])
def test_what_no_window_can_say_is_refused_by_name(case: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError) as error:
        compile_model(write(tmp_path, *case), Request(load_target("ideal")))
    (problem,) = error.value.diagnostics
    assert (problem.code, problem.node) == ("CIM0304", "the_y") and f"more than {WINDOW_MOST}" in problem.message


@pytest.mark.parametrize("case", [(2, WINDOW_MOST), (1, WINDOW_MOST + 1)])
def test_the_longest_steps_and_those_of_one_element_are_no_problem(case: tuple[int, int], tmp_path: Path) -> None:
    require_windows(load(write(tmp_path, *case)), load_target("ideal"))
