"""Known answers of the noise machine, for those who build another: `python -m cimc.bringup.known_answers`."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from cimc.backends.machine.facts import Machine
from cimc.backends.noise import draws
from cimc.backends.noise.device_tables import aging
from cimc.backends.noise.fixed_point import FLICKER_BITS, flicker
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import CYCLE, DRIFT, PROGRAMMING, READ, STUCK
from cimc.backends.reference.devices import Devices, Place

FORMAT = "cimc-known-answers 1"
SEEDS = (0, 1, 2**63 + 5)
TIMES = (0, 1, 3600, 86400, 2592000, 31536000)
TARGETS = (0, 1, 100, 254, 508)
PROFILES = ("generic", "hermes", "pcm", "pcm,read.time=correlated", "reram-cmo", "reram-wan")
SOURCES = frozenset({"programming", "drift", "read"})
CHIP = Machine(
    tiles=1,
    rows=16,
    columns=8,
    levels=127,
    fraction_bits=2,
    unprogrammed=0,
    dac_bits=8,
    dac_codes="symmetric",
    adc_bits=8,
    adc_codes="symmetric",
    adc_rounding="nearest-even",
    multiplexing=4,
)
"""What a device is on: its highest code is 508."""


def answers() -> dict[str, Any]:
    """Return everything that the file holds."""
    return {
        "format": FORMAT,
        "words": list(_words()),
        "times": list(_times()),
        "devices": list(_devices()),
    }


def _words() -> Iterator[dict[str, int]]:
    """Yield random words and normal variables (2^-16) by address."""
    for seed in SEEDS:
        for purpose, stream in ((PROGRAMMING, 0), (DRIFT, 3), (READ, 1 << 16), (STUCK, 2), (CYCLE, 5 << 16 | 7)):
            for sample, vector, index in ((0, 0, 0), (0, 1, 7), (1, 0, 8), (86400, 1023, 1023), (2, 3 << 32 | 9, 15)):
                address = (seed, purpose, stream, sample, vector, index)
                named = dict(zip(("seed", "purpose", "stream", "sample", "vector", "index"), address, strict=True))
                yield {**named, "word": draws.word(*address), "normal": draws.normal(*address)}


def _times() -> Iterator[dict[str, Any]]:
    """Yield log2(t / t_0) in 2^-20 and the growth of 1/f noise in 2^-16 of profiles at times."""
    for name in PROFILES:
        profile = load_profile(name)
        for seconds in TIMES if profile.choices["drift.kind"] != "redraw" else (0, 1, 86400):
            start = profile.numbers["drift.start"] if profile.choices["drift.kind"] == "power" else Decimal(0)
            grows = profile.choices["read.time"] != "constant"
            growth = flicker(seconds + start, profile.numbers["read.duration"]) if grows else 1 << FLICKER_BITS
            aged = aging(profile, CHIP.full_conductance, seconds)
            yield {"profile": name, "seconds": seconds, "log2": aged.exponent, "growth": growth}


def _devices() -> Iterator[dict[str, Any]]:
    """Yield devices: programmed value (2^-12 codes), drift variable, conductance (2^-12 codes) and code at times."""
    for name in PROFILES:
        profile = load_profile(name)
        times = (0, 86400) if profile.choices["drift.kind"] == "redraw" else (0, 3600, 31536000)
        for number, target in enumerate(TARGETS):
            place: Place = (0, 3 + number, 5, draws.POLARITIES[number % 2], 0)
            yield {"profile": name, **_device(Devices(CHIP, Noise(profile, 11, 0, SOURCES)), place, target, times)}


def _device(laws: Devices, place: Place, target: int, times: tuple[int, ...]) -> dict[str, Any]:
    device = laws.program(place, target, None)
    fine = {seconds: laws.fine({place: device}, seconds) for seconds in times}
    tile, row, col, polarity, pair = place
    return {
        "seed": laws.noise.seed,
        "tile": tile,
        "row": row,
        "column": col,
        "polarity": polarity,
        "pair": pair,
        "target": target,
        "programmed": device.value,
        "drift": device.drift,
        "at": [{"seconds": s, "fine": value, "code": laws.code(value, tile, row)} for s, value in fine.items()],
    }


def text() -> str:
    """Return the file: one answer a line."""
    found = answers()
    lines = [f' "{key}": [\n  ' + ",\n  ".join(map(json.dumps, found[key])) + "\n ]" for key in list(found)[1:]]
    return "{\n" + ",\n".join([f' "format": {json.dumps(found["format"])}', *lines]) + "\n}\n"


if __name__ == "__main__":
    print(text(), end="")
