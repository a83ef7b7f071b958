"""Ranges that are searched for: nothing gets worse, and what is written makes the program that was judged."""

from dataclasses import replace
from typing import Any

import pytest
from evaluate.graphs import S8, GraphBuilder, codes
from targets.stages import normal
from tuning.networks import DATA, judge

from cimc.backends.noise.sources import Noise
from cimc.driving.driver import compile_graph
from cimc.driving.scoring import Scoring
from cimc.ir import nn
from cimc.ir.types import CodeType
from cimc.passes.chosen import Chosen
from cimc.passes.ranges import Ranges
from cimc.tuning.judging import Choice, Judge
from cimc.tuning.ranges import options_text, searched, steps_of, values_read

pytest.importorskip("optuna", reason="the extra `search` is not installed")


def test_each_step_is_at_least_as_good_as_the_one_before() -> None:
    told: list[int] = []
    made = judge(chips=1)
    found = searched(made, 3, 0, told.append)
    first, *others = [loss for _, _, loss in found.steps]
    assert others == sorted(others, reverse=True)
    assert others[0] <= first
    assert told == list(range(1, steps_of(made, 3) + 1))
    assert searched(made, 3, 0).steps == found.steps, "a seed gives the same choice"


def test_the_search_begins_with_what_the_compiler_does_by_itself() -> None:
    assert options_text(searched(judge(noise=None), 1, 0).steps[0][1]) == ["calibrate{percentile=99.9900}"]


@pytest.mark.parametrize("inputs", ["symmetric", "full"])
def test_both_kinds_of_codes_of_inputs_are_tried(inputs: str) -> None:
    class Preferring(Judge):
        def loss(self, choice: Choice) -> float:
            return 1.0 if choice.options["calibrate"].get("inputs") == inputs else 2.0

    made = judge()
    found = searched(Preferring(made.graph, made.request, made.given, made.held), 8, 0)
    assert [loss for _, _, loss in found.steps] == [2.0, 1.0, 1.0]
    assert f"inputs={inputs}" in options_text(found.best)[0]
    low, high = judge().compiled(found.best).ranges.activations["x"]
    assert (low == -high) == (inputs == "symmetric")


def test_the_values_that_layers_read_have_ranges_of_their_own() -> None:
    assert values_read(judge()) == ["x", "d0", "d1"]


@pytest.mark.parametrize(("code", "wanted"), [(S8, ["d0"]), (codes(0, 255, 128), ["codes", "d0"])], ids=["s8", "u8"])
def test_codes_that_the_model_fixes_have_no_range_unless_the_dac_has_others(code: CodeType, wanted: list[str]) -> None:
    b = GraphBuilder()
    x = b.op(nn.QuantiseOp, [b.input((12,))], (12,), label="codes")
    b.ops[-1].properties["code"] = code
    x = b.op(nn.DenseOp, [x], (9,), label="d0", weight=normal(12, 9, seed=1))
    b.output(b.op(nn.DenseOp, [x], (5,), label="d1", weight=normal(9, 5, seed=2)))
    made = replace(judge(noise=None), graph=b.graph())
    assert values_read(made) == wanted
    made.compiled(Choice(beside=Chosen(reach=dict.fromkeys(wanted, 0.84))))


def test_factors_of_one_change_nothing_and_others_do() -> None:
    one, two, three = (judge().compiled(choice) for choice in (Choice(), at(1.0), at(0.84)))
    assert replace(two.ranges, reach={}) == one.ranges
    assert two.emission.program.instructions == one.emission.program.instructions
    assert three.ranges.activations["d0"][1] == pytest.approx(0.84 * one.ranges.activations["d0"][1], rel=1e-3)


def at(factor: float) -> Choice:
    return Choice().reaching("d0", factor)


def test_the_ranges_make_the_program_that_was_judged() -> None:
    made = judge()
    compiled = made.compiled(Choice({"column-ranges": {"deviations": "2.50"}}).reaching("d0", 0.84))
    stored = Ranges.from_json(compiled.ranges.to_json())
    again = compile_graph(made.graph.copy(), replace(made.request, ranges=stored, data=None))
    for name in ("instructions", "constants", "conductances"):
        assert getattr(again.emission.program, name) == getattr(compiled.emission.program, name)


def test_options_that_the_user_gave_stand() -> None:
    given = replace(judge().request, pipeline="calibrate{percentile=99.5},column-ranges{device_sigma=7.0}")
    chosen = Choice({"calibrate": {"percentile": "99.9"}, "column-ranges": {"deviations": "3.00"}}).on(given)
    assert chosen.pipeline == "calibrate{percentile=99.5},column-ranges{device_sigma=7.0 deviations=3.00}"


def test_data_that_judge_give_no_ranges() -> None:
    made = judge()
    other = replace(made, held={"x": 3.0 * made.held["x"]})
    assert other.compiled(Choice()).ranges == made.compiled(Choice()).ranges
    assert other.loss(Choice()) != made.loss(Choice())
    assert made.exact["out"].shape[0] == len(DATA["x"]) - len(made.given["x"])


def test_chips_that_judge_are_drawn_by_seeds_that_others_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    on_chip = Scoring.on_chip

    def noting(scoring: Scoring, noise: Noise, compensation: str) -> Any:
        drawn.append(noise.seed)
        return on_chip(scoring, noise, compensation)

    monkeypatch.setattr(Scoring, "on_chip", noting)
    made = judge()
    assert made.loss(Choice()) == made.loss(Choice())
    assert drawn == [2000, 2001] * 2, "tests draw chips from 0 on, training from 1000"
