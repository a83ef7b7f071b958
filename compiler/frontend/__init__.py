"""The front end: an ONNX file in, a graph in our IR out."""

from cimc.frontend.importing import check, load, load_traced
from cimc.frontend.reading import model_digest, stored_model
from cimc.frontend.specialisation import AS_THE_FILE, Specialisation
from cimc.frontend.tracing import Imported, Traced

__all__ = [
    "AS_THE_FILE",
    "Imported",
    "Specialisation",
    "Traced",
    "check",
    "load",
    "load_traced",
    "model_digest",
    "stored_model",
]
