"""Bits that are searched for: what they cost, that they fit, and that searches find what there is."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from targets.stages import chip, normal, perceptron, residual
from tuning.networks import DATA, NOISE, judge

from cimc.backends.noise.sources import Noise
from cimc.driving.driver import Request
from cimc.ir.graph import Graph
from cimc.isa.binary import program_digest
from cimc.isa.errors import CimcError
from cimc.passes.chosen import Chosen
from cimc.passes.mixed_precision import Knob
from cimc.passes.pipeline import DEFAULT, behind_stage, with_options
from cimc.passes.ranges import Ranges
from cimc.tuning.bits import Measured, by_study, exhaustive, fitted, fitting, greedy
from cimc.tuning.judging import Choice, Judge, classes_of
from cimc.tuning.scale import _require_products, scale_of


@dataclass(frozen=True)
class Remembering(Judge):
    """A judge that is asked the same again and again."""

    known: dict[Any, float] = field(default_factory=dict)

    def loss(self, choice: Choice) -> float:
        key = (*sorted(choice.beside.bits.items()), *sorted(choice.beside.reach.items()))
        if key not in self.known:
            self.known[key] = super().loss(choice)
        return self.known[key]


def remembering(graph: Graph) -> Remembering:
    """Return the judge of a graph, without noise."""
    request = Request(chip(), behind_stage(DEFAULT, "graph"), start="graph")
    given, held = {"x": DATA["x"][:40]}, {"x": DATA["x"][40:]}
    return Remembering(graph, request, given, held, None)


def test_the_array_takes_the_time_of_its_codes() -> None:
    scale = scale_of(judge(), "ns", 1.0)
    assert [dict(prices) for prices in scale.prices.values()] == [{8: 130.0, 6: 34.0, 4: 10.0}] * 3
    assert scale.share(scale.lowest) == pytest.approx(10.0 / 130.0)


def test_weights_take_bytes_down_to_two_bits() -> None:
    scale = scale_of(judge(), "bytes", 1.0)
    assert scale.prices[Knob("d0", True)] == {8: 192.0, 6: 144.0, 4: 96.0, 3: 72.0, 2: 48.0}
    levels = {**scale.full, Knob("d1", True): 2}
    assert scale.choice(levels).beside.bits == {"d1": (8, 2)}
    assert judge().compiled(scale.choice(levels)).ranges.bits == {"d1": (8, 2)}


@pytest.mark.parametrize("unit", ["ns", "bytes"])
def test_greedy_fits_and_loses_less_than_the_fewest_bits(unit: str) -> None:
    found = Measured(judge(noise=None), scale_of(judge(noise=None), unit, 0.5))
    levels = greedy(found)
    assert found.scale.fits(levels)
    assert found.loss(found.scale.full) < found.loss(levels) < found.loss(found.scale.lowest)


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_all_levels_that_fit_are_tried_and_counted(share: float) -> None:
    """Three values with the prices 130, 34 and 10 of 390: 27 choices."""
    asked = judge(noise=None)
    found, told = Measured(asked, scale_of(asked, "ns", share)), list[int]()
    every = fitting(found.scale)
    assert len(every) == {0.3: 8, 0.5: 17}[share]
    best = exhaustive(found, every, told.append)
    assert told == list(range(1, len(every) + 1))
    assert found.loss(best) == min(map(found.loss, every))


@pytest.mark.nightly
def test_a_study_finds_the_best_of_all_in_nine_of_ten_seeds() -> None:
    """Four layers with three choices each: of 81, those that fit half of the array's time."""
    pytest.importorskip("optuna", reason="the extra `search` is not installed")
    asked = remembering(perceptron(12, 16, 9, 7, 5))
    scale = scale_of(asked, "ns", 0.5)
    every = Measured(asked, scale)
    best = every.loss(exhaustive(every, fitting(scale)))
    found = [Measured(asked, scale) for _ in range(10)]
    reached = [one.loss(by_study(one, 40, seed)) for seed, one in enumerate(found)]
    assert sum(power <= 1.001 * best for power in reached) >= 9
    assert every.loss(greedy(every)) >= best


@pytest.mark.parametrize("unit", ["ns", "bytes"])
def test_a_study_is_never_worse_than_greedy_nor_than_equal_bits(unit: str) -> None:
    pytest.importorskip("optuna", reason="the extra `search` is not installed")
    asked = remembering(perceptron(12, 16, 9, 5))
    found, other = (Measured(asked, scale_of(asked, unit, 0.5)) for _ in range(2))
    only, told = by_study(found, 1, 3), list[int]()
    assert found.loss(only) == other.loss(greedy(other)), "no trial is left for a study"
    found = Measured(asked, found.scale)
    best = by_study(found, 16, 3, told.append)
    assert found.scale.fits(best)
    assert found.loss(best) <= min(found.loss(only), found.loss(found.scale.lowest))
    assert len(found.losses) == told[-1] == 16, "what greedy compiles is counted"


