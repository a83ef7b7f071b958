"""Maximum and average pools, over windows and over everything."""

from xdsl.ir import SSAValue

from cimc.frontend.site import Site
from cimc.frontend.spatial import Placement, channels_first, channels_last, height_width, place, require_data
from cimc.ir import build
from cimc.ir.build import Window
from cimc.ir.types import shape_of


def max_pool(at: Site) -> SSAValue:
    if len([name for name in at.node.outputs if name]) > 1:
        raise at.refuse("CIM0104", "the Indices output is used", hint="export without return_indices")
    last, placement = _placed(at)
    return channels_first(at, build.max_pool(last, placement.window, at.label), _rank(at))


def average_pool(at: Site) -> SSAValue:
    last, placement = _placed(at)
    counted = placement.counted if at.node.integer("count_include_pad", 0) == 1 else (0, 0, 0, 0)
    return channels_first(at, build.avg_pool(last, placement.window, counted, at.label), _rank(at))


def global_max_pool(at: Site) -> SSAValue:
    last = channels_last(at)
    return channels_first(at, build.max_pool(last, Window(height_width(last)), at.label), _rank(at))


def global_average_pool(at: Site) -> SSAValue:
    last = channels_last(at)
    pool = build.avg_pool(last, Window(height_width(last)), (0, 0, 0, 0), at.label)
    return channels_first(at, pool, _rank(at))


def _rank(at: Site) -> int:
    return len(at.full_shape(at.node.inputs[0])) - 1


def _placed(at: Site) -> tuple[SSAValue, Placement]:
    last, rank = channels_last(at), _rank(at)
    kernel = at.node.ints("kernel_shape", ())
    if len(kernel) != rank - 1:
        raise at.refuse("CIM0104", f"kernel {kernel} does not fit {rank - 1} spatial axes")
    if at.node.text("auto_pad", "NOTSET")[:4] == "SAME" and max(at.node.ints("dilations", (1,))) > 1:
        raise at.refuse("CIM0104", "auto_pad with dilations: runtimes disagree on its meaning", hint="state the pads")
    placement = place(at, kernel, height_width(last)[3 - rank :])
    require_data(at, placement, height_width(last))
    return last, placement


def reduce_mean(at: Site) -> SSAValue:
    """A mean over any axes but the batch: the reduced axes become the height of an average pool."""
    x, result = at.activation(0), at.result_shape()
    shape, reduced = shape_of(x), _reduced_axes(at)
    if not reduced:
        raise at.refuse("CIM0104", "no axis is reduced")
    kept = [axis for axis in range(len(shape)) if axis not in reduced]
    front = at.transposed(x, (*reduced, *kept), "reduced")
    height, width = (shape[reduced[0]], 1) if len(reduced) == 1 else (shape[reduced[0]], shape[reduced[1]])
    for axis in reduced[2:]:
        width *= shape[axis]
    channels = 1
    for axis in kept:
        channels *= shape[axis]
    flat = at.reshaped(front, (height, width, channels), "windows")
    pooled = at.add(build.avg_pool(flat, Window((height, width)), (0, 0, 0, 0), at.label))
    return at.reshaped(pooled, result, "kept")


def _reduced_axes(at: Site) -> list[int]:
    axes = at.integers(1) if at.node.has(1) else ()
    if not axes and at.node.integer("noop_with_empty_axes", 0) == 0:
        return list(range(len(shape_of(at.activation(0)))))
    return sorted(at.axis(axis) for axis in axes)
