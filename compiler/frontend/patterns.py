"""Normalisations that exporters spell out, ReduceMean to Div, read as the one operator they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cimc.frontend.folding import Facts
from cimc.frontend.node import Node


def with_normalisations(nodes: Sequence[Node], facts: Facts) -> list[Node]:
    """Return the nodes, each division that ends a spelled-out normalisation over the last axis replaced by it.

    (x - mean) / sqrt(mean((x - mean)^2) + epsilon) becomes LayerNormalization, x / sqrt(mean(x^2) + epsilon)
    RMSNormalization. Nodes that nothing needs any more are left for the caller to drop.
    """
    walk = _Walk({name: node for node in nodes for name in node.outputs}, facts)
    return [walk.normalisation(node) or node for node in nodes]


@dataclass(frozen=True)
class _Walk:
    """The way from a tensor up to the nodes that compute it; `passed` collects the nodes of a match."""

    makers: Mapping[str, Node]
    facts: Facts

    def normalisation(self, node: Node) -> Node | None:
        found = self._quotient(node)
        if found is None:
            return None
        top, bottom, inverted = found
        passed = [node]
        power = self._under_root(bottom, inverted, passed)
        if power is None:
            return None
        squared, epsilon = power
        if squared != top and not self._same_difference(squared, top):
            return None
        passed += [self.makers[name] for name in (top, squared) if name in self.makers]
        source = self._centred(top, passed)
        operator, x = ("RMSNormalization", top) if source is None else ("LayerNormalization", source)
        names = tuple(dict.fromkeys(one.name for one in passed))
        attributes = {"axis": -1, "epsilon": epsilon}
        return replace(node, operator=operator, inputs=(x,), attributes=attributes, also=names)

    def _quotient(self, node: Node) -> tuple[str, str, bool] | None:
        """Return dividend and divisor, and whether the divisor is already the inverse of the root."""
        if node.operator == "Div":
            return node.inputs[0], node.inputs[1], False
        if node.operator == "Mul":
            for top, bottom in (node.inputs, node.inputs[::-1]):
                maker = self.makers.get(bottom)
                if maker and maker.operator in ("Reciprocal", "Pow"):
                    return top, bottom, True
        return None

    def _under_root(self, name: str, inverted: bool, passed: list[Node]) -> tuple[str, float] | None:
        """Return z and epsilon where a tensor is sqrt(mean(z^2) + epsilon), or with `inverted` 1 over that."""
        maker = self.makers.get(name)
        if inverted and maker and maker.operator == "Reciprocal":
            passed.append(maker)
            return self._under_root(maker.inputs[0], False, passed)
        wanted = "Pow" if inverted else "Sqrt"
        if maker is None or maker.operator != wanted or (inverted and self._number(maker.inputs[1]) != -0.5):
            return None
        passed.append(maker)
        sum_ = self.makers.get(maker.inputs[0])
        if sum_ is None or sum_.operator != "Add":
            return None
        for mean, constant in (sum_.inputs, sum_.inputs[::-1]):
            epsilon, squared = self._number(constant), self._mean_of_square(mean, passed)
            if epsilon is not None and squared is not None:
                passed.append(sum_)
                return squared, epsilon
        return None

    def _mean_of_square(self, name: str, passed: list[Node]) -> str | None:
        mean = self._mean(name)
        square = None if mean is None else self.makers.get(mean)
        if square is None:
            return None
        is_square = (square.operator == "Pow" and self._number(square.inputs[1]) == 2.0) or (
            square.operator == "Mul" and square.inputs[0] == square.inputs[1]
        )
        if is_square:
            passed += [self.makers[name], square]
        return square.inputs[0] if is_square else None

    def _mean(self, name: str) -> str | None:
        """Return what a tensor is the mean of along its last axis, which is kept with length one."""
        maker = self.makers.get(name)
        if maker is None or maker.operator != "ReduceMean" or not maker.integer("keepdims", 1):
            return None
        rank = len(self.facts.shapes.get(maker.inputs[0], ()))
        axes = self.facts.integers(maker.inputs[1]) if maker.has(1) else maker.ints("axes", ())
        return maker.inputs[0] if rank and axes and [axis % rank for axis in axes] == [rank - 1] else None

    def _centred(self, name: str, passed: list[Node]) -> str | None:
        """Return x where a tensor is x - mean(x)."""
        maker = self.makers.get(name)
        if maker is None or maker.operator != "Sub" or self._mean(maker.inputs[1]) != maker.inputs[0]:
            return None
        passed.append(self.makers[maker.inputs[1]])
        return maker.inputs[0]

    def _same_difference(self, first: str, second: str) -> bool:
        """Say whether two tensors are the same x - mean(x), computed twice."""
        sources = [self._centred(name, []) for name in (first, second)]
        return sources[0] is not None and sources[0] == sources[1]

    def _number(self, name: str) -> float | None:
        constant = self.facts.constants.get(name)
        return float(constant.value.reshape(-1)[0]) if constant is not None and constant.value.size == 1 else None
