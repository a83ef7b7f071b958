"""The HERMES project chip, its single core, and four read phases."""

from cimc.backends.cost.validation.row import CALIBRATED, PREDICTED, Point, Row
from cimc.backends.cost.waterfall import OPERATIONS, peak, peak_rate
from cimc.targets.areas import area
from cimc.targets.prices import Interval
from cimc.targets.target import Target, load_target

CHIP = "abstract of Nature Electronics 6, 2023: verified"
CORE = "JSSC 2022, by others: secondary"


def rows() -> tuple[Row, ...]:
    target = load_target("hermes-64")
    one, four = _peak(target, 63.1, 9.76), _peak(load_target("hermes-64-4p"), 16.1, 2.48)
    core = OPERATIONS * target.rows * target.columns / 10.5
    overhead = 1.076
    products = [Point("TOPS/W of the chip", 9.76, OPERATIONS * target.rows * target.columns / (core * overhead))]
    cores = float((area(target) or Interval()).value)
    return (
        Row("HERMES-64", "one phase", CHIP, CALIBRATED, one, most=0.005, fitted=2),
        Row("HERMES-64", "four phases", CHIP, PREDICTED, four, most=0.03),
        Row("HERMES-64", "core to chip, 7.6 % for what cores share", CORE, CALIBRATED, products, most=0.01, fitted=1),
        Row("HERMES-64", "area", CORE, PREDICTED, [Point("mm2 of 64 cores", 63.1 / 1.55, cores)], most=0.01),
    )


def _peak(target: Target, rate: float, efficiency: float) -> list[Point]:
    ours = float(peak_rate(target).value) / 1000, float(peak(target).value)
    return [
        Point(name, known, found)
        for name, known, found in zip(("TOPS", "TOPS/W"), (rate, efficiency), ours, strict=True)
    ]
