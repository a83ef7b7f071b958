"""The program's ports: real numbers to codes in memory order on the way in, and back on the way out."""

from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine import checks
from cimc.backends.machine.traps import CODES
from cimc.isa.constants import dtype_of
from cimc.isa.errors import CimcError, render
from cimc.isa.program import Port, Program
from cimc.isa.streams import StreamState
from cimc.isa.table import ELEMENT_TYPES

DTYPES: Mapping[str, np.dtype[Any]] = {element: dtype_of(element) for element in ELEMENT_TYPES}
"""Element type -> numpy's type of the same bytes."""


WHOLE = 0.01
"""How near a float32 real value must be to that of a code, in codes, to be taken for it: 16 bits leave 0.004."""


class PortError(CimcError):
    """A fault of the data given to a port."""

    codes = CODES

    def __init__(self, code: str, port: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)
        self.port = port

    def __str__(self) -> str:
        return render(f"error[{self.code}]", self.message, self.hint, about=f"input '{self.port}'")


def require_names(program: Program, given: Collection[str]) -> None:
    """Raise CIM0550 unless the names given are exactly those of the program's inputs."""
    wanted = [port.name for port in program.inputs]
    if list(given) == wanted:
        return
    for name in (*wanted, *given):
        if name not in given or name not in wanted:
            fault = "is missing" if name in wanted else "is unknown"
            raise PortError("CIM0550", name, f"the array {fault}", f"the inputs are {', '.join(wanted)}")


def require_port(port: Port, codes: Sequence[int]) -> None:
    """Raise CIM0551 or CIM0553 unless one sample's flat codes fit the port."""
    size = prod(port.shape)
    if len(codes) != size:
        raise PortError("CIM0551", port.name, f"{len(codes)} codes are given, a sample has {size}")
    for code in codes:
        if not port.low <= code <= port.high:
            raise PortError("CIM0553", port.name, f"the code {code} is given, the port takes {port.low} to {port.high}")


def require_batch(port: Port, codes: NDArray[Any]) -> int:
    """Return N of integer codes [N, *port.shape]; raise CIM0551 or CIM0553 where they are something else."""
    if codes.shape[1:] != port.shape or codes.ndim == 0:
        raise PortError(
            "CIM0551", port.name, f"the array's shape is {codes.shape}, (N, {_counts(port.shape)}) is needed"
        )
    if codes.dtype.kind not in "iu":
        raise PortError(
            "CIM0553",
            port.name,
            f"the array holds {codes.dtype} numbers, integer codes are needed",
            "quantise it first",
        )
    if codes.size:
        # reduce takes less time than the array's own methods, which single images feel
        least, most = int(np.minimum.reduce(codes, axis=None)), int(np.maximum.reduce(codes, axis=None))
        if least < port.low or most > port.high:
            found = f"codes from {least} to {most} are given"
            raise PortError("CIM0553", port.name, f"{found}, the port takes {port.low} to {port.high}")
    return len(codes)


def require_same_count(counts: Mapping[str, int]) -> None:
    """Raise CIM0551 unless all inputs hold the same number of samples."""
    for name, count in counts.items():
        first, wanted = next(iter(counts.items()))
        if count != wanted:
            raise PortError("CIM0551", name, f"it holds {count} samples, `{first}` holds {wanted}")


def count_of(program: Program, inputs: Mapping[str, NDArray[Any]]) -> int:
    """Return the number of samples of input codes by port, the same for every input; 1 without inputs.

    Raises PortError for wrong inputs.
    """
    require_names(program, inputs)
    counts = {port.name: require_batch(port, inputs[port.name]) for port in program.inputs}
    require_same_count(counts)
    return next(iter(counts.values()), 1)


def port_stream(port: Port) -> StreamState:
    """Return the stream of a port's elements: densely packed in memory order."""
    count = prod(port.shape)
    return StreamState("act", port.type, port.base, (1, 1, 1, count), (count, count, count, 1))


