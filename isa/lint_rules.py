"""The rules of the linter, one function for each instruction, in table order."""

from collections.abc import Callable, Mapping

from cimc.isa.limits import MULTIPLIER_LIMIT
from cimc.isa.lint_state import Codes, State
from cimc.isa.program import Instruction
from cimc.isa.region import Region, region
from cimc.isa.streams import StreamState, advanced, define, with_window
from cimc.isa.table import ELEMENT_TYPES, TAP_BITS, bytes_of


def _nothing(state: State, at: Instruction) -> None:
    """Control flow and single operands are checked before the walk; `nop` and `time` cannot fail."""


def _tensor(state: State, at: Instruction) -> None:
    state.streams[at["stream"]] = define(at)


def _window(state: State, at: Instruction) -> None:
    stream = state.stream(at, "stream")
    if stream is None:
        return
    if stream.shape[0] != 1:
        state.report("CIM0436", f"window over a tensor of shape {stream.shape}, wanted (1, height, width, channels)")
    if not stream.lowest <= at["fill"] <= stream.highest:
        state.report(
            "CIM0436",
            f"window fills with {at['fill']}, elements of type {stream.type} hold {stream.lowest}..{stream.highest}",
        )
    state.streams[at["stream"]] = with_window(stream, at)


def _advance(state: State, at: Instruction) -> None:
    stream = state.stream(at, "stream")
    if stream is not None:
        state.streams[at["stream"]] = advanced(stream, at)


def _gain(state: State, at: Instruction) -> None:
    _check_tile(state, at["tile"])


def _program(state: State, at: Instruction) -> None:
    cells = region(at)
    state.inside((at["data"], at["data"] + 2 * cells.rows * cells.cols), "data", f"block b{at['block']}")
    state.blocks.pop(at["block"], None)
    _check_region(state, cells)
    _check_free(state, cells)
    state.blocks[at["block"]] = cells


def _pattern(state: State, at: Instruction) -> None:
    _check_region(state, region(at))
    _check_free(state, region(at))


def _verify(state: State, at: Instruction) -> None:
    region = _block(state, at["block"])
    if region is not None:
        state.inside(
            (at["data"], at["data"] + 2 * region.rows * region.cols), "data", f"comparison of block b{at['block']}"
        )
        _write_one(state, at)


def _readcell(state: State, at: Instruction) -> None:
    _check_region(state, Region(at["tile"], at["row"], at["col"], 1, 1))
    _write_one(state, at)


def _calibrate(state: State, at: Instruction) -> None:
    stream, blocks = state.read(at, "in"), _blocks(state, at)
    if stream is None or not blocks:
        return
    _check_rows(state, stream, blocks)
    sums = len(blocks) * (blocks[0].cols if at.choice("per") == "column" else 1)
    state.table(at["reference"], 8 * sums, "table of reference sums")


def _mvm(state: State, at: Instruction) -> None:
    stream, blocks = state.read(at, "in"), _blocks(state, at)
    if blocks:
        _check_tables(state, at, len(blocks) * blocks[0].cols, blocks[0].cols)
    if stream is not None and blocks:
        _check_rows(state, stream, blocks)
        _check_vectors(state, at, stream, blocks[0].cols)
    state.write(at, _clamp(at), in_=stream)


def _capture(state: State, at: Instruction) -> None:
    stream, region = state.read(at, "in"), _block(state, at["block"])
    if stream is not None and region is not None:
        _check_rows(state, stream, [region])
        _check_vectors(state, at, stream, region.cols)
    state.write(at, None, in_=stream)


def _selftest(state: State, at: Instruction) -> None:
    _check_region(state, Region(at["tile"], 0, at["col"], 0, 1))
    _write_one(state, at)


def _depthwise(state: State, at: Instruction) -> None:
    stream = _window_read(state, at)
    if stream is not None and stream.window is not None:
        outputs = stream.shape[3] * at["multiplier"]
        bits = TAP_BITS[at.choice("taps")] * stream.window.taps * outputs
        state.table(at["weights"], bytes_of(bits), "table of depthwise weights")
        _check_tables(state, at, outputs, outputs)
        _check_vectors(state, at, stream, outputs)
    state.write(at, _clamp(at), in_=stream)


def _poolmax(state: State, at: Instruction) -> None:
    stream = _window_read(state, at)
    if stream is not None:
        _check_vectors(state, at, stream, stream.shape[3])
    state.write(at, _clamp(at), in_=stream)


def _poolsum(state: State, at: Instruction) -> None:
    stream = _window_read(state, at)
    if stream is not None:
        factors = stream.vectors if at.choice("per") == "position" else 1
        _check_tables(state, at, factors, factors)
        _check_vectors(state, at, stream, stream.shape[3])
    state.write(at, _clamp(at), in_=stream)


def _affine(state: State, at: Instruction) -> None:
    _check_tables(state, at, at["period"], at["period"])
    _elementwise(state, at, ("in",), _clamp(at))


