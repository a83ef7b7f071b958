"""Times as people write them: 25s, 10m, 1h, 1d, 30d, 1y."""

import re

from cimc.diagnostics import fail

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}


def seconds(text: str, place: str = "--time") -> int:
    """Return a time in whole seconds. Raises CimcError CIM0003, which names `place`."""
    match = re.fullmatch(r"(\d{1,13})([smhdy])", text)
    if not match:
        raise fail(
            "CIM0003",
            f"{place}: {text!r} is no time",
            hint="write a whole number and a unit: 25s, 10m, 1h, 1d, 30d, 1y",
        )
    return int(match[1]) * UNITS[match[2]]


def written(time_s: int) -> str:
    """Return whole seconds in the largest unit that holds them without a rest, as `seconds` reads it."""
    unit = next(name for name in reversed(UNITS) if time_s % UNITS[name] == 0) if time_s else "s"
    return f"{time_s // UNITS[unit]}{unit}"


def spoken(duration_s: float) -> str:
    """Return a duration as progress lines show it: 8 s, 3 min, 2 h 05 min."""
    if duration_s < 90:
        return f"{duration_s:.0f} s"
    minutes = round(duration_s / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
