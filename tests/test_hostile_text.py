"""Text of others: names that would write to the terminal, and documents that no parser takes."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from cimc.command_line import main
from cimc.diagnostics import fail
from cimc.driving.arrays import load_arrays
from cimc.driving.tables import tabulate
from cimc.isa.budgets import OverBudget
from cimc.isa.documents import json_value, toml_value
from cimc.isa.errors import BUDGET, INVALID, CimcError
from cimc.isa.names import shown
from cimc.report.markup import element
from cimc.sweep.grid import read_grid
from cimc.targets.target import load_target

EVIL = "\x1b[2J\rok: every tensor equal"


def test_control_characters_are_escaped_and_long_names_cut():
    assert shown(EVIL) == "\\x1b[2J\\rok: every tensor equal"
    assert shown("Größe→x") == "Größe→x"
    assert shown("ab" * 4000) == "ab" * 100 + " ... " + "ab" * 100


def test_errors_and_tables_show_names_safely():
    error = str(fail("CIM0103", f"unknown {EVIL}\nok: all is well", node=f"a\n{EVIL}", hint=EVIL))
    assert "\x1b" not in error and "\r" not in error
    assert [line[:4] for line in error.split("\n")] == ["erro", "    ", "  hi"]
    assert "\x1b" not in "".join(tabulate([["name"], [EVIL]]))


def test_a_model_cannot_write_to_the_terminal(tmp_path, capsys):
    values = [helper.make_tensor_value_info(name, 1, [1, 4]) for name in ("x", "y")]
    node = helper.make_node(f"Odd{EVIL}", ["x"], ["y"], f"n\n{EVIL}", domain="")
    constant = numpy_helper.from_array(np.ones(1, np.float32), EVIL)
    graph = helper.make_graph([node], "g", values[:1], values[1:], [constant])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    assert main(["check", str(tmp_path / "m.onnx")]) in (INVALID, 4)
    printed = "".join(capsys.readouterr())
    assert "\x1b" not in printed and "\r" not in printed and "\nok" not in printed


@pytest.mark.parametrize("read", [json_value, toml_value])
@pytest.mark.parametrize(
    "text", ["[" * 200000, "a = " + "[" * 20000, '{"a":' * 9000, "\x00", "", "a = 1\na = 1", "= 1"]
)
def test_documents_that_are_none_are_value_errors(read, text):
    if (read, text) == (toml_value, ""):
        return
    with pytest.raises(ValueError):
        read(text, "it")


@pytest.mark.parametrize(
    ("read", "text", "budget"),
    [
        (json_value, "9" * 5000, "digits"),
        (json_value, "[" * 150 + "]" * 150, "depth"),
        (json_value, '"' + "x" * (17 << 20) + '"', "json_bytes"),
        (toml_value, "a = " + "9" * 5000, "digits"),
        (toml_value, "a" + ".a" * 20000 + " = 1", "depth"),
        (toml_value, "a" + '."b" ' * 20000 + " = 1", "depth"),
        (toml_value, "a = " + "{a=" * 150 + "1" + "}" * 150, "depth"),
        (toml_value, "#" * (2 << 20), "toml_bytes"),
    ],
)
def test_documents_within_budgets_only(read, text, budget):
    with pytest.raises(OverBudget, match=f"the budget {budget} allows"):
        read(text, "it")


def test_a_ruler_of_dots_and_many_fractions_are_no_dotted_key():
    assert toml_value("# " + "." * 500 + "\na = [" + "0.5, " * 500 + "]", "it") == {"a": [0.5] * 500}


@pytest.mark.parametrize("text", ['"builtin.module"() ({' * 3000, "", "nn.what", '"builtin.module"() ({\x1b[2J'])
def test_text_that_is_no_ir(text, tmp_path, capsys):
    (tmp_path / "m.mlir").write_text(text)
    assert (
        main(["opt", str(tmp_path / "m.mlir"), "--pass-pipeline", "schedule", "-o", str(tmp_path / "o.mlir")])
        == INVALID
    )
    assert "\x1b" not in capsys.readouterr().err


def test_the_trials_of_a_sweep_are_counted_before_they_are_listed(tmp_path):
    models = "".join(f'{key} = "x"\n' for key in ("file", "calib", "data"))
    (tmp_path / "s.toml").write_text(f"[[model]]\n{models}[grid]\nseeds = 1000000000000\n")
    with pytest.raises(OverBudget, match="the budget trials allows 1,000,000"):
        read_grid(tmp_path / "s.toml")


def test_targets_are_read_by_the_same_road(tmp_path):
    (tmp_path / "t.toml").write_text("a" + ".a" * 20000 + " = 1")
    with pytest.raises(OverBudget) as raised:
        load_target(str(tmp_path / "t.toml"))
    assert raised.value.status == BUDGET


def test_names_in_pages_keep_to_their_line():
    assert element("td", "a\n\x1b<b>", title="x\ny") == '<td title="x\\ny">a\\n\\x1b&lt;b&gt;</td>'


@pytest.mark.parametrize(
    "header",
    ["(" * 5000, "{'descr': '<f4'", "__import__('os')", "{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}"],
)
def test_headers_of_arrays_that_are_none_are_refused(header, tmp_path):
    text = header.encode() + b"\n"
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(8))
    with pytest.raises(CimcError, match=r"CIM0201.*x\.npy is not an \.npz or \.npy file of numbers"):
        load_arrays(str(tmp_path / "x.npy"))["x"]


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("content", [f"{EVIL}\n", "hello\n", "[a]\nb = 1\n", "\0"])
def test_only_profiles_are_shown_as_profiles(content, form, tmp_path, capsys):
    (tmp_path / "x.toml").write_text(content)
    assert main(["noise", "show", str(tmp_path / "x.toml"), *form]) == INVALID
    shown = capsys.readouterr()
    assert shown.out == "" and "CIM0530" in shown.err


def test_a_profile_cannot_write_to_the_terminal(tmp_path, capsys):
    assert main(["noise", "show", "pcm"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "x.toml").write_text(f"# \x9b2J\tthe built-in one\n{text}", newline="\r\n")
    assert main(["noise", "show", str(tmp_path / "x.toml")]) == 0
    assert capsys.readouterr().out == f"# \\x9b2J\tthe built-in one\n{text}"
