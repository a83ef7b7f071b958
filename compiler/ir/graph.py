"""The value that passes take and return: a module and the weights beside it."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp

from cimc.ir.weights import WeightStore


@dataclass(frozen=True)
class Graph:
    """One model at one stage. `name` is the model's, for reports."""

    module: ModuleOp
    weights: WeightStore
    name: str = "model"
