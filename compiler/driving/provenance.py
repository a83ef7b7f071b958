"""What a result comes from: the program's hash, what its data were taken for, the chip that was drawn."""

from collections.abc import Iterable, Mapping
from typing import Any

from cimc.backends.noise.sources import Noise
from cimc.driving.durations import written
from cimc.driving.feeding import Feeding, feeding_facts, feeding_text
from cimc.isa.binary import program_digest
from cimc.isa.program import Program

RUN = "run.facts"
"""The array of an output file that holds these facts, as JSON."""
SHORT = 12
"""Digits of a hash that people are shown."""


def run_facts(program: Program, feeding: Feeding, noise: Noise | None, compensation: str) -> dict[str, Any]:
    """Return the facts of a run as one JSON object; `noise` is null for an exact chip."""
    return {
        "program": program_digest(program),
        "feeding": feeding_facts(program, feeding),
        "noise": noise and noise_facts(noise),
        "compensation": compensation,
    }


def noise_facts(noise: Noise) -> Mapping[str, Any]:
    """Return which chip was drawn or measured, and its age in seconds."""
    measured = {"chip": noise.chip.digest} if noise.chip else {}
    return {
        "profile": noise.profile.name,
        "seed": noise.seed,
        "seconds": noise.time_s,
        "sources": sorted(noise.sources),
        **measured,
    }


def digest_text(digest: str) -> str:
    """Return which program has a hash, in words."""
    return f"program {digest[:SHORT]}"


def program_text(program: Program) -> str:
    """Return which program it is, in words."""
    return digest_text(program_digest(program))


def run_text(program: Program, feeding: Feeding, chips: Iterable[str]) -> str:
    """Return program, feeding and chips in one line."""
    return "; ".join([program_text(program), feeding_text(program, feeding), *chips])


def chip_text(noise: Noise | None, compensation: str) -> list[str]:
    """Return which chip was drawn or measured, in words."""
    if noise is None:
        return ["exact chip"]
    if noise.chip:
        read = f"measured chip {noise.chip.digest[:SHORT]}, read after {written(noise.chip.read_s)}"
        largest, usual = noise.chip.snapping
        snapped = f"whole codes lose {usual:.2f} of its conductances (rms), at most {largest:.2f}"
        return [f"{read}, after {written(noise.time_s)}", snapped, f"compensation {compensation}"]
    drawn = f"chip {noise.seed} of {noise.profile.name} after {written(noise.time_s)}"
    return [drawn, f"noisy: {', '.join(sorted(noise.sources))}", f"compensation {compensation}"]
