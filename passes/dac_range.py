"""Fit the inputs of crossbar layers to the codes that the target's DAC takes."""

from collections.abc import Collection, Sequence

from xdsl.ir import Operation
from xdsl.rewriter import Rewriter

from cimc.ir.facts import RANGE
from cimc.ir.graph import Graph, producer, users
from cimc.ir.nn import Computed, InputOp, Layer, RecodeOp, SoftmaxOp
from cimc.ir.types import CodeType, code_of, code_tensor, shape_of
from cimc.passes.casts import align
from cimc.passes.code_types import bounds, code_type
from cimc.passes.layer_bits import FULL, raised_bits
from cimc.passes.shared_codes import followers, root_of, same_codes
from cimc.passes.slices import Digits, digits_of
from cimc.targets import Target


def fit_inputs(graph: Graph, layers: Sequence[Layer], target: Target) -> None:
    """Give the input of every layer codes within the DAC's range; the ranges that calibration left are used up.

    Where only these layers read a value it is computed in such codes, else it is requantised before the layer.
    """
    for layer in layers:
        code = code_of(layer.x)
        if target.drives(code.low.data, code.high.data):
            continue
        fitted = fitted_code(code, target, _reach(layer), isinstance(root_of(layer.x), InputOp))
        if group := _retypable(layer, layers):
            _retype(group, fitted)
        elif not _shift_input(layer, layers, target):
            align(layer, layer.x, fitted)
    for op in graph.operations:
        RANGE.drop(op)


def fit_digits(graph: Graph, layers: Sequence[Layer], target: Target) -> dict[Operation, Digits]:
    """Give inputs of layers that were raised codes with zero at zero, for digits; return those of each such layer."""
    dac_bits, found = int(target.constants["dac.bits"]), dict[Operation, Digits]()
    for layer in layers:
        bits, code = raised_bits(layer)[0], code_of(layer.x)
        if bits == FULL or code.bits.data <= dac_bits:
            continue
        digits = found[layer] = digits_of(bits, dac_bits)
        if group := _retypable(layer, [layer]):
            _retype(group, digits.code(code))
        else:
            align(layer, layer.x, digits.code(code))
    return found


def fitted_code(code: CodeType, target: Target, reach: tuple[float, float], is_input: bool = False) -> CodeType:
    """Return the codes that stand for given ones on a DAC that does not take them.

    If the DAC has as many bits, codes of both signs and those of a model's inputs keep the scale and lose one code.
    Others are made for the real values `reach`: codes of one sign with zero at zero, so that zeros drive no current.
    """
    bits = int(target.constants["dac.bits"])
    if code.bits.data == bits and (is_input or code.low.data < code.zero.data < code.high.data):
        return _moved(code, target)
    return code_type(*reach, bits, offset=False)


def _reach(layer: Layer) -> tuple[float, float]:
    """Return the range of a layer's input on the calibration data, within what its codes can say."""
    code = code_of(layer.x)
    low, high = bounds(code)
    found = RANGE.get(root_of(layer.x))
    return (max(low, found[0]), min(high, found[1])) if found else (low, high)


def _retypable(layer: Layer, layers: Collection[Operation]) -> Sequence[Computed]:
    """Return a layer's input and all that shares its codes, where it can have others and only `layers` read them."""
    group = same_codes(layer)
    return group if group and not isinstance(group[0], SoftmaxOp) and _read_by(group, layers) else ()


def _read_by(group: Sequence[Computed], layers: Collection[Operation]) -> bool:
    """Return whether nothing but these layers reads a group's values."""
    return all(user in group or user in layers for one in group for user in users(one.out))


def _retype(group: Sequence[Computed], code: CodeType) -> None:
    for one in group:
        Rewriter.replace_value_with_new_type(one.out, code_tensor(shape_of(one.out), code))


def _shift_input(layer: Layer, layers: Collection[Operation], target: Target) -> bool:
    """Let a model input of integers, and all that is read from it, have codes that the DAC takes; say whether it can.

    The scale stays and one code is lost.
    """
    root = root_of(layer.x)
    source = producer(root.x) if isinstance(root, RecodeOp) else None
    if not isinstance(root, RecodeOp) or not isinstance(source, InputOp) or users(source.out) != [root]:
        return False
    group, code = followers(root), root.target
    if code.bits.data != target.constants["dac.bits"] or not _read_by(group, layers):
        return False
    outer = _moved(code, target)
    inner = _of_dac(root.source, outer.zero.data - code.zero.data, target)
    root.properties |= {"source": inner, "target": outer}
    source.properties["code"] = inner
    _retype([source], inner)
    _retype(group, outer)
    return True


def _moved(code: CodeType, target: Target) -> CodeType:
    """Return the DAC's codes with the scale of codes of as many bits; zero stays exact, a code at an end is lost."""
    return _of_dac(code, 1 if code.zero == code.low else 0, target)


def _of_dac(code: CodeType, shift: int, target: Target) -> CodeType:
    low, high = target.dac_range
    return CodeType.of(code.bits.data, low, high, min(max(code.zero.data + shift, low), high), code.scale.data)
