"""The front end: an ONNX file in, a graph in our IR out."""

from cimc.frontend.importing import check, load
from cimc.frontend.reading import model_digest

__all__ = ["check", "load", "model_digest"]
