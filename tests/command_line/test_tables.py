"""The one layout of tables: nothing is cut in a pipe, and on a terminal no line is longer than it."""

import io
import sys

import pytest

from cimc.driving.tables import LEAST, fitting, tabulate, terminal_width

ROWS = [
    ("layer", "matrix", "share", "what it is"),
    ("/encoder/layer.0/attention/query/MatMul", "768 x 768", "9.50", "a product of the crossbar"),
    ("/head", "8 x 2", "-", ""),
    ("/l", "8 x 2", "-10.25", "-"),
]

WIDE = """\
  layer                                    matrix      share  what it is
  /encoder/layer.0/attention/query/MatMul  768 x 768    9.50  a product of the crossbar
  /head                                    8 x 2           -
  /l                                       8 x 2      -10.25  -"""

NARROW = """\
  layer           matrix      share  what it is
  /enco...MatMul  768 x 768    9.50  a product of
                                     the crossbar
  /head           8 x 2           -
  /l              8 x 2      -10.25  -"""


def test_a_pipe_gets_everything():
    assert "\n".join(tabulate(ROWS)) == WIDE


@pytest.mark.parametrize("width", [87, 100])
def test_a_terminal_that_is_wide_enough_gets_everything(width: int):
    assert "\n".join(tabulate(ROWS, width)) == WIDE


@pytest.mark.parametrize(("width", "columns"), [(None, 4), (87, 4), (86, 3), (60, 3), (59, 2), (20, 2)])
def test_columns_stand_in_a_line_as_they_are_while_there_is_room(width: int | None, columns: int):
    assert fitting(ROWS, width, 2) == columns


def test_in_a_narrow_terminal_names_lose_their_middle_and_sentences_go_on_below():
    assert "\n".join(tabulate(ROWS, 52)) == NARROW


@pytest.mark.parametrize("width", range(56, 87))
def test_no_line_is_longer_than_the_terminal(width: int):
    assert max(map(len, tabulate(ROWS, width))) <= width


def test_no_column_is_narrower_than_a_name_can_be_told_apart():
    narrowest = tabulate(ROWS, 1)
    assert narrowest == tabulate(ROWS, 20)
    assert narrowest[1].startswith("  " + "/enc...tMul")
    assert len("/enc...tMul") == LEAST


def test_names_with_hyphens_are_cut_and_not_broken():
    assert tabulate([("target",), ("hermes-64-with-more-tiles",)], 16)[1] == "  herme...-tiles"


def test_the_width_is_the_terminals(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "72")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert terminal_width() is None
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert terminal_width() == 72
