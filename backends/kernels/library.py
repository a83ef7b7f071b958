"""The compiled library behind ctypes: native.h's structures (Step is NativeStep here), levels, a call to run steps."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path

from cimc.backends.kernels.digest import digest
from cimc.backends.plan.memory import Array
from cimc.isa.table import LOOP_DEPTH

BLOCK = 16
FALL_BITS = 11
KINDS = range(8)
PRODUCT, SUM, MAXIMUM, SOFTMAX, LOOKUP, ADD, MULTIPLY, COPY = KINDS
TYPES = {"i8": 0, "u8": 1, "i16": 2, "u16": 3, "i32": 4}
LEVELS = ("plain", "avx2", "avx512", "vnni", "amx")
TILED = LEVELS[-1]
"""The level that has tile registers, and what native.h says of them."""
TILE_BYTES = 64
GROUP = 32
MOST_TILED = 16
NEAR_BYTES, FAR_BYTES = 1 << 15, 1 << 19
TAPS, FOURTHS, PIECE = 4, 4, 64
"""Taps of a quad, and parts and bytes of a piece, as quads.h takes them."""

_int32, _int64, _double, _address = ctypes.c_int32, ctypes.c_int64, ctypes.c_double, ctypes.c_void_p
ADDRESS_BYTES = ctypes.sizeof(_address)
_moves = ctypes.c_int64 * LOOP_DEPTH
_STEPS = (_address, ctypes.c_int, _address, ctypes.c_int)
"""Types of the arguments that say which steps are performed: table, count, batch, level."""


class NativeSource(ctypes.Structure):
    """A tensor, and the padded rectangle that is made of it."""

    _fields_ = (
        ("constant", _address),
        ("base", _int64),
        ("pitch", _int64 * 3),
        ("count", _int32 * 3),
        ("size", _int32 * 2),
        ("first", _int32 * 2),
        ("type", _int32),
        ("fill", _int32),
        ("low", _int32),
        ("high", _int32),
        ("moves", _moves),
    )


class NativeNoise(ctypes.Structure):
    """Noise of each product of a block."""

    _fields_ = (
        ("digits", _address),
        ("estimates", _address),
        ("spreads", _address),
        ("shares", _address),
        ("normals", _address),
        ("count", _int32),
        ("bits", _int32),
        ("scale", _double),
        ("error", ctypes.c_float),
        ("certain", ctypes.c_float),
        ("seed", ctypes.c_uint64),
        ("vector", ctypes.c_uint64),
        ("purpose", ctypes.c_uint64),
        ("column", _int64),
        ("moves", _moves),
    )


class NativeConverter(ctypes.Structure):
    """The ADCs of a block's columns with their errors."""

    _fields_ = (
        ("multipliers", _address),
        ("offsets", _address),
        ("bows", _address),
        ("noise", _address),
        ("output", _double),
        ("unit", _double),
        ("error_unit", _double),
        ("largest", _double),
        ("high", _double),
    )


class Part(ctypes.Structure):
    """One block of rows in a product."""

    _fields_ = (
        ("offsets", _address),
        ("weights", _address),
        ("tiles", _address),
        ("run", _address),
        ("multipliers", _address),
        ("narrow", _address),
        ("rests", _address),
        ("factor", _double),
        ("low", _double),
        ("high", _double),
        ("noise", _address),
        ("converter", _address),
        ("pairs", _int32),
        ("narrow_sums", _int32),
        ("whole", _int32),
        ("floor", _int32),
        ("negative", _int32),
        ("runs", _int32),
        ("depth", _int32),
    )


class NativeQuads(ctypes.Structure):
    """How a weighted sum over bytes is made by products of bytes."""

    _fields_ = (
        ("weights", _address),
        ("taps", _address),
        ("starts", _address),
        ("multipliers", _address),
        ("offsets", _address),
        ("pitch", _int64),
        ("out_pitch", _int64),
        ("pieces", _int32),
        ("height", _int32),
        ("width", _int32),
        ("across", _int32),
        ("rows", _int32),
        ("lines", _int32),
        ("joined", _int32),
        ("stride", _int32),
        ("length", _int32),
        ("flip", _int32),
    )


class NativeStep(ctypes.Structure):
    """One instruction."""

    _fields_ = (
        ("kind", _int32),
        ("sources", _int32),
        ("source", NativeSource * 2),
        ("places", _address),
        ("vectors", _int32),
        ("columns", _int32),
        ("parts", _address),
        ("taps", _address),
        ("weights", _address),
        ("quads", _address),
        ("table", _address),
        ("count", _int32),
        ("multipliers", _address),
        ("offsets", _address),
        ("narrow_multipliers", _address),
        ("narrow_offsets", _address),
        ("rests", _address),
        ("low", _double),
        ("high", _double),
        ("numerator", _int64),
        ("zero", _int64),
        ("out_base", _int64),
        ("out_step", _int64),
        ("out_type", _int32),
        ("room", _int32),
        ("squares", _int32),
        ("signs", _int32),
        ("packed", _int32),
        ("moving", _int32),
        ("direct", _int32),
        ("split", _int32),
        ("certain", ctypes.c_float),
        ("out_moves", _moves),
    )


class NativeTally(ctypes.Structure):
    """What a product is asked for by an observer: sums over all images, or clips of each."""

    _fields_ = (
        ("driven", _address),
        ("pulse", _address),
        ("codes", _address),
        ("period", _int64),
        ("clips", _address),
    )


