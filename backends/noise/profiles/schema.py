"""What a noise profile may say: the range of its devices, and the constants of every source of noise."""

from collections.abc import Mapping

from cimc.backends.noise.table import SOURCES, Scalar

SCALARS: Mapping[str, Scalar] = {
    "device.lowest": Scalar("uS"),
    "device.highest": Scalar("uS"),
    **{key: scalar for source in SOURCES for key, scalar in source.numbers.items()},
}

CHOICES: Mapping[str, tuple[str, ...]] = {
    "device.limits": ("zero", "both"),
    **{key: choices for source in SOURCES for key, choices in source.choices.items()},
}
"""Key -> choices, the default first."""

CURVES: Mapping[str, tuple[str, ...]] = {key: units for source in SOURCES for key, units in source.curves.items()}
"""Key -> units it may have. A curve left out is 0 everywhere."""

REDRAWS = "drift.redraws"
"""A list of { seconds, sigma }: the spread around the target at each time of drift.kind = "redraw"."""

PIECE = ("form", "coefficients", "below", "clip", "of")
"""Members of a piece of a curve: curve.py has the forms; `of` = "uS" says that x is a conductance, not a share."""
