"""One base of all errors, one layout, one class of warnings."""

import inspect
import pickle
import warnings

import pytest
from rooms import sources

from cimc.backends.machine.ports import PortError
from cimc.backends.machine.traps import Refusal, Trap
from cimc.command_line import main
from cimc.diagnostics import Diagnostic, DiagnosticError, fail
from cimc.isa import errors
from cimc.isa.errors import CimcError, CimcWarning, IsaError, render

TABLES = tuple({id(kind.codes): kind.codes for kind in CimcError.__subclasses__()}.values())
"""The codes of every layer."""

PRINTED = {
    "error[CIM0303]: too large\n  hint: cut it": fail("CIM0303", "too large", hint="cut it"),
    "error[CIM0103] node 'n' (Op): unknown": fail("CIM0103", "unknown", node="n", operator="Op"),
    "error[CIM0103] (Op): unknown": fail("CIM0103", "unknown", operator="Op"),
    "error[CIM0101]: one\nerror[CIM0102]: two": DiagnosticError(
        [Diagnostic("CIM0101", "one"), Diagnostic("CIM0102", "two")]
    ),
    "a.asm:3:7: error[CIM0403]: ends early\n  hint: go on": IsaError("CIM0403", "ends early", "go on", "a.asm:3:7"),
    "trap[CIM0511]: not there": Trap("CIM0511", "not there"),
    "trap[CIM0511] at instruction 3 (n, m): not there\n  hint: b": Trap("CIM0511", "not there", "b", 3, ("n", "m")),
    "error[CIM0531]: no such noise\n  hint: did you mean pcm?": Refusal(
        "CIM0531", "no such noise", "did you mean pcm?"
    ),
    "error[CIM0550] input 'x': is missing\n  hint: give it": PortError("CIM0550", "x", "is missing", "give it"),
}


@pytest.mark.parametrize(("text", "error"), PRINTED.items(), ids=lambda one: type(one).__name__)
def test_an_error_prints_in_the_one_layout(text: str, error: CimcError):
    assert str(error) == text


@pytest.mark.parametrize("error", PRINTED.values(), ids=lambda one: type(one).__name__)
def test_an_error_has_code_status_and_hint_also_from_another_process(error: CimcError):
    there = pickle.loads(pickle.dumps(error))
    assert str(there) == str(error)
    assert (there.code, there.status, there.hint) == (error.code, error.codes[error.code].status, error.hint)
    assert error.code in str(error)


def test_a_code_belongs_to_one_layer():
    assert len({name for codes in TABLES for name in codes}) == sum(map(len, TABLES))


def test_all_codes_can_be_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["explain", "--list"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    codes = sorted((name, str(code.status), code.title) for table in TABLES for name, code in table.items())
    assert [tuple(line.split(maxsplit=2)) for line in lines] == codes


def test_every_status_has_a_name():
    named = {getattr(errors, name) for name in dir(errors) if name.isupper() and name != "CODES"}
    assert {code.status for table in TABLES for code in table.values()} <= named


def test_no_exception_that_carries_a_code_stands_beside_the_base():
    """What a person may see is a CimcError; the other exceptions are caught where they are raised."""
    texts = [path.read_text() for path in sources().values()]
    assert [text for text in texts if "def status(" in text] == [inspect.getsource(errors)]


def test_a_warning_has_its_layout_on_the_command_line(capsys: pytest.CaptureFixture[str], monkeypatch):
    def command(_: object) -> int:
        warnings.warn(CimcWarning("too few samples", "give more", "CIM0204"), stacklevel=1)
        warnings.warn(CimcWarning("slow"), stacklevel=1)
        warnings.warn("of another package", UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr("cimc.command_line.inspecting.explain_command", command)
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        assert main(["explain", "CIM0001"]) == 0
    ours, theirs = capsys.readouterr().err.split("warning: slow\n")
    assert ours == "warning[CIM0204]: too few samples\n  hint: give more\n"
    assert "UserWarning: of another package" in theirs


def test_a_warning_reads_as_a_sentence_from_python():
    with pytest.warns(CimcWarning, match=r"^too few samples\n  hint: give more$"):
        warnings.warn(CimcWarning("too few samples", "give more"), stacklevel=1)


def test_a_place_stands_in_front_as_editors_find_it():
    assert render("warning", "what", place="f:1", about="node 'n'") == "f:1: warning node 'n': what"
