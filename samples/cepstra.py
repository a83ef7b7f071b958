"""Cepstral coefficients of recordings of a second at 8 kHz: what the samples that make keyword networks share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

RATE, WINDOW, HOP, FRAMES = 8000, 320, 160, 49
"""One second in frames of 40 ms every 20 ms."""
FILTERS, COEFFICIENTS, BINS = 40, 10, 512


def spectra(sound: Array, window: Array) -> Array:
    """Return the magnitudes [FRAMES, BINS / 2 + 1] of the frames of a sound [RATE] under a window [WINDOW]."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP][:FRAMES]
    return np.abs(np.fft.rfft(frames * window, BINS))


def triangles(edges: Array, bins: Array) -> Array:
    """Return triangles [bins, FILTERS] over the places of a spectrum's bins, each between two of FILTERS + 2 edges."""
    places = bins[:, None]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    return np.asarray(np.clip(np.minimum(rising, falling), 0, None))


def cosines(logarithms: Array) -> Array:
    """Return the first coefficients [..., COEFFICIENTS] of the cosine transform of values [..., FILTERS]."""
    angles = np.pi / FILTERS * np.outer(np.arange(FILTERS) + 0.5, np.arange(COEFFICIENTS))
    return np.asarray(logarithms @ np.cos(angles) * np.sqrt(2 / FILTERS))
