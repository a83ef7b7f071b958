"""Facts between passes: written and read with their types, here alone, and kept as they were first found."""

from pathlib import Path

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import chip, lowered, normal, perceptron
from xdsl.utils.exceptions import VerifyException

from cimc.ir import facts, nn
from cimc.ir.attributes import integer
from cimc.ir.facts import ACTIVATION_BYTES, BITS, GAIN, PEAKS, RANGE, SKIP_ZEROS
from cimc.ir.graph import Graph
from cimc.ir.text import parse_graph, print_graph
from cimc.passes.ranges import Ranges

PASSES = Path(facts.__file__).parents[2] / "passes"


def graph() -> Graph:
    b = GraphBuilder()
    b.output(b.op(nn.ClampOp, [b.input((3,))], (3,), low=0.0, high=1.0))
    return b.graph()


def test_a_fact_is_what_was_noted_through_text_as_well() -> None:
    made = graph()
    op = next(iter(made.module.ops))
    RANGE.note(op, (-1.5, 0.25))
    BITS.note(op, (6, 4))
    SKIP_ZEROS.note(op, True)
    ACTIVATION_BYTES.note(made.module, 640)
    read = parse_graph(print_graph(made)).module
    first = next(iter(read.ops))
    assert (RANGE.of(first), BITS.of(first), SKIP_ZEROS.of(first)) == ((-1.5, 0.25), (6, 4), True)
    assert ACTIVATION_BYTES.of(read) == 640


def test_what_no_pass_has_left_is_none_or_refused() -> None:
    op = next(iter(graph().module.ops))
    assert RANGE.get(op) is None
    with pytest.raises(VerifyException, match=r"no pass has left cim\.range on nn\.input"):
        RANGE.of(op)
    RANGE.note(op, (0.0, 1.0))
    RANGE.drop(op)
    RANGE.drop(op)
    assert RANGE.get(op) is None


@pytest.mark.parametrize("fact", [RANGE, BITS, GAIN, PEAKS])
def test_an_attribute_of_another_type_is_refused(fact: facts.Fact[object]) -> None:
    op = next(iter(graph().module.ops))
    op.attributes[fact.name] = integer(3)
    with pytest.raises(VerifyException, match="is no"):
        fact.of(op)


def test_passes_name_no_attribute_themselves() -> None:
    assert [path.name for path in PASSES.rglob("*.py") if '"cim.' in path.read_text()] == []


def test_ranges_are_those_that_were_found_first() -> None:
    data = {"x": normal(6, 9)}
    calibrated = lowered(perceptron(9, 5, 4), data, "calibrate")
    found = Ranges().noted(calibrated)
    for op in calibrated.operations:
        RANGE.note(op, (-100.0, 100.0))
    assert found.noted(calibrated) == found
    assert set(found.activations) == {"x", "d0", "d1"}
    ranged = lowered(perceptron(9, 5, 4), data, "column-ranges", chip(array__rows=4))
    everything = found.noted(ranged)
    assert everything.gain == GAIN.of(ranged.module)
    assert {label: len(peaks) for label, peaks in everything.columns.items()} == {"d0": 3 * 5, "d1": 2 * 4}
    assert all(isinstance(peak, int) for peak in everything.columns["d0"])
    assert np.any(everything.columns["d0"])
