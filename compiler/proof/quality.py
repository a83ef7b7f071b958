"""The verdict on the second arrow: how good a program's outputs are, and what cures those that are not."""

from collections.abc import Sequence

from cimc.driving.distances import FloatDistance
from cimc.driving.outliers import KEEPS_ALL
from cimc.isa.program import Program
from cimc.proof.layer_losses import LayerLoss

GOOD_DB, GOOD_TOP_1 = 20.0, 0.95
"""Below these an output is worth a warning: signal to quantisation noise, share of samples with the same top-1."""
MUCH_BEYOND = 0.25
"""Share of a layer's error power beyond its range from which a wider range is the cure."""


def poor(distances: Sequence[FloatDistance]) -> list[FloatDistance]:
    """Return the outputs that are worth a warning."""
    return [one for one in distances if one.decibels < GOOD_DB or one.same_top_1 < GOOD_TOP_1]


def dearest(losses: Sequence[LayerLoss]) -> LayerLoss | None:
    """Return the tensor that costs the outputs most where it alone is in codes."""
    known = [one for one in losses if one.float_sensitivity_db is not None]
    return min(known, key=lambda one: one.float_sensitivity_db or 0.0, default=None)


def cure(program: Program, loss: LayerLoss) -> str:
    """Return the option that is likely to help a tensor, and why."""
    options = program.meta["options"]
    if options.get("calibration") == "synthetic":
        return "its ranges come from made-up data: compile with --calib DATA.npz"
    if loss.beyond_share >= MUCH_BEYOND and KEEPS_ALL not in options["pipeline"]:
        share = f"{100 * loss.beyond_share:.0f} % of its error lies on values beyond its calibrated range"
        return f"{share}: compile with --set 'calibrate{{{KEEPS_ALL}}}', or with calibration data that reach as far"
    if "budget=" in options["pipeline"]:
        return "compile with a smaller budget of mixed-precision"
    if "method=" not in options["pipeline"]:
        return "its codes are too coarse: compile with --set 'calibrate{method=mse}', or for a target of more bits"
    return "its codes are too coarse: compile for a target of more bits"
