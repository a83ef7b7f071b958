"""CRC-32 of what an instruction has written, of all images at once."""

import zlib

import numpy as np

from cimc.backends.kernels.library import library
from cimc.backends.plan.memory import Array


def crcs(images: Array) -> list[int]:
    """Return the CRC-32 (IEEE 802.3) of the bytes of each image [images, ...], in the order of its elements."""
    apart = images if images[:1].flags.c_contiguous else np.ascontiguousarray(images)
    compiled = library()
    found = compiled.crcs(apart) if compiled else None
    return [zlib.crc32(image) for image in apart] if found is None else found