def test_a_study_that_repeats_itself_goes_on_next_to_the_best() -> None:
    """Of 17 levels that fit it finds the best, and ends: not so many are left as trials are granted."""
    pytest.importorskip("optuna", reason="the extra `search` is not installed")
    asked = remembering(perceptron(12, 16, 9, 5))
    found, every = (Measured(asked, scale_of(asked, "ns", 0.5)) for _ in range(2))
    assert found.loss(by_study(found, 100, 0)) == every.loss(exhaustive(every, fitting(every.scale)))
    assert len(found.losses) < 100


def test_what_no_bits_can_meet_is_refused() -> None:
    with pytest.raises(CimcError, match=r"7\.7 % of the ns"):
        scale_of(judge(), "ns", 0.05)


@pytest.mark.parametrize(
    ("weights", "first"),
    [("sliced", ["d0.slice0", "d0.slice1"]), ("offset", ["d0.raw"]), ("averaged", ["d0.columns"])],
)
def test_layers_that_weights_are_mapped_to_get_the_bits(weights: str, first: list[str]) -> None:
    asked = changed(f"weight-mapping{{weights={weights}}}")
    found = Measured(asked, scale_of(asked, "ns", 0.5))
    levels = greedy(found)
    bits = found.scale.choice(levels).beside.bits
    assert found.scale.share(levels) <= 0.5
    assert [label for label in bits if label.startswith("d0")] == first and len({*map(bits.get, first)}) == 1
    assert asked.compiled(found.scale.choice(levels)).ranges.bits == bits


def test_columns_that_stand_twice_take_twice_the_bytes() -> None:
    prices = scale_of(changed("weight-mapping{weights=averaged}"), "bytes", 0.5).prices
    assert prices[Knob("d0.columns", True)] == {8: 384.0, 6: 288.0, 4: 192.0, 3: 144.0, 2: 96.0}


def test_taps_of_the_digital_unit_take_bytes_or_half_of_them() -> None:
    """Four bits or eight: six take a byte, and two no less than half of one."""
    pipeline = behind_stage(with_options(DEFAULT, "im2col{depthwise=digital}"), "graph")
    data = {"x": normal(20, 6, 6, 3)}
    asked = Judge(residual(), Request(chip(), pipeline, start="graph"), data, data)
    scale = scale_of(asked, "bytes", 0.5)
    assert scale.prices[Knob("depth", True)] == {8: 36, 4: 18}
    assert {knob.label for knob in scale.prices} == {"stem", "depth", "both", "scores"}
    choice = scale.choice({**scale.full, Knob("depth", True): 4})
    assert choice.beside.bits == {"depth": (8, 4)}
    depthwise = [one for one in asked.compiled(choice).emission.program.instructions if one.name == "depthwise"]
    assert [one.choice("taps") for one in depthwise] == ["i4"]
    assert all(knob.label != "depth" for knob in scale_of(asked, "ns", 1.0).prices if knob.weights)


def test_bytes_of_slices_are_refused() -> None:
    with pytest.raises(CimcError, match=r"CIM0003.*holds their digits apart"):
        scale_of(changed("weight-mapping{weights=sliced}"), "bytes", 0.5)


def test_layers_that_are_no_product_are_refused() -> None:
    """Without its product on the array no bits of a layer have a price."""
    with pytest.raises(CimcError, match=r"CIM0003.*'d0' is no product of its own"):
        _require_products({Knob("x", False): ["d0"]}, {})


def test_bits_that_are_lowered_otherwise_are_refused() -> None:
    with pytest.raises(CimcError, match=r"CIM0003.*mixed-precision\{budget=3\} chooses bits"):
        scale_of(changed("mixed-precision{budget=3.0}"), "ns", 0.5)


def changed(options: str) -> Judge:
    """Return the judge of a pipeline in which a pass has options."""
    made = judge(noise=None)
    return replace(made, request=replace(made.request, pipeline=with_options(made.request.pipeline, options)))


