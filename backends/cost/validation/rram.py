"""RRAM chips: NeuRRAM at ten settings, and two macros whose power was measured over the rows driven."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from cimc.backends.cost.validation.fit import left_out
from cimc.backends.cost.validation.row import CALIBRATED, PREDICTED, Point, Row
from cimc.targets.macro import Done, Macro, load_macro

NEURRAM = "Nature 608, 2022, figures 12c and 12d as CiMLoop reads them: secondary"
SETTINGS = {
    (3, 1, 1): (2.12230988, 43.07875866),
    (4, 2, 1): (1.793083771, 40.33412834),
    (5, 3, 1): (1.165400233, 23.09069279),
    (6, 4, 1): (0.7438677864, 15.95409517),
    (7, 5, 1): (0.4515642, 11.32999012),
    (8, 6, 1): (0.260797508, 9.12235241),
    (7, 5, 2): (0.5254091287, 11.03166076),
    (8, 6, 2): (0.4177183338, 8.257196816),
    (9, 7, 2): (0.343873405, 7.750037817),
    (10, 8, 2): (0.2638743409, 6.437388185),
}
"""Bits of output and input, and input phases -> TOPS of the chip and TOPS/W."""
FIRST_STEPS = 6
"""Steps of the conversion behind the first of two input phases: fitted."""

MILLIWATTS: Mapping[str, Mapping[int, float]] = {
    "rram-28nm-2b": {64: 67.2, 128: 87.0, 256: 126.6, 512: 195.0},
    "rram-28nm-4b": {128: 77.05, 256: 88.93, 384: 100.23, 512: 111.43},
}
"""Macro -> power by the number of rows driven."""


def rows() -> tuple[Row, ...]:
    return (
        *_neurram(load_macro("neurram")),
        *_two_bits(load_macro("rram-28nm-2b")),
        *_four(load_macro("rram-28nm-4b")),
    )


def pulses(output: int, inputs: int, phases: int) -> Done:
    """Return what a product does: pulses of a sign and a magnitude, in one train or in two of half the bits."""
    magnitude = max(inputs - 1, 1)
    trains = [magnitude] if phases == 1 else [magnitude - magnitude // 2, magnitude // 2]
    return {
        "integrate": Fraction(sum(2**bits - 1 for bits in trains)),
        "step": Fraction(output + FIRST_STEPS * (phases - 1)),
        "gap": Fraction(phases),
        "input_bit": Fraction(magnitude),
    }


def _neurram(macro: Macro) -> tuple[Row, ...]:
    done = [pulses(*setting) for setting in SETTINGS]
    spent = [macro.operations / efficiency for _, efficiency in SETTINGS.values()]
    operations = int(macro.constants["array.macros"]) * macro.operations
    times = [operations / float(macro.time_ns(one).value) / 1000 for one in done]
    energies = [macro.operations / float(macro.energy_pj(one).value) for one in done]
    prices = ("integrate", "step", "input_bit")
    others = left_out([[float(one[name]) for name in prices] for one in done], spent)
    labels = [f"{out}/{into} bits, {phases} trains" for out, into, phases in SETTINGS]
    rates, efficiencies = zip(*SETTINGS.values(), strict=True)
    note = f"the conversion behind the first of two trains takes {FIRST_STEPS} steps: fitted as well"
    one_out = _points(labels, efficiencies, [macro.operations / one for one in others])
    fit = _points(labels, efficiencies, energies)
    return (
        Row("NeuRRAM", "TOPS", NEURRAM, PREDICTED, _points(labels, rates, times), most=0.1, mean=0.05, note=note),
        Row("NeuRRAM", "TOPS/W", NEURRAM, CALIBRATED, fit, most=0.08, mean=0.03, fitted=4),
        Row("NeuRRAM", "TOPS/W, leave one out", NEURRAM, PREDICTED, one_out, most=0.1),
    )


def _points(labels: Sequence[str], published: Sequence[float], ours: Sequence[float]) -> list[Point]:
    return [Point(*figures) for figures in zip(labels, published, ours, strict=True)]


def _two_bits(macro: Macro) -> tuple[Row, ...]:
    source = "A-SSCC 2025, paper 25.4, by others: secondary"
    peak = [Point("TOPS", 17.5, _tops(macro)), Point("TOPS/W", 89.7, macro.operations / _full_pj(macro))]
    return (*_power(macro, source, 0.03, 0.06), Row(macro.name, "peak", source, PREDICTED, peak, most=0.01))


def _four(macro: Macro) -> tuple[Row, ...]:
    """The published TOPS/W are a range, whose middle ours lies in by a third of it."""
    source = "ESSERC 2024, p. 577, by others: secondary"
    low, high = 19.3, 39.3
    inside = [Point(f"TOPS/W inside {low} .. {high}", (low + high) / 2, macro.operations / _full_pj(macro))]
    return (
        *_power(macro, source, 0.005, 0.01),
        Row(macro.name, "peak TOPS", source, PREDICTED, [Point("TOPS", 2.84, _tops(macro))], most=0.005),
        Row(macro.name, "peak TOPS/W", source, PREDICTED, inside, most=(high - low) / (high + low)),
    )


def _power(macro: Macro, source: str, most: float, most_left_out: float) -> tuple[Row, Row]:
    measured = MILLIWATTS[macro.name]
    time = float(macro.constants["timing.phase"])
    ours = [float(macro.energy_pj({"fixed": Fraction(1), "row": Fraction(n)}).value) / time for n in measured]
    others = left_out([[1.0, float(n)] for n in measured], list(measured.values()))
    labels, published = [f"{n} rows" for n in measured], list(measured.values())
    return (
        Row(macro.name, "mW", source, CALIBRATED, _points(labels, published, ours), most=most, fitted=2),
        Row(macro.name, "mW, leave one out", source, PREDICTED, _points(labels, published, others), most=most_left_out),
    )


def _tops(macro: Macro) -> float:
    return macro.operations / float(macro.time_ns(macro.full()).value) / 1000


def _full_pj(macro: Macro) -> float:
    return float(macro.energy_pj(macro.full()).value)