def _pair(state: State, at: Instruction) -> None:
    _elementwise(state, at, ("a", "b"), _clamp(at))


def _lut(state: State, at: Instruction) -> None:
    entries = state.numbers(at["table"], at["entries"], at.choice("type"), "look-up table")
    stream = state.streams.get(at["in"])
    codes = state.codes_of(stream) if stream else None
    last = at["first"] + at["entries"] - 1
    if codes is not None and (codes.low < at["first"] or codes.high > last):
        state.report(
            "CIM0446",
            f"look-up table covers codes {at['first']}..{last}, its input was written with {codes.low}..{codes.high}",
        )
    elif stream and (last < stream.lowest or at["first"] > stream.highest):
        state.report(
            "CIM0446",
            f"look-up table covers codes {at['first']}..{last}, elements of type {stream.type} hold none of them",
        )
    _elementwise(state, at, ("in",), Codes(min(entries), max(entries)) if entries else None)


def _softmax(state: State, at: Instruction) -> None:
    entries = state.numbers(at["table"], at["entries"], "i32", "table of exponentials")
    if entries and (entries[0] <= 0 or min(entries) < 0):
        state.report("CIM0445", "table of exponentials starts with 0 or less, or has a negative entry")
    stream = state.read(at, "in")
    if stream is not None:
        _check_vectors(state, at, stream, stream.length)
    state.write(at, _clamp(at), in_=stream)


def _move(state: State, at: Instruction) -> None:
    stream = state.streams.get(at["in"])
    _elementwise(state, at, ("in",), state.codes_of(stream) if stream else None)


def _fill(state: State, at: Instruction) -> None:
    state.write(at, Codes(at["value"], at["value"]))


def _matmul(state: State, at: Instruction) -> None:
    a, b, out = state.read(at, "a"), state.read(at, "b"), state.streams.get(at["out"])
    if a is not None and b is not None and out is not None:
        wanted = (*a.shape[:3], b.shape[2])
        if a.shape[:2] != b.shape[:2] or a.shape[3] != b.shape[3] or out.shape != wanted:
            state.report("CIM0435", f"matmul of {a.shape} and rows {b.shape} gives {wanted}, out is {out.shape}")
    state.write(at, _clamp(at), a=a, b=b)


def _norm(state: State, at: Instruction) -> None:
    state.table(at["epsilon"], 8, "epsilon")
    stream = state.read(at, "in")
    if stream is not None:
        _check_tables(state, at, stream.length, stream.length)
        _check_vectors(state, at, stream, stream.length)
    state.write(at, _clamp(at), in_=stream)


def _embed(state: State, at: Instruction) -> None:
    stream, out = state.read(at, "in"), state.streams.get(at["out"])
    codes = state.codes_of(stream) if stream else None
    last = at["first"] + at["rows"] - 1
    if codes is not None and (codes.low < at["first"] or codes.high > last):
        found = f"its input was written with {codes.low}..{codes.high}"
        state.report("CIM0446", f"table has rows for codes {at['first']}..{last}, {found}")
    if out is not None:
        size = ELEMENT_TYPES[at.choice("type")][0]
        state.table(at["table"], at["rows"] * out.length * size, "table of rows")
        if stream is not None and stream.elements != out.vectors:
            state.report("CIM0435", f"{stream.elements} rows are looked up, out takes {out.vectors} vectors")
    state.write(at, None, in_=stream)


def _select(state: State, at: Instruction) -> None:
    _elementwise(state, at, ("c", "a", "b"), None)


def _pick(state: State, at: Instruction) -> None:
    entries = state.numbers(at["table"], at["entries"], "i32", "table of vector numbers")
    if entries and at["group"] and (min(entries) < 0 or max(entries) >= at["group"]):
        state.report("CIM0445", f"vectors {min(entries)}..{max(entries)} are picked from groups of {at['group']}")
    stream = state.read(at, "in")
    out = state.streams.get(at["out"])
    if stream is not None and out is not None and at["group"]:
        groups, rest = divmod(stream.vectors, at["group"])
        if rest or groups * at["entries"] * stream.length != out.elements:
            found = f"{stream.vectors} vectors of {stream.length} in groups of {at['group']}"
            state.report("CIM0435", f"pick takes {found}, out has {out.elements} elements")
    state.write(at, state.codes_of(stream) if stream else None, in_=stream)


def _argmax(state: State, at: Instruction) -> None:
    stream = state.read(at, "in")
    out = state.streams.get(at["out"])
    if stream is not None and out is not None and stream.vectors != out.elements:
        state.report("CIM0435", f"argmax reads {stream.vectors} vectors, out has {out.elements} elements")
    if stream is not None and not stream.length:
        state.report("CIM0445", "argmax of empty vectors, wanted at least 1 element")
    state.write(at, Codes(0, max(stream.length - 1, 0)) if stream is not None else None, in_=stream)


