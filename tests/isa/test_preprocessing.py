"""Preprocessing in the port of a program: what it may hold, and how it is read aloud."""

import dataclasses

import pytest

from cimc.isa.errors import IsaError
from cimc.isa.manifest import port_facts, port_from
from cimc.isa.preprocessing import Preprocessing, channel_axis
from cimc.isa.program import Port

IMAGE = Port("x", 0, "i8", (4, 5, 3), (3, 4, 5), (1, 2, 0), 0.25, 0, -128, 127)


def test_a_port_without_preprocessing_has_no_such_member() -> None:
    assert "preprocessing" not in port_facts(IMAGE)


def test_only_what_is_not_usual_is_written() -> None:
    port = dataclasses.replace(IMAGE, preprocessing=Preprocessing(scale=0.5))
    assert port_facts(port)["preprocessing"] == {"scale": 0.5}
    assert port_facts(dataclasses.replace(IMAGE, preprocessing=Preprocessing()))["preprocessing"] == {}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (3, "other members"),
        ({"bias": 1.0}, "other members"),
        ({"scale": 0.0}, "scale 0.0"),
        ({"scale": "1"}, "scale '1'"),
        ({"offset": True}, "offset True"),
        ({"offset": float("inf")}, "offset inf"),
        ({"mean": 1.0, "std": 1.0}, "not lists"),
        ({"mean": ["a"], "std": [1.0]}, "not lists"),
        ({"mean": [1.0]}, "mean has 1 numbers, std 0"),
        ({"mean": [1.0], "std": [0.0]}, "std has a zero"),
        ({"mean": [1.0, 2.0], "std": [1.0, 1.0]}, "no single end"),
    ],
)
def test_what_is_no_preprocessing_is_refused(facts: object, said: str) -> None:
    with pytest.raises(IsaError, match=said):
        port_from({**port_facts(IMAGE), "preprocessing": facts})


@pytest.mark.parametrize(
    ("count", "shape", "axis"),
    [(3, (3, 4, 5), 0), (3, (4, 5, 3), 2), (3, (3, 4, 3), None), (2, (3, 4, 5), None), (7, (7,), 0), (1, (), None)],
)
def test_channels_lie_at_an_end(count: int, shape: tuple[int, ...], axis: int | None) -> None:
    assert channel_axis(count, shape) == axis


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (Preprocessing(), "x"),
        (Preprocessing(-83.0, 0.5847029), "(x - 83) * 0.584703"),
        (Preprocessing(scale=1 / 255, mean=(0.5,), std=(0.25,)), "(x * 0.00392157 - 0.5) / 0.25"),
        (Preprocessing(mean=(1.0, 2.0), std=(3.0, 4.0)), "(x - [1, 2]) / [3, 4]"),
    ],
)
def test_it_reads_aloud(steps: Preprocessing, words: str) -> None:
    assert str(steps) == words