class Batch(ctypes.Structure):
    """The images in flight."""

    _fields_ = (
        ("memory", _address),
        ("pitch", _int64),
        ("images", _int64),
        ("sample", _int64),
        ("scratch", _address),
        ("scratch_bytes", _int64),
        ("turns", _address),
        ("tally", _address),
    )


class NativeSums(ctypes.Structure):
    """Sums i32 [images, vectors, columns]."""

    _fields_ = (
        ("first", _address),
        ("pitch", _int64),
        ("images", _int64),
        ("vectors", _int64),
        ("columns", _int64),
    )


class NativeMoments(ctypes.Structure):
    """Moments of sums."""

    _fields_ = (
        ("aim", _address),
        ("centre", _address),
        ("aimed", _address),
        ("products", _address),
        ("squares", _address),
    )


STRUCTURES = (
    NativeStep,
    Part,
    Batch,
    NativeNoise,
    NativeConverter,
    NativeTally,
    NativeSums,
    NativeMoments,
    NativeQuads,
)


class Library:
    """The loaded library; `levels` of instruction sets work here, the last is the fastest.

    `current` is false where it was built of other sources than those beside it.
    """

    def __init__(self, path: Path) -> None:
        loaded, beside = ctypes.CDLL(str(path)), digest(path.parent)
        self.current = not beside or beside == _built_of(loaded)
        self.levels = LEVELS[: loaded.cimc_levels()]
        self._loaded = loaded

    @property
    def sizes(self) -> dict[type[ctypes.Structure], int]:
        """Bytes of each structure as native.h has it."""
        return {mirror: self._loaded.cimc_sizes(which) for which, mirror in enumerate(STRUCTURES)}

    @cached_property
    def _run(self) -> Callable[..., int]:
        function = self._loaded.cimc_run
        function.argtypes = _STEPS
        return function

    @cached_property
    def _turns(self) -> Callable[..., int]:
        function = self._loaded.cimc_turns
        function.argtypes, function.restype = (*_STEPS, ctypes.c_int, _int64, _address), _int64
        return function

    def run(self, steps: "NativeSteps", batch: Batch, part: tuple[int, int], level: int) -> int:
        """Perform steps from part[0] up to part[1]; return the index of the first that met a fault, or part[1]."""
        first, last = part
        return first + self._run(steps.address + first * ADDRESS_BYTES, last - first, ctypes.byref(batch), level)

    @cached_property
    def _crcs(self) -> Callable[..., int]:
        function = self._loaded.cimc_crcs
        function.argtypes = (_address, _int64, _int64, _int64, _address)
        return function

    def crcs(self, images: Array) -> list[int] | None:
        """Return the CRC-32 of each image [images, ...], each dense, None where this processor is slow at it."""
        count, found = len(images), (ctypes.c_uint32 * len(images))()
        size = images[:1].nbytes
        made = self._crcs(address(images), images.strides[0], count, size, ctypes.addressof(found))
        return list(found) if made else None

    @cached_property
    def _totals(self) -> Callable[..., None]:
        function = self._loaded.cimc_totals
        function.argtypes, function.restype = (_address, _address, ctypes.c_int), None
        return function

    def totals(self, sums: Array, totals: Array, level: int) -> None:
        """Add the columns of sums i32 [images, vectors, columns], each image's dense, to totals, int64 [columns]."""
        given = _sums(sums)
        self._totals(ctypes.addressof(given), address(totals), level)

    @cached_property
    def _moments(self) -> Callable[..., None]:
        function = self._loaded.cimc_moments
        function.argtypes, function.restype = (_address, _address, ctypes.c_int), None
        return function

    def moments(self, sums: Array, aim: Array, centres: tuple[Array, Array], found: Array, level: int) -> None:
        """Add to found [2, columns] the moments of such sums and an aim i32 [images * vectors, columns], all dense."""
        given, moments = _sums(sums), NativeMoments(*map(address, (aim, *centres, *found)))
        self._moments(ctypes.addressof(given), ctypes.addressof(moments), level)

    def turns(self, steps: "NativeSteps", batch: Batch, loop: tuple[int, int], level: int) -> tuple[int, int]:
        """Perform the turns of a loop of (depth, count) from where it is; return turn and step of a fault, or count."""
        done = ctypes.c_int(0)
        arguments = steps.address, steps.count, ctypes.byref(batch), level, *loop, ctypes.byref(done)
        return self._turns(*arguments), done.value


class NativeSteps:
    """Steps in a row, ready for the library; `kept` holds the arrays that they point into."""

    def __init__(self, steps: Sequence[NativeStep], kept: object) -> None:
        self._kept = (*steps, kept)
        self._table = (_address * len(steps))(*(ctypes.addressof(step) for step in steps))
        self.address = ctypes.addressof(self._table)
        self.count = len(steps)


def _built_of(loaded: ctypes.CDLL) -> int:
    """Return the digest of the sources of a library, 0 of one that does not tell."""
    if not hasattr(loaded, "cimc_sources"):
        return 0
    loaded.cimc_sources.restype = ctypes.c_uint64
    return int(loaded.cimc_sources())


def _sums(sums: Array) -> NativeSums:
    return NativeSums(address(sums), sums.strides[0], *sums.shape)


@cache
def library() -> Library | None:
    """Return the library, None where it was not built, or of other sources than those beside it."""
    found = find_spec("cimc.backends.kernels._native")
    loaded = Library(Path(found.origin)) if found and found.origin else None
    return loaded if loaded and loaded.current else None


def address(array: Array) -> int:
    """Return where an array's elements lie."""
    return int(array.ctypes.data)
