"""Turn spoken digits into clips such as keyword networks read: more inputs without labels for `cimc train`.

    python samples/spoken_clips.py SPOKEN_DIGITS.npz CLIPS.npz [SCALE OFFSET]

SPOKEN_DIGITS.npz holds recordings at 8 kHz (samples, lengths). Each becomes two clips of a second: as it is, and at
another pace, anywhere within the second, with noise behind it. CLIPS.npz gets x [N, 49, 10, 1]: ten cepstral
coefficients of log mel magnitudes in frames of 40 ms every 20 ms, int8 codes of value / SCALE - OFFSET.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cepstra import BINS, FILTERS, RATE, WINDOW, Array, cosines, spectra, triangles

LOWEST_HZ, HIGHEST_HZ = 20, 4000
FLOOR = 1e-6
"""Added to magnitudes before the logarithm; sounds have a peak of 1."""
PACES, LOUDNESS, COLOURS = (0.75, 1.3), (-4.5, -1.0), (1, 20)
"""Bounds of what is drawn: pace, decades of the noise's deviation, samples over which it is averaged."""
SCALE, OFFSET = 0.5847029, -83.0
"""Of the KWS network of MLPerf Tiny."""


def sounds(archive: dict[str, Array], random: np.random.Generator) -> Iterator[Array]:
    """Yield each recording twice as RATE samples with a peak of 1: as it is, and at another pace."""
    starts = np.cumsum(archive["lengths"]) - archive["lengths"]
    for is_changed in (False, True):
        for start, length in zip(starts, archive["lengths"], strict=True):
            pace = random.uniform(*PACES) if is_changed else 1.0
            places = np.arange(0, length - 1, pace)
            said = np.interp(places, np.arange(length), archive["samples"][start : start + length])[:RATE]
            yield _among_noise(said, random)


def _among_noise(said: Array, random: np.random.Generator) -> Array:
    first = random.integers(0, RATE - len(said) + 1)
    sound = np.pad(said / np.abs(said).max(), (first, RATE - len(said) - first))
    over = random.integers(*COLOURS)
    noise = np.convolve(random.standard_normal(RATE), np.ones(over) / np.sqrt(over), "same")
    sound += 10 ** random.uniform(*LOUDNESS) * noise
    return np.asarray(sound / np.abs(sound).max())


def mel_filters() -> Array:
    """Return triangles over the spectrum [BINS / 2 + 1, FILTERS], evenly spaced and straight in mel."""
    edges = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), FILTERS + 2)
    return triangles(edges, _mel(np.linspace(0, RATE / 2, BINS // 2 + 1)))


def _mel(hertz: Any) -> Array:
    return np.asarray(1127 * np.log1p(hertz / 700))


def cepstrum(sound: Array, filters: Array) -> Array:
    """Return the first coefficients [FRAMES, COEFFICIENTS] of the cosine transform of log mel magnitudes."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi / WINDOW * np.arange(WINDOW))
    magnitudes = spectra(sound, hann) * (16000 / RATE)  # as sums over samples at 16 kHz are
    return cosines(np.log(magnitudes @ filters + FLOOR))


def main() -> None:
    given, made = Path(sys.argv[1]), Path(sys.argv[2])
    scale, offset = map(float, sys.argv[3:5]) if len(sys.argv) > 3 else (SCALE, OFFSET)
    filters = mel_filters()
    archive = dict(np.load(given))
    x = np.stack([cepstrum(sound, filters) for sound in sounds(archive, np.random.default_rng(0))])
    np.savez_compressed(made, x=np.clip(np.rint(x / scale - offset), -128, 127).astype(np.int8)[..., None])
    print(f"wrote {made}: {len(x)} clips")


if __name__ == "__main__":
    main()