def test_the_front_is_what_nothing_cheaper_loses_less_than() -> None:
    """Every choice is tried; a front over all of them has, at each share, the least that fits it."""
    asked = remembering(perceptron(12, 16, 9, 5))
    found = Measured(asked, scale_of(asked, "ns", 1.0))
    exhaustive(found, fitting(found.scale))
    front = found.front()
    shares, losses = ([of(levels) for levels in front] for of in (found.scale.share, found.loss))
    assert shares == sorted(shares, reverse=True) and losses == sorted(losses)
    assert front[0] == found.best() and front[-1] == found.scale.lowest
    for share in (0.1, 0.3, 0.5, 0.8):
        assert min(loss for one, loss in zip(shares, losses, strict=True) if one <= share) == found.loss(
            found.within(share).best()
        )


def test_shares_of_the_same_cost_share_what_was_tried() -> None:
    pytest.importorskip("optuna", reason="the extra `search` is not installed")
    asked = remembering(perceptron(12, 16, 9, 5))
    found = Measured(asked, scale_of(asked, "ns", 0.25))
    for share in (0.5, 0.25):
        wanted = greedy(found.within(share))
        before = len(found.losses)
        best = by_study(found.within(share), 4, 0)
        assert found.within(share).scale.fits(best)
        assert found.loss(best) <= found.loss(wanted)
        assert len(found.losses) <= before + 4


@pytest.mark.parametrize("noise", [None, NOISE], ids=["exact", "chips"])
def test_samples_of_another_class_count_before_noise(noise: Noise | None) -> None:
    """Of the same samples and chips: the whole number of the loss is how many are wrong, the rest the noise."""
    plain = judge(noise=noise)
    wanted = classes_of(plain.exact)
    judged = len(wanted) * (plain.chips if noise else 1)
    asked = replace(plain, classes=(wanted + 1) % 5)
    for bits in ({}, {"d1": (4, 8)}):
        noisy, wrong = plain.loss(Choice(beside=Chosen(bits))), asked.loss(Choice(beside=Chosen(bits))) * judged
        assert wrong % 1.0 == pytest.approx(noisy / (1.0 + noisy))
        assert asked.told(wrong / judged) == f"{100 * (1 - int(wrong) / judged):.1f}"
    agreeing = replace(plain, classes=wanted).loss(Choice()) * judged
    assert int(agreeing) <= judged - len(wanted) // 2
    assert int(wrong) >= len(wanted) // 2, "what agrees with the float model is not of the class behind"


def test_fewer_bits_come_with_ranges_that_lose_no_more() -> None:
    asked = remembering(perceptron(12, 16, 9, 5))
    plain = Measured(asked, scale_of(asked, "ns", 0.25))
    found = fitted(asked, plain.scale)
    assert found.scale.reach.keys() == plain.scale.prices.keys()
    for knob, factors in found.scale.reach.items():
        assert factors.keys() == {6, 4} and all(0.125 <= factor <= 1.0 for factor in factors.values())
        for bits in factors:
            levels = {**found.scale.full, knob: bits}
            assert found.knows(levels), "what fitting has compiled is not compiled again"
            assert found.loss(levels) == asked.loss(found.scale.choice(levels)) <= plain.loss(levels)
    assert found.loss(found.scale.lowest) < plain.loss(found.scale.lowest)
    choice = found.scale.choice(found.scale.lowest)
    bits, reach = choice.beside.bits, choice.beside.reach
    assert min(reach.values()) < 1.0
    first, wide = (asked.compiled(one).ranges.activations["x"] for one in (choice, Choice(beside=Chosen(bits))))
    assert first[1] == pytest.approx(reach["x"] * wide[1], rel=1e-3)


def test_what_was_chosen_is_read_back_from_the_ranges_and_gives_the_same_program_on_the_same_data() -> None:
    asked = judge(noise=None)
    choice = Choice(beside=Chosen({"d0": (4, 8), "d1": (8, 3)}, {"x": 0.5, "d0": 0.7}))
    compiled = asked.compiled(choice)
    stored = Chosen.of(Ranges.from_json(compiled.ranges.to_json()))
    assert stored == choice.beside
    again = asked.compiled(Choice(beside=stored))
    assert program_digest(again.emission.program) == program_digest(compiled.emission.program)
    other = asked.compiled(Choice(beside=stored), {"x": 2.0 * DATA["x"]}).ranges
    assert other.bits == compiled.ranges.bits
    assert other.activations["x"][1] > 1.5 * compiled.ranges.activations["x"][1]


def test_ranges_of_weights_and_at_full_bits_stay() -> None:
    asked = remembering(perceptron(12, 16, 9, 5))
    assert fitted(asked, scale_of(asked, "bytes", 0.5)).scale.reach == {}
    found = fitted(asked, scale_of(asked, "ns", 0.5))
    assert found.scale.choice(found.scale.full) == Choice()
