"""A training run on disk: it goes on where it stopped, and gives the same bytes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cimc.diagnostics import fail
from cimc.driving.arrays import load_arrays, to_npz
from cimc.isa.atomic import write_files
from cimc.training.optimise import State

IDENTITY = "identity"


def identity(facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    """Return what tells one run from another: a hash of facts with a text, and of arrays."""
    found = hashlib.sha256(repr(sorted(facts.items())).encode())
    for name in sorted(arrays):
        found.update(f"{name}{arrays[name].shape}".encode())
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


def save(path: Path, state: State, run: str) -> None:
    """Write a state, whole or not at all."""
    leaves = {f"{number:05}": np.asarray(leaf) for number, leaf in enumerate(jax.tree.leaves(state))}
    marked = {IDENTITY: np.frombuffer(run.encode(), np.uint8), **leaves}
    write_files({path: [to_npz(marked)]})


def restored(path: Path, like: State, run: str) -> State:
    """Return the state of a checkpoint, in the form of `like`. Raises CimcError CIM0222 where it is of another run."""
    arrays = load_arrays(str(path))
    known = IDENTITY in arrays and arrays[IDENTITY].tobytes().decode("ascii", "replace") == run
    if not known:
        message = f"{path} is the checkpoint of another run"
        raise fail("CIM0222", message, hint="give what the run began with, or begin anew without --resume")
    leaves = [arrays[name] for name in sorted(set(arrays) - {IDENTITY})]
    state: State = jax.tree.unflatten(jax.tree.structure(like), [jax.numpy.asarray(leaf) for leaf in leaves])
    return state
