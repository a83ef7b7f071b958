"""Budgets are set by name and number, and handed on to processes as they are."""

from collections.abc import Iterator

import pytest

from cimc.isa.budgets import Budgets, OverBudget, adopt, budgets, require, set_budgets
from cimc.isa.errors import USAGE


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    set_budgets()


def test_what_is_set_holds_until_it_is_set_anew() -> None:
    set_budgets(["nodes=7", "text_bytes=3MiB"])
    assert budgets() == Budgets(nodes=7, text_bytes=3 << 20)
    set_budgets()
    assert budgets() == Budgets()


def test_another_process_takes_them_over() -> None:
    adopt(Budgets(nodes=2))
    require("nodes", 3, "nodes", extra=1)
    with pytest.raises(OverBudget, match=r"(?s)CIM0006.*nodes: 4, the budget nodes allows 3.*--budget nodes=4"):
        require("nodes", 4, "nodes", extra=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("knots=3", "there is no budget named 'knots'"),
        ("nodes", "the budget nodes is '', a whole number is needed"),
        ("nodes=-1", "the budget nodes is '-1', a whole number is needed"),
        ("nodes=1e3", "the budget nodes is '1e3', a whole number is needed"),
        ("nodes=\N{SUPERSCRIPT TWO}", "a whole number is needed"),
        ("nodes=" + "9" * 19, "a whole number is needed"),
    ],
)
def test_what_is_no_budget_is_refused(text: str, said: str) -> None:
    with pytest.raises(OverBudget) as caught:
        set_budgets([text])
    assert (caught.value.code, caught.value.status) == ("CIM0007", USAGE)
    assert said in caught.value.message and caught.value.hint
    assert budgets() == Budgets()
