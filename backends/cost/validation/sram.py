"""SRAM macros: P-8T, and one whose energy was measured over the mean of its outputs."""

from fractions import Fraction
from math import sqrt

from cimc.backends.cost.validation.row import CALIBRATED, PREDICTED, RULE, Point, Row
from cimc.targets.macro import Macro, load_macro

P_8T = "abstracts of arXiv 2211.16008 and JSSC 2023: verified"
SRAM = "JSSC 2021, figure 13a and table I as CiMLoop reads them: secondary"
PICOJOULES = {0: 3.36, 1: 4.56, 2: 5.03, 4: 5.44, 6: 5.84, 8: 6.29, 10: 6.66, 12: 7.04, 15: 7.80}
"""Mean output -> energy of a product at 0.8 V."""
AT_1_V = 1.415
"""Energy at 1 V over that at 0.8 V: fitted to the smallest and largest output."""


NM_65 = "JSSC 2020 (10.1109/JSSC.2020.2987714), table by others: secondary"
NM_22 = "JSSC 2023, 22 nm, by others: secondary"
COLUMN = {0.85: (1.79, 9.7), 1.2: (3.56, 20.4)}
"""Volts -> energy in pJ of a column's ADC and of its cells, 65 nm."""
PER_W = {0.85: 400.0, 1.2: 192.0}
"""Volts -> TOPS/W of operations of one bit, 65 nm."""


def rows() -> tuple[Row, ...]:
    return (*_products(), *_by_voltage(load_macro("sram-65nm")))


def _by_voltage(sram: Macro) -> tuple[Row, ...]:
    """Return the rows of two macros at two voltages.

    Prices are those of the lower one: for the other there are rules alone, that what columns take makes up TOPS/W, and
    follows the square.
    """
    (low, before), (high, after) = COLUMN.items()
    priced = [Point(f"TOPS/W at {low} V", PER_W[low], sram.operations / float(sram.energy_pj(sram.full()).value))]
    split = [Point(f"TOPS/W at {high} V", PER_W[high], 2 * int(sram.constants["array.rows"]) / sum(after))]
    named = zip(("ADC", "cells"), before, after, strict=True)
    square = [Point(f"{name} at {high} V", dear, cheap * (high / low) ** 2) for name, cheap, dear in named]
    peak = [Point("TOPS at 0.85 V", 0.874, sram.operations / float(sram.time_ns(sram.full()).value) / 1000)]
    other = [Point("TOPS/W at 1.1 V", 15.5, 32.2 * (0.7 / 1.1) ** 2)]
    unmarked = "no pass mark: which of its supplies changed is not known to us"
    return (
        Row("65 nm SRAM", "TOPS", NM_65, CALIBRATED, peak, most=0.01, fitted=1),
        Row("65 nm SRAM", "TOPS/W", NM_65, PREDICTED, priced, most=0.01),
        Row("65 nm SRAM", "TOPS/W from what ADC and cells of a column take", NM_65, RULE, split, most=0.01),
        Row("65 nm SRAM", "pJ of a column by the square of the voltage", NM_65, RULE, square, most=0.1),
        Row("22 nm SRAM", "TOPS/W by the square of the voltage", NM_22, RULE, other, note=unmarked),
    )


def _products() -> tuple[Row, ...]:
    p_8t, sram = load_macro("p-8t"), load_macro("sram-7nm")
    ours = p_8t.operations / float(p_8t.energy_pj(p_8t.full()).value)
    both = [Point("design", 50.07, ours), Point("measured at 0.6 V", 50.1, ours)]
    energies = [Point(f"mean output {mean}", pj, _energy(sram, mean)) for mean, pj in PICOJOULES.items()]
    low = [
        Point(f"output {n}, 0.8 V", w, sram.operations / _energy(sram, n))
        for n, w in ((15, 262.3), (6, 351), (0, 610.5))
    ]
    ends, middle = (
        [Point(f"output {n}, 1 V", w, sram.operations / (AT_1_V * _energy(sram, n))) for n, w in figures]
        for figures in (((15, 189.3), (0, 435.5)), ((6, 321.0),))
    )
    rate = [Point("GOPS", 372.4, sram.operations / float(sram.time_ns(sram.full()).value))]
    return (
        Row(
            "P-8T", "TOPS/W, operations of 4-bit inputs and 8-bit weights", P_8T, CALIBRATED, both, most=0.01, fitted=1
        ),
        Row("7 nm SRAM", "pJ by mean output", SRAM, CALIBRATED, energies, most=0.04, fitted=2),
        Row("7 nm SRAM", "GOPS", SRAM, CALIBRATED, rate, most=0.08, fitted=1),
        Row("7 nm SRAM", "TOPS/W at 0.8 V", SRAM, PREDICTED, low, most=0.08),
        Row("7 nm SRAM", "TOPS/W at 1 V, ends", SRAM, CALIBRATED, ends, most=0.08, fitted=1),
        Row("7 nm SRAM", "TOPS/W at 1 V, middle", SRAM, PREDICTED, middle, most=0.08, expected=MIDDLE),
    )


MIDDLE = "the published figure lies off the line through its own neighbours; CiMLoop's model misses it by as much"


def _energy(macro: Macro, mean: int) -> float:
    """Return the energy of a product in pJ: it follows the root of its mean output, as pulses do."""
    return float(macro.energy_pj({"fixed": Fraction(1), "root": Fraction(sqrt(mean))}).value)
