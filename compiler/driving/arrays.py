"""Input arrays: .npz and .npy files matched to a model's inputs by name, reshaped, checked."""

import io
import math
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import fail
from cimc.driving.archives import Archive
from cimc.driving.feeding import Intake, preprocessed
from cimc.isa.errors import CimcWarning

Array = NDArray[Any]


def load_arrays(path: str) -> Archive:
    """Return the arrays of an .npz file, or the one of an .npy file as `x`, each read when it is asked for."""
    return Archive(path)


def to_npz(arrays: Mapping[str, Array]) -> bytes:
    """Return the bytes of an .npz file, whatever the arrays are called; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return buffer.getvalue()


def feed(
    arrays: Mapping[str, Array], intakes: Sequence[Intake], path: str, limit: int | None = None
) -> dict[str, Array]:
    """Return the float32 real values [N, *shape of a sample] of every input, of the first `limit` rows.

    Raises CimcError CIM0201 to CIM0203.
    """
    result = {}
    for intake in intakes:
        raw = _pick(arrays, intake.name, len(intakes) == 1, path, limit)
        result[intake.name] = _prepared(raw, intake, limit, path)
    counts = {len(array) for array in result.values()}
    if len(counts) > 1:
        raise fail("CIM0202", f"{path}: the inputs have different numbers of samples: {sorted(counts)}")
    return result


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _pick(arrays: Mapping[str, Array], name: str, alone: bool, path: str, limit: int | None) -> Array:
    for found in (name, "x") if alone else (name,):
        if found in arrays:
            return arrays.rows(found, limit) if isinstance(arrays, Archive) else arrays[found]
    wanted = f"{name!r} or 'x'" if alone else repr(name)
    raise fail(
        "CIM0201",
        f"{path} has no array {wanted}; it has {', '.join(map(repr, arrays)) or 'none'}",
        hint=f"save the input with numpy.savez(..., {name if name.isidentifier() else 'x'}=array)",
    )


def _prepared(raw: Array, intake: Intake, limit: int | None, path: str) -> Array:
    name = intake.name
    if raw.dtype.kind not in "biuf":
        raise fail("CIM0201", f"{path}: array for {name!r} holds {raw.dtype}, not numbers")
    if raw.ndim == 0 or len(raw) == 0:
        found = f"{path}: array for {name!r} has no samples (shape {raw.shape})"
        raise fail("CIM0202", found, hint="its first axis counts samples: give at least one")
    real = preprocessed(_fitted(raw, name, intake.shape, path)[:limit], intake.preprocessing)
    if not np.isfinite(real).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(real))[0])
        raise fail(
            "CIM0203", f"{path}: array for {name!r} gives {real[where]} at index {where}", hint="clean the data first"
        )
    return real


def _fitted(raw: Array, name: str, shape: tuple[int, ...], path: str) -> Array:
    """Return `raw` as [N, *shape]: as it is, with channels moved, or reshaped where the size fits."""
    own = raw.shape[1:]
    if own == shape:
        return raw
    if len(own) == len(shape) and len(shape) >= 2:
        if (own[-1], *own[:-1]) == shape:
            return np.moveaxis(raw, -1, 1)
        if (*own[1:], own[0]) == shape:
            return np.moveaxis(raw, 1, -1)
    if math.prod(own) == math.prod(shape):
        if len(own) > 1 and [size for size in own if size > 1] != [size for size in shape if size > 1]:
            order = f"read in that order as (N, {_sizes(shape)})"
            warnings.warn(CimcWarning(f"{path}: array for {name!r} has shape {raw.shape}, {order}"), stacklevel=2)
        return raw.reshape(len(raw), *shape)
    if raw.shape == shape:
        return raw[np.newaxis]
    raise fail(
        "CIM0202",
        f"{path}: array for {name!r} has shape {raw.shape}, the model wants (N, {_sizes(shape)})",
        hint=f"each sample needs {math.prod(shape)} values, here it has {math.prod(own)}",
    )