def require_in_memory(program: Program) -> None:
    """Trap unless activation memory is affordable, holds every port, and every input's codes fit its element type."""
    checks.affordable("activation memory", program.activation_bytes)
    for port in (*program.inputs, *program.outputs):
        checks.readable(port_stream(port), {"act": program.activation_bytes})
    for port in program.inputs:
        checks.fits(port_stream(port), port.low, port.high)


def quantise(port: Port, real: NDArray[Any]) -> NDArray[Any]:
    """Return codes [N, *port.shape] of real numbers [N, *port.model_shape].

    The code is clip(rint(x / scale) + zero, low, high), in double.
    Raises PortError: CIM0551 for another shape, CIM0552 for NaN or an infinity, CIM0553 for a number that a port of
    whole numbers does not take.
    """
    if real.ndim == 0 or real.shape[1:] != port.model_shape:
        raise PortError(
            "CIM0551", port.name, f"the array's shape is {real.shape}, (N, {_counts(port.model_shape)}) is needed"
        )
    values = real.astype(np.float64)
    if not np.isfinite(values).all():
        sample = int(np.argmin(np.isfinite(values).reshape(len(values), -1).all(axis=1)))
        raise PortError("CIM0552", port.name, f"sample {sample} holds NaN or an infinity", "clean the data")
    if port.whole:
        _require_whole(port, values)
    values /= port.scale
    np.rint(values, out=values)
    values += port.zero
    np.clip(values, port.low, port.high, out=values)
    in_memory_order = values.transpose(0, *(axis + 1 for axis in port.order))
    return in_memory_order.reshape(len(values), *port.shape).astype(DTYPES[port.type])


def codes_of(program: Program, real: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the codes of every input of a program, of real numbers by name. Raises PortError as `quantise` does."""
    return {port.name: quantise(port, real[port.name]) for port in program.inputs}


def require_codes(port: Port, real: NDArray[Any]) -> None:
    """Raise CIM0553 unless real values [N, *port.model_shape] are those of codes that the port takes."""
    codes = real.astype(np.float64) / port.scale + port.zero
    bad = np.argwhere(
        (np.abs(codes - np.rint(codes)) > WHOLE) | (codes < port.low - WHOLE) | (codes > port.high + WHOLE)
    )
    if bad.size:
        place = tuple(int(index) for index in bad[0])
        found = f"{codes[place]:g} is given at {place}, the port takes codes from {port.low} to {port.high}"
        raise PortError("CIM0553", port.name, found, "--feed codes is for integers such as `cimc run --codes` writes")


def _require_whole(port: Port, values: NDArray[np.float64]) -> None:
    bad = np.argwhere((values != np.rint(values)) | (values < port.low) | (values > port.high))
    if bad.size:
        place = tuple(int(index) for index in bad[0])
        found = f"{values[place]:g} is given at {place}, the port takes whole numbers from {port.low} to {port.high}"
        raise PortError("CIM0553", port.name, found, "check the vocabulary and the padding")


def dequantise(port: Port, codes: NDArray[Any]) -> NDArray[np.float32]:
    """Return real numbers [N, *port.model_shape], float32((code - zero) * scale), of codes [N, *port.shape]."""
    if codes.ndim == 0 or codes.shape[1:] != port.shape:
        raise PortError(
            "CIM0551", port.name, f"the array's shape is {codes.shape}, (N, {_counts(port.shape)}) is needed"
        )
    return model_order(port, ((codes.astype(np.float64) - port.zero) * port.scale).astype(np.float32))


def model_order(port: Port, array: NDArray[Any]) -> NDArray[Any]:
    """Return [N, *port.shape] in memory order as [N, *port.model_shape] in the model's order."""
    model_axes = sorted(range(len(port.order)), key=lambda axis: port.order[axis])
    permuted = tuple(port.model_shape[axis] for axis in port.order)
    return array.reshape(len(array), *permuted).transpose(0, *(axis + 1 for axis in model_axes)).copy()


def _counts(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
