"""What the compiled library is built of; setup.py runs this file by itself, before there is a package."""

import hashlib
from pathlib import Path


def digest(folder: Path) -> int:
    """Return 64 bits that tell the C sources in a folder from others, 0 where there are none, as in a wheel."""
    files = sorted(path for path in folder.iterdir() if path.suffix in {".c", ".h"})
    texts = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
    return int.from_bytes(hashlib.sha256(repr(texts).encode()).digest()[:8]) if files else 0
