"""Magnitudes without squares: codes that are linear hold a square's small values badly, and the root shows it."""

from collections.abc import Iterator
from typing import TypeGuard

from xdsl.ir import SSAValue

from cimc.ir import build, nn
from cimc.ir.dead_code import drop_unused
from cimc.ir.graph import Graph, Labels, producer
from cimc.ir.location import replace

TINY = 2.0**-126
"""What a sum of parts has at least, so that no real value is 0 / 0: the smallest normal float32. Its code is zero's."""


def has_magnitudes(graph: Graph) -> bool:
    """Say whether a graph has a root of a sum of two squares."""
    return any(True for _ in _roots(graph))


def divide_magnitudes(graph: Graph) -> None:
    """sqrt(x x + y y) -> s sqrt(r r + (1 - r)(1 - r)) with s = |x| + |y|, r = |x| / s: its root reads 1/2 .. 1.

    A code of 16 bits holds a square down to 2^-15 of the largest, so magnitudes below 1/181 of the largest vanish; as
    a quotient and a product they are as fine as x and y.
    """
    for root, first, second in list(_roots(graph)):
        _divide(graph, root, first, second)
    drop_unused(graph)


def _roots(graph: Graph) -> Iterator[tuple[nn.UnaryOp, nn.MulOp, nn.MulOp]]:
    """Yield each root of a sum of two squares, and the squares."""
    for op in graph.operations:
        if isinstance(op, nn.UnaryOp) and op.function.data == "sqrt" and (squares := _squares(op.x)):
            yield op, *squares


def _squares(x: SSAValue) -> tuple[nn.MulOp, nn.MulOp] | None:
    """Return the squares that `x` is the sum of, if it is one that nothing changes and nothing else reads."""
    total = x.owner
    if not isinstance(total, nn.AddOp) or total.clamp is not None or total.out.has_more_than_one_use():
        return None
    a, b = total.a.owner, total.b.owner
    return (a, b) if _is_square(a) and _is_square(b) and a.out.type == b.out.type else None


def _divide(graph: Graph, root: nn.UnaryOp, first: nn.MulOp, second: nn.MulOp) -> None:
    labels, name = Labels(graph), root.label.data
    left, right = (
        build.unary(square.a, "abs", (), labels.fresh(name, part))
        for square, part in ((first, "abs"), (second, "abs2"))
    )
    parts = build.add(left.out, right.out, labels.fresh(name, "parts"))
    total = build.clamp(parts.out, TINY, nn.UNBOUNDED, labels.fresh(name, "total"))
    share = build.div(left.out, total.out, labels.fresh(name, "share"))
    around = build.unary(share.out, "power", (2.0, 1.0, -0.5), labels.fresh(name, "around"))
    length = build.unary(around.out, "power", (0.5, 2.0, 0.5), labels.fresh(name, "length"))
    made = [left, right, parts, total, share, around, length, build.mul(total.out, length.out, name)]
    replace(root, made, also=[producer(root.x), first, second])


def _is_square(op: object) -> TypeGuard[nn.MulOp]:
    return isinstance(op, nn.MulOp) and op.clamp is None and op.a is op.b
