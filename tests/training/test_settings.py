"""Settings of training runs as texts."""

import pytest

from cimc.isa.errors import CimcError
from cimc.training.settings import BOUNDS, Settings, changed


def test_texts_change_settings() -> None:
    assert changed(["steps=7", "rate=0.01", "modes=refit", "steps=9"]) == Settings(steps=9, rate=0.01, modes="refit")


def test_every_default_is_within_its_bounds() -> None:
    for name, (low, high) in BOUNDS.items():
        assert low <= getattr(Settings(), name) <= high


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepps=7", "no setting 'stepps'"),
        ("steps=many", "it takes a whole number"),
        ("steps=0", "1 to"),
        ("rate=nan", "is possible"),
        ("modes=block", "column or refit"),
        ("objective=best", "classes or values"),
        ("steps", "it takes a whole number"),
    ],
)
def test_what_cannot_be_set_is_refused(text: str, message: str) -> None:
    with pytest.raises(CimcError, match=message):
        changed([text])
