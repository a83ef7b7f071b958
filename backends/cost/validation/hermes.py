"""The HERMES project chip, its single core, and four read phases."""

from cimc.backends.cost.validation.row import CALIBRATED, PREDICTED, Point, Row
from cimc.backends.cost.waterfall import OPERATIONS, peak, peak_rate
from cimc.targets.target import load_target

CHIP = "abstract of Nature Electronics 6, 2023: verified"
CORE = "JSSC 2022, by others: secondary"
PHASES = 4
CORE_AREA = 0.634
"""mm2 of a core [D]: 1.008 TOPS over 1.59 TOPS/mm2."""


def rows() -> tuple[Row, ...]:
    target = load_target("hermes-64")
    rate, efficiency = float(peak_rate(target).value) / 1000, float(peak(target).value)
    one = [Point("TOPS", 63.1, rate), Point("TOPS/W", 9.76, efficiency)]
    four = [Point("TOPS", 16.1, rate / PHASES), Point("TOPS/W", 2.48, efficiency / PHASES)]
    core = OPERATIONS * target.rows * target.columns / 10.5
    overhead = 1.076
    products = [Point("TOPS/W of the chip", 9.76, OPERATIONS * target.rows * target.columns / (core * overhead))]
    area = [Point("mm2 of 64 cores", 63.1 / 1.55, int(target.constants["array.tiles"]) * CORE_AREA)]
    return (
        Row("HERMES-64", "one phase", CHIP, CALIBRATED, one, most=0.005, fitted=2),
        Row("HERMES-64", "four phases, by four times one", CHIP, PREDICTED, four, most=0.03),
        Row("HERMES-64", "core to chip, 7.6 % for what cores share", CORE, CALIBRATED, products, most=0.01, fitted=1),
        Row("HERMES-64", "area", CORE, PREDICTED, area, most=0.01),
    )
