"""Devices by name."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cimc.backends.machine.traps import Refusal

if TYPE_CHECKING:
    import torch

NAMES = "torch:cpu, cuda or cuda:N; cpu is the processor without torch"


def devices() -> tuple[str, ...]:
    """Return the names of torch's devices that can be used here, none without torch."""
    if not find_spec("torch"):
        return ()
    library = import_module("torch")
    return ("torch:cpu", *(f"cuda:{n}" for n in range(_cuda_devices(library))))


def opened(name: str) -> "torch.device":
    """Return torch's device of a name: torch:cpu, cuda, cuda:N.

    Raises Refusal CIM0540 where there is no such device, CIM0541 without torch.
    """
    kind, _, number = name.partition(":")
    if name not in ("torch:cpu", "cuda") and not (kind == "cuda" and number.isdecimal()):
        raise Refusal("CIM0540", f"there is no device named {name!r}", f"known names: {NAMES}")
    try:
        library = import_module("torch")
    except ImportError:
        sentence = f"the device {name} needs torch, which is not installed"
        raise Refusal("CIM0541", sentence, "pip install 'cimc[gpu]'") from None
    if kind == "cuda":
        _require_cuda(library, name, int(number or 0))
    return library.device("cpu" if name == "torch:cpu" else name)


def _require_cuda(library: Any, name: str, number: int) -> None:
    count = _cuda_devices(library)
    if number >= count:
        sentence = f"there is no device {name}: torch {library.__version__} finds {count} of this kind"
        raise Refusal("CIM0540", sentence, "torch:cpu runs the same code on the processor")


def _cuda_devices(library: Any) -> int:
    return int(library.cuda.device_count()) if library.cuda.is_available() else 0
