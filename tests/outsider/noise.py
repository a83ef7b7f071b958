"""Noise of devices as docs/noise.md describes it, in plain Python: programming, drift, read noise of one pair."""

import tomllib
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

PROFILES = Path(__file__).parents[2] / "backends" / "noise" / "profiles"
PROGRAMMING, DRIFT, READ, REDRAW, OF_STRETCH, STRETCHES = 1, 2, 3, 4, 16, 17
M64 = (1 << 64) - 1


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> list[int]:
    """Philox4x64-10: the eight 32-bit words at a counter, low halves first."""
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        x, y = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = (y >> 64) ^ b ^ k, y & M64, (x >> 64) ^ d ^ m, x & M64
        k, m = k + 0x9E3779B97F4A7C15 & M64, m + 0xBB67AE8584CAA73B & M64
    return [word >> shift & 0xFFFFFFFF for word in (a, b, c, d) for shift in (0, 32)]


def word(seed: int, purpose: int, stream: int, sample: int, vector: int, index: int) -> int:
    return philox((index // 8, vector, sample, purpose + (stream << 32)), (seed, 0))[index % 8]


@cache
def grid(row: int, cell: int) -> int:
    """round(2^16 z), z exceeded in magnitude with probability 2^-(row + 1) (1 + cell / 32)."""
    p = 2.0 ** -(row + 1) * (1 + cell / 32)
    return round(-NormalDist().inv_cdf(p / 2) * 65536)


def normal(*address: int) -> int:
    drawn = word(*address)
    u = drawn & 0x7FFFFFFF or 1
    zeros = 31 - u.bit_length()
    digits = u << zeros
    cell, rest = digits >> 25 & 31, digits & (1 << 25) - 1
    high, low = grid(zeros, cell), grid(zeros, cell + 1)
    size = high - ((high - low) * rest + (1 << 24) >> 25)
    return -size if drawn >> 31 else size


def rounded(value: int, bits: int) -> int:
    """value / 2^bits to the nearest, ties upwards."""
    return value + (1 << bits >> 1) >> bits


@cache
def log2(ratio: Fraction) -> int:
    """floor(2^20 log2(ratio)): the integer part by halving, each further bit by squaring."""
    whole = 0
    while ratio >= 2:
        ratio, whole = ratio / 2, whole + 1
    mantissa, found = (ratio.numerator << 128) // ratio.denominator, whole
    for _ in range(20):
        mantissa = mantissa * mantissa >> 128
        bit = mantissa >> 129
        mantissa >>= bit
        found = found << 1 | bit
    return found


@cache
def halvings() -> list[int]:
    with localcontext() as context:
        context.prec = 40
        return [int((2**30 * (-Decimal(2).ln() * i / 1024).exp()).to_integral_value()) for i in range(1025)]


@dataclass(frozen=True)
class Profile:
    """A profile's file, and the highest conductance code C of the target."""

    facts: dict[str, Any]
    highest: int
    known: dict[Any, int] = field(default_factory=dict, compare=False)
    """Table entries that were asked for before."""

    def number(self, section: str, name: str, default: str) -> Decimal:
        entry = self.facts.get(section, {}).get(name)
        return Decimal(entry["value"]) if entry else Decimal(default)

    def choice(self, section: str, name: str, default: str) -> str:
        return str(self.facts.get(section, {}).get(name, default))

    @property
    def range(self) -> tuple[Decimal, Decimal]:
        return self.number("device", "lowest", "0"), self.number("device", "highest", "0")

    def curve(self, entry: dict[str, Any] | None, x: Decimal) -> Decimal:
        """The value of a curve at a conductance relative to the range, in units of the range where it is in uS."""
        if entry is None:
            return Decimal(0)
        low, high = self.range
        pieces = entry.get("pieces") or [{"form": "polynomial", "coefficients": [entry["value"]]}]
        piece = next(p for p in pieces if "below" not in p or x < p["below"])
        value = form(piece, low + x * (high - low) if piece.get("of") == "uS" else x)
        if "clip" in piece:
            value = min(max(value, Decimal(piece["clip"][0])), Decimal(piece["clip"][1]))
        value = max(value, Decimal(0))
        return value / (high - low) if entry["unit"] == "uS" else value

    def sigma(self, section: str, code: int, factor: Decimal) -> int:
        return self.tabled(self.facts.get(section, {}).get("sigma"), code, factor)

    def tabled(self, entry: dict[str, Any] | None, code: int, factor: Decimal) -> int:
        key = (id(entry), code, factor)
        if key not in self.known:
            with localcontext() as context:
                context.prec = 40
                value = self.curve(entry, Decimal(code) / self.highest) * factor
                self.known[key] = int(value.to_integral_value())
        return self.known[key]


def form(piece: dict[str, Any], x: Decimal) -> Decimal:
    c, tiny = [Decimal(value) for value in piece["coefficients"]], Decimal("1e-7")
    if piece["form"] == "polynomial":
        total = Decimal(0)
        for coefficient in reversed(c):
            total = total * x + coefficient
        return total
    if piece["form"] == "inverse-power":
        return c[0] / max((c[1] * x.ln()).exp() if x > 0 else Decimal(0), c[2])
    return c[0] * (max(x, tiny).ln() if piece["form"] == "ln" else max(x, tiny).log10()) + c[1]


def load(name: str, highest: int) -> Profile:
    """A profile's file by name, and what follows it: `pcm,read.time=correlated` (choices alone)."""
    name, *changes = name.split(",")
    facts = tomllib.loads((PROFILES / f"{name}.toml").read_text(), parse_float=Decimal)
    for change in changes:
        key, value = change.split("=")
        section, entry = key.split(".")
        facts[section][entry] = value
    return Profile(facts, highest)


@dataclass(frozen=True)
class Chip:
    """Devices of one seed."""

    profile: Profile
    seed: int
    times: dict[int, int] = field(default_factory=dict, compare=False)

    @property
    def ceiling(self) -> int:
        limited = self.profile.choice("device", "limits", "zero") == "both"
        return (1 if limited else 4) * self.profile.highest << 12

    def address(self, purpose: int, place: tuple[int, int, int, int, int], sample: int) -> tuple[int, ...]:
        tile, row, column, polarity, pair = place
        return self.seed, purpose, tile + (pair << 16), sample, row, 2 * column + polarity

    def programmed(self, place: tuple[int, int, int, int, int], target: int, writes: int = 0) -> tuple[int, int]:
        """Value in 2^-12 codes and drift variable of a device that was programmed so often before."""
        p = self.profile
        unit = p.number("programming", "scale", "1") * (p.highest << 12)
        z = normal(*self.address(PROGRAMMING, place, writes))
        value = (target << 12) + rounded(p.sigma("programming", target, unit) * z, 16)
        return min(max(value, 0), self.ceiling), self._drift(place, target, writes)

    def _drift(self, place: tuple[int, int, int, int, int], target: int, writes: int) -> int:
        p, z = self.profile, normal(*self.address(DRIFT, place, writes))
        if p.choice("drift", "kind", "none") != "power":
            return z
        unit = p.number("drift", "scale", "1") * (1 << 20)
        mean = p.tabled(p.facts["drift"].get("mean"), target, unit)
        return abs(mean + rounded(p.sigma("drift", target, unit) * z, 16))

    def conductance(self, place: tuple[int, int, int, int, int], target: int, state: tuple[int, int], t: int) -> int:
        """What a device conducts at a time, in 2^-12 codes."""
        value = min(max(self._drifted(place, target, state, t), 0), self.ceiling)
        z = self.read_variable(place, t)
        value += rounded(self._read_spread(state[0], value, t) * z, 16)
        return min(max(value, 0), self.ceiling)

    def _drifted(self, place: tuple[int, int, int, int, int], target: int, state: tuple[int, int], t: int) -> int:
        p, (value, drift) = self.profile, state
        kind, scale = p.choice("drift", "kind", "none"), p.number("drift", "scale", "1")
        if kind == "power":
            start = p.number("drift", "start", "1")
            return decayed(value, drift * log2(1 + Fraction(t) / Fraction(start)))
        if kind == "redraw" and t:
            entry = next(one["sigma"] for one in p.facts["drift"]["redraws"] if one["seconds"] == t)
            z = normal(*self.address(REDRAW, place, t))
            return (target << 12) + rounded(p.tabled(entry, target, scale * (p.highest << 12)) * z, 16)
        if kind == "logarithm" and t:
            shift, spread = (self._logarithm(name, t, scale) for name in ("shift", "relaxation"))
            return value - shift + rounded(spread * drift, 16)
        return value

    def _logarithm(self, name: str, t: int, scale: Decimal) -> int:
        p = self.profile
        with localcontext() as context:
            context.prec = 40
            value = p.curve(p.facts["drift"].get(name), Decimal(t).ln()) * scale * p.highest
            return int((value * 4096).to_integral_value())

    def growth(self, t: int) -> int:
        """round(2^16 sqrt(ln((t + t_0 + t_read) / (2 t_read)))), 0 before t_read; 2^16 where noise does not grow."""
        if t not in self.times:
            self.times[t] = self._growth(t)
        return self.times[t]

    def _growth(self, t: int) -> int:
        p = self.profile
        if p.choice("read", "time", "constant") == "constant":
            return 1 << 16
        with localcontext() as context:
            context.prec = 40
            longest, shortest = self.periods(t)
            ratio = longest / shortest
            return int((65536 * ratio.ln().sqrt()).to_integral_value()) if ratio > 1 else 0

    def periods(self, t: int) -> tuple[Decimal, Decimal]:
        """The longest and the shortest period of 1/f noise at a time, in seconds."""
        p = self.profile
        start = p.number("drift", "start", "1") if p.choice("drift", "kind", "none") == "power" else Decimal(0)
        duration = p.number("read", "duration", "1e-6")
        return t + start + duration, 2 * duration

    def read_variable(self, place: tuple[int, int, int, int, int], t: int) -> int:
        fresh, (longest, shortest) = normal(*self.address(READ, place, t)), self.periods(t)
        if self.profile.choice("read", "time", "constant") != "correlated" or longest <= shortest:
            return fresh
        with localcontext() as context:
            context.prec = 40
            whole = (longest / shortest).ln()
            octaves = {k: (max(shortest, Decimal(3 * 2**k)), min(longest, Decimal(6 * 2**k))) for k in range(1, 60)}
            shares = {k: (high / low).ln() for k, (low, high) in octaves.items() if low < high}
            weights = {k: int((65536 * (share / whole).sqrt()).to_integral_value()) for k, share in shares.items()}
            rest = int((65536 * (max(whole - sum(shares.values()), Decimal(0)) / whole).sqrt()).to_integral_value())
        total = rest * fresh
        for k, weight in weights.items():
            begin = word(*self.address(STRETCHES, place, k)) * 2**k // 2**32
            total += weight * normal(*self.address(OF_STRETCH, place, (t + begin) // 2**k + k * 2**48))
        return min(max(rounded(total, 16), -8 * 65536), 8 * 65536)

    def _read_spread(self, programmed: int, present: int, t: int) -> int:
        p = self.profile
        entry = p.facts.get("read", {}).get("sigma")
        is_relative = entry is None or entry["unit"] not in ("uS", "g_max")
        unit = p.number("read", "scale", "1") * (Decimal(1 << 20) if is_relative else p.highest << 12)
        last = (2 * p.highest << 12) - 1
        value = min(max(programmed if is_relative else present, 0), last)
        code, rest = value >> 12, value & 4095
        low, high = (rounded(p.sigma("read", code + n, unit) * self.growth(t), 16) for n in (0, 1))
        sigma = low + rounded((high - low) * rest, 12)
        return rounded(present * sigma, 20) if is_relative else sigma


def code_of(fine: int) -> int:
    """A value in 2^-12 codes as a code, halves to even."""
    return fine + 2047 + (fine >> 12 & 1) >> 12


def decayed(value: int, passed: int) -> int:
    """value * 2^-h for h in 2^-40: h to 2^-30, then a table of 2^-x with 1025 entries, interpolated downwards."""
    h = rounded(passed, 10)
    whole, part = h >> 30, h & (1 << 30) - 1
    cell, rest = part >> 20, part & (1 << 20) - 1
    start, end = halvings()[cell : cell + 2]
    factor = start - rounded((start - end) * rest, 20)
    return rounded(value * factor, 30 + whole)
