"""docs/known-answers.json holds what the code gives, and what a noise machine written from docs/noise.md gives."""

import json
from pathlib import Path

import pytest
from outsider import noise as outsiders

from cimc.bringup.known_answers import text

FILE = Path(__file__).parents[2] / "docs" / "known-answers.json"
ANSWERS = json.loads(FILE.read_text())
ADDRESS = ("seed", "purpose", "stream", "sample", "vector", "index")


def test_the_file_is_current():
    assert FILE.read_text() == text(), "run make manual"


def test_words_and_normal_variables():
    for one in ANSWERS["words"]:
        address = [one[name] for name in ADDRESS]
        assert (outsiders.word(*address), outsiders.normal(*address)) == (one["word"], one["normal"]), one


def chip(one):
    return outsiders.Chip(outsiders.load(one["profile"], 508), one.get("seed", 0))


def test_times():
    for one in ANSWERS["times"]:
        profile = chip(one).profile
        assert chip(one).growth(one["seconds"]) == one["growth"], one
        if profile.choice("drift", "kind", "none") == "power":
            start = outsiders.Fraction(profile.number("drift", "start", "1"))
            assert outsiders.log2(1 + outsiders.Fraction(one["seconds"]) / start) == one["log2"], one


@pytest.mark.parametrize("profile", sorted({one["profile"] for one in ANSWERS["devices"]}))
def test_devices(profile):
    for one in (one for one in ANSWERS["devices"] if one["profile"] == profile):
        polarity = ("plus", "minus").index(one["polarity"])
        place, made = (one["tile"], one["row"], one["column"], polarity, one["pair"]), chip(one)
        state = made.programmed(place, one["target"])
        assert state == (one["programmed"], one["drift"]), one
        for at in one["at"]:
            fine = made.conductance(place, one["target"], state, at["seconds"])
            assert fine == at["fine"], (one, at)
            assert outsiders.code_of(fine) == at["code"], (one, at)
