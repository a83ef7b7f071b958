"""The cost model beside published chips: every row as it should be, and the page as it is generated."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cimc.backends.cost.validation.fit import fitted, left_out
from cimc.backends.cost.validation.page import all_rows, page
from cimc.backends.cost.validation.row import CALIBRATED, EXPECTED, FAILS, OK, REPORTED, RULE, Point, Row
from cimc.command_line import main
from cimc.command_line.pricing import check_facts, peak_facts, peak_lines
from cimc.isa.errors import CimcError
from cimc.targets import load_target
from cimc.targets.macro import load_macro, macro_names, parse_macro

PAGE = Path(__file__).parents[2] / "docs" / "cost-validation.md"
ROWS = all_rows()


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.chip}: {row.quantity} {n}" for n, row in enumerate(ROWS)])
def test_a_row_is_as_it_should_be(row):
    assert row.verdict in (OK, EXPECTED, REPORTED), [f"{point.label} {100 * point.error:.2f} %" for point in row.points]


def test_the_page_is_as_it_is_generated():
    assert PAGE.read_text() == page(), "make manual writes it"


@pytest.mark.parametrize(
    ("ours", "facts", "status"),
    [
        (1.01, {}, OK),
        (1.03, {}, FAILS),
        (1.03, {"expected": "a reason"}, EXPECTED),
        (1.01, {"expected": "a reason"}, FAILS),
        (1.5, {"most": None}, REPORTED),
        (1.01, {"mean": 0.005}, FAILS),
    ],
)
def test_the_status_of_a_row(ours, facts, status):
    row = Row("chip", "watts", "a paper", CALIBRATED, [Point("a", 1.0, ours)], most=0.02)
    assert replace(row, **facts).verdict == status


def test_a_row_without_a_source_is_refused():
    with pytest.raises(ValueError, match="chip, watts: a row states the source"):
        Row("chip", "watts", "", CALIBRATED, ())


def test_a_fit_finds_the_prices_and_leaves_one_out():
    done = [[1.0, 2.0], [1.0, 5.0], [1.0, 9.0]]
    spent = [3.0 + 0.5 * rows for _, rows in done]
    assert fitted(done, spent) == pytest.approx([3.0, 0.5])
    assert left_out(done, spent) == pytest.approx(spent)


@pytest.mark.parametrize("name", macro_names())
def test_the_energy_of_a_macro_is_held_against_what_is_published(name):
    """By a row that asks its prices: a rule asks none."""
    macro = load_macro(name)
    peak = macro.operations / float(macro.energy_pj(macro.full()).value)
    assert peak in {point.ours for row in ROWS if row.kind != RULE for point in row.points}


@pytest.mark.parametrize("name", macro_names())
def test_a_macro_has_a_peak(name):
    macro = load_macro(name)
    energy = macro.energy_pj(macro.full())
    assert 0 < energy.low < energy.value < energy.high
    assert " TOPS/W (" in "".join(peak_lines(peak_facts(name)))


def test_a_peak_is_told_as_numbers():
    found = peak_facts("hermes-64")
    assert found["peak_tops"]["value"] == pytest.approx(63.1, rel=0.005)
    assert found["peak_tops_per_w"]["value"] == pytest.approx(9.76, rel=0.005)
    assert found["tops_per_mm2"]["value"] == found["peak_tops"]["value"] / found["area_mm2"]["value"]
    assert (peak_facts("p-8t")["peak_tops"], peak_facts("ideal")["peak_tops_per_w"]) == (None, None)


def test_a_peak_of_nothing_known_is_refused_with_targets_and_macros():
    with pytest.raises(CimcError, match=r"(?s)CIM0302.*no target or macro named 'nope'.*aon-cim.*neurram"):
        peak_facts("nope")
    with pytest.raises(CimcError, match=r"did you mean neurram\?"):
        peak_facts("neuram")


def test_the_check_is_told_with_every_figure():
    found = json.loads(json.dumps(check_facts()))
    assert found["sound"] and [row["verdict"] for row in found["rows"]] == [row.verdict for row in ROWS]
    assert found["rows"][0]["points"][0] == {"label": "8 bits", "published": 2.02, "ours": ROWS[0].points[0].ours}


OWN = """name = "own"
kind = "cost"
[array]
rows = { value = 256, unit = "rows", source = "verified" }
outputs = { value = 64, unit = "outputs a phase", source = "verified" }
macros = { value = 4, unit = "macros", source = "verified" }
settle = { value = 2, unit = "cycles", source = "derived" }
steps = { value = 6, unit = "steps", source = "derived" }
[timing]
clock = { value = 2.0, unit = "ns", source = "verified" }
[energy]
fixed = { value = 100.0, unit = "pJ", source = "derived" }
row = { value = 0.5, unit = "pJ", source = "derived" }
step = { value = 10.0, unit = "pJ", source = "derived" }
[area]
macro = { value = 0.125, unit = "mm2", source = "derived" }
"""


def test_a_macro_of_ones_own_has_a_peak(tmp_path, capsys):
    """256 x 64 multiplications and additions in 8 cycles of 2 ns, for 100 + 256 / 2 + 6 x 10 pJ, four at once."""
    path = str(tmp_path / "own.toml")
    (tmp_path / "own.toml").write_text(OWN)
    found = peak_facts(path)
    assert found["peak_tops"]["value"] == pytest.approx(4 * 2 * 256 * 64 / 16 / 1000)
    assert found["peak_tops_per_w"]["value"] == pytest.approx(2 * 256 * 64 / 288)
    assert found["tops_per_mm2"]["value"] == pytest.approx(found["peak_tops"]["value"] / 0.5)
    assert main(["cost", "--peak", path]) == 0
    assert "own: priced only, nothing compiles for it" in capsys.readouterr().out
    with pytest.raises(CimcError, match=r'(?s)CIM0301.*own\.toml has kind = "cost".*cimc cost --peak'):
        load_target(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps = ", "# ", "timing.clock is paid for each step of a conversion: state array.steps"),
        ('kind = "cost"', "", 'kind is None: a macro states kind = "cost"'),
        ("clock = { value = 2.0", "clock = { value = nan", "timing.clock: nan is outside"),
        ('unit = "mm2"', 'unit = "um2"', "area.macro has unit 'um2', not 'mm2'"),
        ("[area]", "[area", "own.toml"),
    ],
)
def test_a_macro_of_ones_own_is_refused_with_the_path(old, new, said):
    with pytest.raises(CimcError) as caught:
        parse_macro(OWN.replace(old, new), "own.toml")
    assert said in str(caught.value)


def test_a_kind_that_there_is_not_is_refused(tmp_path):
    (tmp_path / "own.toml").write_text(OWN.replace('"cost"', '"free"'))
    with pytest.raises(CimcError, match="kind is 'free', there is only \"cost\""):
        peak_facts(str(tmp_path / "own.toml"))


def test_a_chip_of_known_area_has_a_density():
    """63.12 TOPS in 64 tiles of 0.634 mm2; none where a tile may take no room."""
    assert "1.56 TOPS/mm2" in "".join(peak_lines(peak_facts("hermes-64")))
    assert "mm2" not in "".join(peak_lines(peak_facts("hermes-64,area.tile=0")))


def test_macros_are_refused_by_name_and_with_every_problem():
    with pytest.raises(CimcError, match=r"(?s)CIM0302.*no macro named 'rram'.*neurram"):
        load_macro("rram")
    text = 'name = "m"\nkind = "cost"\n'
    text += '[array]\nrows = { value = 0, unit = "rows", source = "derived" }\n[energy]\nfixed = 3\n'
    text += 'row = { value = 1.0, low = 2.0, high = 3.0, unit = "pJ", source = "derived" }\n'
    with pytest.raises(CimcError) as caught:
        parse_macro(text, "m.toml")
    problems = (
        "array.rows: 0 is outside",
        "'array.outputs' is missing",
        "energy.fixed must be written",
        "row has low 2.0",
    )
    for problem in problems:
        assert problem in str(caught.value)
