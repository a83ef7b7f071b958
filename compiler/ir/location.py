"""Provenance: which ONNX nodes an operation comes from, carried through every rewrite.

The first node of a location is the one that the operation is called after: the one that holds its weights, else the
first that computes it. A pass that joins operations keeps that in front.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from xdsl.dialects.builtin import ArrayAttr, FusedLoc, LocationAttr, NameLoc, NoneAttr, StringAttr, UnknownLoc
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import Rewriter

from cimc.ir.attributes import KEPT

SPECIAL = re.compile(r"[^ !#-\[\]-~]")
"""Characters other than printable ASCII, the quotation mark and the backslash."""


@lru_cache(KEPT)
def named(name: str) -> LocationAttr:
    """Return the location of one ONNX node; characters that the textual form cannot carry become %XX."""
    return NameLoc(StringAttr(SPECIAL.sub(_escaped, name)), NoneAttr())


def _escaped(character: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in character[0].encode())


def names_of(location: Attribute) -> tuple[str, ...]:
    """Return the ONNX node names of a location, in order, each once; empty for an unknown location."""
    if isinstance(location, NameLoc):
        return (location.desc.data,)
    if isinstance(location, FusedLoc) and isinstance(location.locations, ArrayAttr):
        return tuple(dict.fromkeys(name for part in location.locations for name in names_of(part)))
    return ()


def fused(locations: Iterable[Attribute]) -> LocationAttr:
    """Return one location that names every node of the given ones."""
    return _fused(tuple(dict.fromkeys(name for location in locations for name in names_of(location))))


@lru_cache(KEPT)
def _fused(names: tuple[str, ...]) -> LocationAttr:
    if not names:
        return UnknownLoc()
    return named(names[0]) if len(names) == 1 else FusedLoc(ArrayAttr([named(name) for name in names]), NoneAttr())


def replace(
    old: Operation, new: Sequence[Operation], results: Sequence[SSAValue] | None = None, also: Sequence[Operation] = ()
) -> None:
    """Put `new` in place of `old`, giving each new operation that has none the fused location of `old` and `also`.

    `results` (default: those of the last new operation) take over the uses of old's results; `also` are not removed.
    """
    location = fused([old.location, *(op.location for op in also)])
    for op in new:
        if isinstance(op.location, UnknownLoc):
            op.location = location
    Rewriter.replace_op(old, list(new), list(results) if results is not None else None)
