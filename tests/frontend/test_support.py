"""docs/operators.md is what the table of operators says, and the table says where operators really run."""

from pathlib import Path

import pytest
from frontend.onnx_models import operations, written
from frontend.test_operators import CASES

from cimc.frontend import load
from cimc.frontend.operators import ON_ARRAY, OPERATORS
from cimc.frontend.support import form_of, page

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run make manual"


def test_every_translation_says_which_forms_it_takes() -> None:
    assert [operator for operator in OPERATORS if not form_of(operator)] == []


@pytest.mark.parametrize("case", [case for case, proto in CASES.items() if len(proto.graph.node) == 1])
def test_an_operator_runs_where_the_page_says(case: str, tmp_path: Path) -> None:
    made = operations(load(written(CASES[case], tmp_path)))
    assert bool({"conv", "dense"} & set(made)) == (CASES[case].graph.node[0].op_type in ON_ARRAY)
