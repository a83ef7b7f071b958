"""onnxruntime: the one place where its sessions are made, and the process of its own that models of others run in."""

from cimc.inference.confined import Confined, Grant, Refused, Value
from cimc.inference.sessions import session

__all__ = ["Confined", "Grant", "Refused", "Value", "session"]
