"""Resize and Upsample: a gather along each axis for nearest, a constant matrix along each axis for linear and cubic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import SSAValue

from cimc.frontend.conversion import BEFORE_COORDINATES
from cimc.frontend.elementary import picked
from cimc.frontend.lowering import Lowering, Reals
from cimc.ir import build
from cimc.ir.types import shape_of

TRANSFORMS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
)


@dataclass(frozen=True)
class Stretch:
    """One axis: its length before and after, and the factor that places are computed with."""

    before: int
    after: int
    factor: float

    def places(self, transform: str) -> NDArray[np.floating[Any]]:
        """Return where each result lies in the data, as ONNX's transformations say, in float32 as runtimes do."""
        i, factor = np.arange(self.after, dtype=np.float32), np.float32(self.factor)
        if transform == "align_corners":
            return i * ((self.before - 1) / (self.after - 1) if self.after > 1 else 0.0)
        if transform == "asymmetric":
            return i / factor
        if transform == "pytorch_half_pixel" and self.after == 1:
            return np.zeros(1)
        if transform == "tf_half_pixel_for_nn":
            return (i + np.float32(0.5)) / factor
        places = (i + np.float32(0.5)) / factor - np.float32(0.5)
        if transform == "half_pixel_symmetric":
            adjusted = self.before / 2 * (1 - self.after / (self.factor * self.before))
            return places + adjusted
        return places


def resize(at: Lowering) -> SSAValue:
    """Constant scales or sizes; modes nearest, linear and cubic without antialias; no crop."""
    transform, mode = at.node.text("coordinate_transformation_mode", "half_pixel"), at.node.text("mode", "nearest")
    if transform not in TRANSFORMS:
        raise at.refuse("CIM0104", f"coordinates by {transform}", hint=f"supported: {', '.join(TRANSFORMS)}")
    if at.node.integer("antialias", 0):
        raise at.refuse("CIM0104", "antialias", hint="shrink with an average pool")
    x = at.activation(0)
    for axis, stretch in _stretches(at).items():
        if stretch.after == stretch.before and stretch.factor == 1.0:
            continue
        if transform == "align_corners" and abs(stretch.before * stretch.factor - stretch.after) > 1e-3:
            raise at.refuse(
                "CIM0104", f"align_corners with the factor {stretch.factor:g}: runtimes disagree", hint="state sizes"
            )
        places = stretch.places(transform)
        if mode == "nearest":
            x = picked(
                at,
                x,
                _nearest(places, at.node.text("nearest_mode", "round_prefer_floor"), stretch),
                axis,
                f"axis{axis}",
            )
        else:
            x = _interpolated(at, x, axis, _weights(at, places, stretch, mode))
    return x


def _stretches(at: Lowering) -> dict[int, Stretch]:
    """Return how each per-sample axis is stretched; data that keep their shape are copied, whatever the factors."""
    shape, result = at.full_shape(at.node.inputs[0]), at.full_shape(at.node.outputs[0])
    if shape == result:
        return {}
    axes = at.node.ints("axes", tuple(range(len(shape))))
    if at.node.has(2) and at.constant(2).size:
        factors = dict(zip(axes, (float(factor) for factor in at.reals(2).reshape(-1)), strict=True))
    else:
        factors = _factors_of_sizes(at, axes, shape)
    changed = {axis: Stretch(shape[axis], result[axis], factor) for axis, factor in factors.items()}
    return {at.axis(axis): one for axis, one in changed.items() if one.factor != 1.0 or one.after != one.before}


def _factors_of_sizes(at: Lowering, axes: Sequence[int], shape: Sequence[int]) -> dict[int, float]:
    at.require_known(3)
    sizes = at.builder.facts.constants[at.node.inputs[3]].value.reshape(-1)
    factors = [float(size) / shape[axis] for axis, size in zip(axes, sizes, strict=True)]
    policy = at.node.text("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        factors = [min(factors) if policy == "not_larger" else max(factors)] * len(factors)
    return dict(zip(axes, factors, strict=True))


def _nearest(places: NDArray[np.floating[Any]], rule: str, stretch: Stretch) -> list[int]:
    rounded = {
        "round_prefer_floor": np.ceil(places - 0.5),
        "round_prefer_ceil": np.floor(places + 0.5),
        "floor": np.floor(places),
        "ceil": np.ceil(places),
        BEFORE_COORDINATES: np.ceil(places) if stretch.factor < 1.0 else np.floor(places),
    }[rule]
    return [int(place) for place in np.clip(rounded, 0, stretch.before - 1)]


def _weights(at: Lowering, places: NDArray[np.floating[Any]], stretch: Stretch, mode: str) -> Reals:
    """Return the matrix (before, after) of an interpolation; taps outside read the edge."""
    first, taps = np.floor(places), (0, 1) if mode == "linear" else (-1, 0, 1, 2)
    matrix = np.zeros((stretch.before, stretch.after))
    excluded = mode == "cubic" and at.node.integer("exclude_outside", 0) == 1
    for tap in taps:
        at_tap = first + tap
        weight = _kernel(np.abs(places - at_tap), mode, at.node.real("cubic_coeff_a", -0.75))
        inside = (at_tap >= 0) & (at_tap < stretch.before)
        weight = np.where(inside, weight, 0.0) if excluded else weight
        np.add.at(matrix, (np.clip(at_tap, 0, stretch.before - 1).astype(int), np.arange(stretch.after)), weight)
    return matrix / matrix.sum(axis=0) if excluded else matrix


def _kernel(distance: NDArray[np.floating[Any]], mode: str, a: float) -> NDArray[np.floating[Any]]:
    """Return the weight of a tap at a distance: the triangle, or the cubic convolution of Keys with coefficient a."""
    if mode == "linear":
        return np.where(distance < 1.0, 1.0 - distance, 0.0)
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * a * distance - 4 * a
    weights: NDArray[np.floating[Any]] = np.where(distance <= 1.0, near, np.where(distance < 2.0, far, 0.0))
    return weights


def _interpolated(at: Lowering, x: SSAValue, axis: int, matrix: Reals) -> SSAValue:
    """Return the product of the matrix with one axis, which is last for it."""
    rank = len(shape_of(x))
    order = [other for other in range(rank) if other != axis] + [axis]
    weight = at.weight(matrix, f"{at.label}.axis{axis}.weights")
    y = at.add(build.dense(at.transposed(x, order, "last"), weight, None, at.helper(f"axis{axis}")))
    return at.transposed(y, [order.index(other) for other in range(rank)], "back")
