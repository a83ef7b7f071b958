"""Maximum, average and power pools, over windows and over everything; local response normalisation."""

from xdsl.ir import SSAValue

from cimc.frontend.elementary import table
from cimc.frontend.lowering import Lowering
from cimc.frontend.spatial import Placement, channels_first, channels_last, height_width, place, require_data
from cimc.ir import build
from cimc.ir.build import Window
from cimc.ir.types import shape_of
from cimc.isa.limits import WINDOW_MOST


def max_pool(at: Lowering) -> SSAValue:
    """1 or 2 spatial axes, without the Indices output; any strides, pads, dilations and ceil_mode."""
    last, placement = _placed(at)
    return channels_first(at, build.max_pool(last, placement.window, at.label), _rank(at))


def average_pool(at: Lowering) -> SSAValue:
    """1 or 2 spatial axes; any strides, pads, dilations and ceil_mode, pads counted or not."""
    last, placement = _placed(at)
    counted = placement.counted if at.node.integer("count_include_pad", 0) == 1 else (0, 0, 0, 0)
    return channels_first(at, build.avg_pool(last, placement.window, counted, at.label), _rank(at))


def global_max_pool(at: Lowering) -> SSAValue:
    """1 or 2 spatial axes."""
    last = channels_last(at)
    return channels_first(at, build.max_pool(last, Window(height_width(last)), at.label), _rank(at))


def global_average_pool(at: Lowering) -> SSAValue:
    """1 or 2 spatial axes."""
    last = channels_last(at)
    pool = build.avg_pool(last, Window(height_width(last)), (0, 0, 0, 0), at.label)
    return channels_first(at, pool, _rank(at))


def _rank(at: Lowering) -> int:
    return len(at.full_shape(at.node.inputs[0])) - 1


def _placed(at: Lowering) -> tuple[SSAValue, Placement]:
    last, rank = channels_last(at), _rank(at)
    kernel = at.node.ints("kernel_shape", ())
    if len(kernel) != rank - 1:
        raise at.refuse("CIM0104", f"kernel {kernel} does not fit {rank - 1} spatial axes")
    if at.node.text("auto_pad", "NOTSET")[:4] == "SAME" and max(at.node.ints("dilations", (1,))) > 1:
        raise at.refuse("CIM0104", "auto_pad with dilations: runtimes disagree on its meaning", hint="state the pads")
    placement = place(at, kernel, height_width(last)[3 - rank :])
    require_data(at, placement, height_width(last))
    return last, placement


def lp_pool(at: Lowering) -> SSAValue:
    """1 or 2 spatial axes; the p-th root of the sum of p-th powers, taps in pads being zero."""
    last, placement = _placed(at)
    return _of_powers(at, last, placement.window)


def global_lp_pool(at: Lowering) -> SSAValue:
    """1 or 2 spatial axes."""
    last = channels_last(at)
    return _of_powers(at, last, Window(height_width(last)))


def _of_powers(at: Lowering, x: SSAValue, window: Window) -> SSAValue:
    """The mean over all taps, pads included, times their number is the sum."""
    p, taps = float(at.node.integer("p", 2)), float(window.kernel[0] * window.kernel[1])
    if p == 2.0:
        powers = at.add(build.mul(x, x, at.helper("powers")))
    else:
        powers = table(at, "abs", x, suffix="sizes")
        powers = powers if p == 1.0 else table(at, "power", powers, p, 1.0, 0.0, suffix="powers")
    mean = at.add(build.avg_pool(powers, window, window.pads, at.helper("mean")))
    return channels_first(at, build.unary(mean, "power", (1.0 / p, taps, 0.0), at.label), _rank(at))


def local_response_normalisation(at: Lowering) -> SSAValue:
    """x * (bias + alpha / size * sum of squares over `size` channels)^-beta."""
    x, size = channels_last(at), at.node.integer("size", 1)
    if not 1 <= size <= WINDOW_MOST:
        raise at.refuse("CIM0104", f"size is {size}, 1 to {WINDOW_MOST} channels are supported")
    height, width, channels = shape_of(x)
    squares = at.add(build.mul(x, x, at.helper("squares")))
    line = at.reshaped(squares, (height * width, channels, 1), "line")
    pads = (0, (size - 1) // 2, 0, size // 2)
    mean = at.add(build.avg_pool(line, Window((1, size), pads=pads), pads, at.helper("mean")))
    terms = [-at.node.real("beta", 0.75), at.node.real("alpha", 1e-4), at.node.real("bias", 1.0)]
    factor = at.reshaped(table(at, "power", mean, *terms, suffix="factor"), shape_of(x), "image")
    return channels_first(at, build.mul(x, factor, at.label), _rank(at))
