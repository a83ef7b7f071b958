"""The front end: an ONNX file in, a graph in our IR out."""

from cimc.frontend.importing import check, load
from cimc.frontend.reading import model_digest, stored_bytes
from cimc.frontend.stated_shapes import Shapes

__all__ = ["Shapes", "check", "load", "model_digest", "stored_bytes"]
