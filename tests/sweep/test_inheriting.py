"""What a sweep was told to grant files holds in the processes that it starts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep.conftest import SAMPLES

from cimc.command_line.sweeping import _compiled
from cimc.diagnostics import DiagnosticError
from cimc.isa.budgets import Budgets, OverBudget, budgets, set_budgets
from cimc.isa.opening import root, set_root
from cimc.sweep.grid import read_grid
from cimc.sweep.work import inherit


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    set_budgets()
    set_root(None)


def test_what_is_inherited_holds(tmp_path: Path) -> None:
    inherit(Budgets(nodes=7), tmp_path)
    assert (budgets().nodes, root()) == (7, tmp_path.resolve())


def test_no_sample_is_no_sweep(write) -> None:
    set_root(str(SAMPLES))
    with pytest.raises(DiagnosticError, match="limit is 0, at least one sample is needed"):
        read_grid(write('noise = "none"', limit=0))


@pytest.mark.nightly
def test_a_process_that_compiles_holds_to_the_budgets(write) -> None:
    set_root(str(SAMPLES))
    builds = read_grid(write('noise = "none"')).builds()
    set_budgets(["nodes=1"])
    with pytest.raises(OverBudget, match="the budget nodes allows 1"):
        list(_compiled([*builds, *builds], 2))
