"""The elementwise functions that `nn.unary` may name: values in float64, and the ONNX operator that means the same."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Parameters = tuple[float, ...]

MASKED = -5000.0
"""Sums at or below it stand for minus infinity in what a softmax reads: masks add -10000, -1e9 or less."""


@dataclass(frozen=True)
class Function:
    """One function of values and parameters; `operator` is empty where no single ONNX operator means it.

    `attributes` are the attributes of the ONNX operator that give the parameters, with their defaults; without any,
    parameters are the operator's further inputs. The power of p1 x + p2 is p0. `whole`: every result is an
    integer, which codes of scale 1 hold exactly. `steep`: the slope varies so much that an operand of the digital unit
    gets 12-bit codes. `jumps`: results jump where an operand is this much above a whole number.
    """

    operator: str
    values: Callable[[Reals, Parameters], NDArray[np.floating[Any]]]
    attributes: Mapping[str, float] = field(default_factory=dict)
    whole: bool = False
    steep: bool = False
    jumps: float | None = None


def _sigmoid(x: Reals, p: Parameters) -> Reals:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0)))


def _softplus(x: Reals, p: Parameters) -> Reals:
    return np.logaddexp(0.0, x)


def _erf(x: Reals) -> Reals:
    return np.array([math.erf(value) for value in x.ravel().tolist()], np.float64).reshape(x.shape)


def _gelu_tanh(x: Reals, p: Parameters) -> Reals:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _exponential(x: Reals, alpha: float, stretch: float) -> NDArray[np.floating[Any]]:
    """Return x above zero and alpha (exp(x / stretch) - 1) below."""
    return np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0) / stretch))


def _shrink(x: Reals, p: Parameters) -> NDArray[np.floating[Any]]:
    return np.where(x < -p[0], x + p[1], np.where(x > p[0], x - p[1], 0.0))


SELU = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}

FUNCTIONS: Mapping[str, Function] = {
    "abs": Function("Abs", lambda x, p: np.abs(x)),
    "atan": Function("Atan", lambda x, p: np.arctan(x)),
    "acos": Function("Acos", lambda x, p: np.arccos(np.clip(x, -1.0, 1.0)), steep=True),
    "acosh": Function("Acosh", lambda x, p: np.arccosh(np.maximum(x, 1.0)), steep=True),
    "asin": Function("Asin", lambda x, p: np.arcsin(np.clip(x, -1.0, 1.0)), steep=True),
    "asinh": Function("Asinh", lambda x, p: np.arcsinh(x)),
    "atanh": Function("Atanh", lambda x, p: np.arctanh(x), steep=True),
    "at_least": Function("GreaterOrEqual", lambda x, p: (x >= p[0]) * 1.0, whole=True, steep=True),
    "ceil": Function("Ceil", lambda x, p: np.ceil(x), whole=True, steep=True, jumps=0.0),
    "celu": Function("Celu", lambda x, p: _exponential(x, p[0], p[0]), {"alpha": 1.0}),
    "cos": Function("Cos", lambda x, p: np.cos(x), steep=True),
    "cosh": Function("Cosh", lambda x, p: np.cosh(x), steep=True),
    "elu": Function("Elu", lambda x, p: _exponential(x, p[0], 1.0), {"alpha": 1.0}),
    "equals": Function("Equal", lambda x, p: (x == p[0]) * 1.0, whole=True, steep=True),
    "erf": Function("Erf", lambda x, p: _erf(x)),
    "exp": Function("Exp", lambda x, p: np.exp(x), steep=True),
    "floor": Function("Floor", lambda x, p: np.floor(x), whole=True, steep=True, jumps=0.0),
    "gelu": Function("", lambda x, p: 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))),
    "gelu_tanh": Function("", _gelu_tanh),
    "greater": Function("Greater", lambda x, p: (x > p[0]) * 1.0, whole=True, steep=True),
    "hard_sigmoid": Function(
        "HardSigmoid", lambda x, p: np.clip(p[0] * x + p[1], 0.0, 1.0), {"alpha": 0.2, "beta": 0.5}
    ),
    "hard_swish": Function("HardSwish", lambda x, p: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)),
    "leaky_relu": Function("LeakyRelu", lambda x, p: np.where(x < 0.0, p[0] * x, x), {"alpha": 0.01}),
    "log": Function("Log", lambda x, p: np.log(x), steep=True),
    "mish": Function("Mish", lambda x, p: x * np.tanh(_softplus(x, ()))),
    "less": Function("Less", lambda x, p: (x < p[0]) * 1.0, whole=True, steep=True),
    "at_most": Function("LessOrEqual", lambda x, p: (x <= p[0]) * 1.0, whole=True, steep=True),
    "power": Function("", lambda x, p: np.power(p[1] * x + p[2], p[0]), steep=True),
    "reciprocal": Function("Reciprocal", lambda x, p: 1.0 / x, steep=True),
    "round": Function("Round", lambda x, p: np.rint(x), whole=True, steep=True, jumps=0.5),
    "selu": Function("Selu", lambda x, p: p[1] * _exponential(x, p[0], 1.0), SELU),
    "shrink": Function("Shrink", _shrink, {"lambd": 0.5, "bias": 0.0}, steep=True),
    "sigmoid": Function("Sigmoid", _sigmoid),
    "sign": Function("Sign", lambda x, p: np.sign(x), whole=True, steep=True),
    "sin": Function("Sin", lambda x, p: np.sin(x), steep=True),
    "sinh": Function("Sinh", lambda x, p: np.sinh(x), steep=True),
    "softplus": Function("Softplus", _softplus),
    "softsign": Function("Softsign", lambda x, p: x / (1.0 + np.abs(x))),
    "sqrt": Function("Sqrt", lambda x, p: np.sqrt(x), steep=True),
    "swish": Function("Swish", lambda x, p: x * _sigmoid(p[0] * x, ()), {"alpha": 1.0}),
    "tan": Function("Tan", lambda x, p: np.tan(x), steep=True),
    "tanh": Function("Tanh", lambda x, p: np.tanh(x)),
    "thresholded_relu": Function(
        "ThresholdedRelu", lambda x, p: np.where(x > p[0], x, 0.0), {"alpha": 1.0}, steep=True
    ),
    "visible": Function("", lambda x, p: (p[0] * x + p[1] > MASKED) * 1.0),
}
"""Name -> function. Where a function has no value (the logarithm of -1), `apply` gives 0."""


def compares(name: str, parameters: Parameters) -> bool:
    """Say whether a function compares its operand with a number, its first parameter: its results jump there.

    A Shrink whose bias is as large as that number only bends.
    """
    operator = FUNCTIONS[name].operator
    return operator in (*COMPARISONS, "ThresholdedRelu") or (operator == "Shrink" and parameters[0] != parameters[1])


COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
"""Operators above whose ONNX results are truth values; as codes they are 1 and 0."""


def of_codes(name: str, steps: Reals, scale: float, parameters: Parameters) -> Reals:
    """Return the function's values for codes, which are so many steps above their zero point.

    Where results jump, what is rounded to a code of this scale counts as what it was: the floor of 1 is 1 on all codes.
    """
    x, jumps = steps * scale, FUNCTIONS[name].jumps
    if jumps is not None:
        jump = np.rint(x - jumps) + jumps
        x = np.where(np.rint(jump / scale) == steps, jump, x)
    return apply(name, x, parameters)


def apply(name: str, x: Reals, parameters: Parameters) -> Reals:
    """Return the function's values, all finite. Raises KeyError for an unknown name."""
    with np.errstate(all="ignore"):
        values = FUNCTIONS[name].values(x, parameters).astype(np.float64)
    return np.nan_to_num(values, nan=0.0, posinf=LARGEST, neginf=-LARGEST)


LARGEST = 1e30
"""Stands for infinity: beyond all codes."""
