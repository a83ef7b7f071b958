"""The front end: an ONNX file in, a graph in our IR out."""

from cimc.frontend.importing import check, load, load_traced
from cimc.frontend.reading import model_digest, stored_model
from cimc.frontend.stated_constants import Constants
from cimc.frontend.stated_shapes import Shapes
from cimc.frontend.tracing import Imported, Traced

__all__ = ["Constants", "Imported", "Shapes", "Traced", "check", "load", "load_traced", "model_digest", "stored_model"]
