"""Windows that the instruction cannot say are refused by the node's name, before any work is done."""

from pathlib import Path

import pytest
from frontend.onnx_models import assert_agrees, model, node, weights, written

from cimc.diagnostics import DiagnosticError
from cimc.driving.driver import Request, compile_model
from cimc.frontend import load
from cimc.isa.limits import WINDOW_MOST
from cimc.passes.windows import require_windows
from cimc.targets import load_target


def write(folder: Path, taps: int, dilation: int) -> Path:
    """Write one convolution of 1-D data."""
    how = {"dilations": [dilation], "strides": [2]}
    proto = model([node("Conv", "x w", "y", **how)], {"x": ("N", 1, 4100)}, {"w": weights(1, 1, taps)})
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


@pytest.mark.parametrize("pads", [[0, 0], [3, 5], [0, 4096]])
@pytest.mark.parametrize(("taps", "groups"), [(2, 1), (2, 2), (3, 1)])
def test_a_line_is_cut_into_rows_where_steps_of_one_are_longer(
    pads: list[int], taps: int, groups: int, tmp_path: Path
) -> None:
    """Each row is as long as a step: what lay a step apart is above each other."""
    apart = WINDOW_MOST + 2
    how = {"dilations": [apart], "pads": pads, "group": groups}
    kernel = {"w": weights(2, 2 // groups, taps), "b": weights(2, seed=1)}
    shape = ("N", 2, apart * (taps - 1) + 3)
    graph = assert_agrees(written(model([node("Conv", "x w b", "y", **how)], {"x": shape}, kernel), tmp_path))
    require_windows(graph, load_target("ideal"))