def _div(state: State, at: Instruction) -> None:
    _elementwise(state, at, ("a", "b"), _clamp(at))


RULES: Mapping[str, Callable[[State, Instruction], None]] = {
    "halt": _nothing,
    "nop": _nothing,
    "loop": _nothing,
    "endloop": _nothing,
    "tensor": _tensor,
    "window": _window,
    "advance": _advance,
    "gain": _gain,
    "program": _program,
    "pattern": _pattern,
    "verify": _verify,
    "readcell": _readcell,
    "time": _nothing,
    "calibrate": _calibrate,
    "mvm": _mvm,
    "capture": _capture,
    "selftest": _selftest,
    "depthwise": _depthwise,
    "poolmax": _poolmax,
    "poolsum": _poolsum,
    "affine": _affine,
    "add": _pair,
    "mul": _pair,
    "lut": _lut,
    "softmax": _softmax,
    "move": _move,
    "fill": _fill,
    "matmul": _matmul,
    "norm": _norm,
    "embed": _embed,
    "select": _select,
    "pick": _pick,
    "argmax": _argmax,
    "div": _div,
}


def _clamp(at: Instruction) -> Codes:
    return Codes(at["low"], at["high"])


def _check_tile(state: State, tile: int) -> None:
    tiles = state.target("array", "tiles")
    if tiles is not None and tile >= tiles:
        state.report("CIM0433", f"tile {tile}, the target has {tiles}")


def _check_region(state: State, region: Region) -> None:
    _check_tile(state, region.tile)
    for name, end in (("rows", region.row + region.rows), ("columns", region.col + region.cols)):
        size = state.target("array", name)
        if size is not None and end > size:
            state.report("CIM0433", f"region reaches {name[:-1]} {end - 1}, a tile has {name} 0..{size - 1}")


def _check_free(state: State, region: Region) -> None:
    taken = next((block for block, live in state.blocks.items() if live.overlaps(region)), None)
    if taken is not None:
        state.report("CIM0434", f"region writes devices of live block b{taken}")


def _block(state: State, block: int) -> Region | None:
    if block not in state.blocks:
        state.report("CIM0432", f"block b{block} was not programmed before")
    return state.blocks.get(block)


def _blocks(state: State, at: Instruction) -> list[Region]:
    """Return the regions of the blocks that share outputs; none, and a finding, if they do not fit."""
    regions: list[Region] = []
    for block in range(at["block"], at["block"] + at["blocks"]):
        region = _block(state, block)
        if region is None:
            return []
        regions.append(region)
    state.work += len(regions)
    widths = sorted({region.cols for region in regions})
    if len(widths) > 1:
        state.report(
            "CIM0435", f"blocks of {' and '.join(map(str, widths))} columns share outputs, wanted the same number"
        )
        return []
    return regions


def _check_rows(state: State, stream: StreamState, blocks: list[Region]) -> None:
    rows = sum(block.rows for block in blocks)
    if rows != stream.length:
        state.report("CIM0435", f"vectors of {stream.length} elements go into {rows} rows")


def _check_vectors(state: State, at: Instruction, stream: StreamState, length: int) -> None:
    out = state.streams.get(at["out"])
    if out is not None and (out.vectors, out.length) != (stream.vectors, length):
        found = f"out takes {out.vectors} vectors of {out.length} elements"
        state.report("CIM0435", f"{found}, {at.name} gives {stream.vectors} of {length}")


def _check_tables(state: State, at: Instruction, scales: int, biases: int) -> None:
    state.table(at["bias"], 8 * biases, "table of offsets B")
    multipliers = state.numbers(at["scale"], scales, "i32", "table of multipliers M")
    widest = max(multipliers, key=abs, default=0)
    if abs(widest) >= MULTIPLIER_LIMIT:
        state.report("CIM0437", f"multiplier {multipliers.index(widest)} is {widest}, wanted |M| < {MULTIPLIER_LIMIT}")


def _window_read(state: State, at: Instruction) -> StreamState | None:
    stream = state.read(at, "in")
    if stream is not None and stream.window is None:
        state.report("CIM0435", f"{at.name} reads stream s{at['in']} without a window")
        return None
    return stream


def _elementwise(state: State, at: Instruction, names: tuple[str, ...], codes: Codes | None) -> None:
    reads = {name: state.read(at, name) for name in names}
    out = state.streams.get(at["out"])
    for name, stream in reads.items():
        if stream is not None and out is not None and stream.elements != out.elements:
            state.report("CIM0435", f"{name} has {stream.elements} elements, out has {out.elements}")
    state.write(at, codes, **reads)


def _write_one(state: State, at: Instruction) -> None:
    out = state.streams.get(at["out"])
    if out is not None and out.elements != 1:
        state.report("CIM0435", f"{at.name} writes one element, out has {out.elements}")
    state.write(at, None)
