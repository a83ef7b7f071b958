"""The passes in their order: why each stands where it does, and wrong orders refused by name."""

from dataclasses import replace

import numpy as np
import pytest
from evaluate.graphs import one
from targets.stages import chip

from cimc.driving.driver import Request, run_pipeline
from cimc.ir import nn
from cimc.isa.errors import CimcError
from cimc.passes.pipeline import DEFAULT, PASSES, Setting, needs_data, parse_pipeline, require_order, stems, with_unset

NAMES = [row.name for row in PASSES]


def test_the_default_pipeline_is_all_passes_and_works() -> None:
    assert stems(DEFAULT) == NAMES
    require_order(DEFAULT, begun=False)


@pytest.mark.parametrize("place", range(len(PASSES)), ids=NAMES)
def test_what_a_pass_requires_stands_before_it(place: int) -> None:
    assert set(PASSES[place].requires) <= set(NAMES[:place])


def test_every_row_has_a_reason_of_its_own() -> None:
    reasons = [row.reason for row in PASSES]
    assert all(len(reason) > 20 for reason in reasons)
    assert len(set(reasons)) == len(PASSES)


@pytest.mark.parametrize(("name", "needed"), [(row.name, needed) for row in PASSES for needed in row.requires])
def test_a_pass_before_one_that_it_requires_is_refused_by_name(name: str, needed: str) -> None:
    for begun in (False, True):
        with pytest.raises(CimcError, match=f"pass {name} requires {needed} before it, which comes behind {name}"):
            require_order(f"{name},{needed}", begun)
    with pytest.raises(CimcError, match=f"pass {name} requires {needed} before it, which is not in the pipeline"):
        require_order(name, begun=False)


def test_a_graph_that_passes_have_made_needs_only_the_rest() -> None:
    for place in range(len(PASSES)):
        require_order(",".join(NAMES[place:]), begun=True)


@pytest.mark.parametrize(
    ("pipeline", "needed"), [("layout,fuse-clamp", False), ("calibrate", True), ("column-ranges", True), ("", False)]
)
def test_data_are_needed_by_the_passes_that_look_at_them(pipeline: str, needed: bool) -> None:
    assert needs_data(pipeline) is needed


def test_what_cannot_be_placed_is_refused_before_any_pass_runs() -> None:
    graph = one(nn.DenseOp, [((40,), None)], (30,), weight=np.ones((40, 30), np.float32))
    seen: list[str] = []
    small = chip(array__rows=16, array__columns=16)
    request = Request(small, "masks,split,place", observer=lambda name, graph, seconds: seen.append(name))
    with pytest.raises(CimcError, match="CIM0303"):
        run_pipeline(graph, request)
    assert seen == []
    run_pipeline(graph, replace(request, pipeline="masks"))
    assert seen == ["masks"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("split,place", "split,place"),
        ("split,place{near=adc}", "split,place{near=adc}"),
        ("split,column-ranges", "split,column-ranges{device_sigma=3.5 device_growth=2.0}"),
        ("column-ranges{per=block},split", "column-ranges{per=block device_sigma=3.5 device_growth=2.0},split"),
        ("column-ranges{device_sigma=1.0}", "column-ranges{device_sigma=1.0}"),
        ("column-ranges{device-growth=1.0}", "column-ranges{device-growth=1.0}"),
    ],
)
def test_options_are_set_where_none_of_them_is(text: str, expected: str) -> None:
    made = with_unset(text, "column-ranges", {"device_sigma": "3.5", "device_growth": "2.0"})
    assert made == expected
    parse_pipeline(made, Setting(chip()))
