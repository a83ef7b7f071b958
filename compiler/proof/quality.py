"""The verdict on the second arrow: how good a program's outputs are, and what cures those that are not."""

from collections.abc import Iterator, Sequence

from cimc.isa.program import Program
from cimc.proof.layer_losses import LayerLoss
from cimc.proof.verdict import FloatDistance

GOOD_DB, GOOD_TOP_1 = 20.0, 0.95
"""Below these an output is worth a warning: signal to quantisation noise, share of samples with the same top-1."""
MUCH_BEYOND = 0.25
"""Share of a layer's error power beyond its range from which a wider range is the cure."""


def poor(distances: Sequence[FloatDistance]) -> list[FloatDistance]:
    """Return the outputs that are worth a warning."""
    return [one for one in distances if one.decibels < GOOD_DB or one.same_top_1 < GOOD_TOP_1]


def shortfalls(distances: Sequence[FloatDistance], least_db: float | None, least_top_1: float | None) -> Iterator[str]:
    """Yield a sentence for each output below a bound in dB, or in percent of samples with the same top-1."""
    for one in distances:
        top_1 = 100 * one.same_top_1
        if least_db is not None and one.decibels < least_db:
            yield f"output {one.output!r} has {one.decibels:.1f} dB, --min-sqnr asks for {least_db:g}"
        if least_top_1 is not None and top_1 < least_top_1:
            yield f"output {one.output!r} has the same top-1 on {top_1:.1f} %, --min-top1 asks for {least_top_1:g}"


def dearest(losses: Sequence[LayerLoss]) -> LayerLoss | None:
    """Return the tensor that costs the outputs most where it alone is in codes."""
    known = [one for one in losses if one.float_sensitivity_db is not None]
    return min(known, key=lambda one: one.float_sensitivity_db or 0.0, default=None)


def cure(program: Program, loss: LayerLoss) -> str:
    """Return the option that is likely to help a tensor, and why."""
    options = program.meta["options"]
    if options.get("calibration") == "synthetic":
        return "its ranges come from made-up data: compile with --calib DATA.npz"
    if loss.beyond_share >= MUCH_BEYOND and "method=minmax" not in options["pipeline"]:
        share = f"{100 * loss.beyond_share:.0f} % of its error lies on values beyond its calibrated range"
        return f"{share}: compile with --set 'calibrate{{method=minmax}}', or with calibration data that reach as far"
    if "budget=" in options["pipeline"]:
        return "compile with a smaller budget of mixed-precision"
    if "method=" not in options["pipeline"]:
        return "its codes are too coarse: compile with --set 'calibrate{method=mse}', or for a target of more bits"
    return "its codes are too coarse: compile for a target of more bits"
