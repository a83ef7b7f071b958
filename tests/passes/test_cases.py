"""Text cases: each file in cases/ is a command on its first line, IR, and the IR that the command must print.

The expected IR stands in comments, so the whole file is the input of its command.
"""

import re
import shlex
from pathlib import Path

import pytest

from cimc.command_line import main
from cimc.ir.text import parse_graph, print_graph, print_sparse
from cimc.passes.pipeline import PASSES, stems

CASES = sorted((Path(__file__).parent / "cases").glob("*.mlir"))
COMMAND = "// $ cimc "
BECOMES = "\n// becomes\n"
LARGEST = 40
"""Lines of a case, so that a screen shows all of it."""


def command_of(case: Path) -> list[str]:
    return shlex.split(case.read_text().partition("\n")[0].removeprefix(COMMAND))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bless: bool) -> None:
    monkeypatch.chdir(case.parent)
    source, _, expected = case.read_text().partition(BECOMES)
    status = main(command_of(case))
    output = capsys.readouterr()
    assert status == 0, output.err
    found = re.sub("(?m)^", "// ", output.out.rstrip("\n")) + "\n"
    if bless:
        case.write_text(f"{source.rstrip()}\n{BECOMES}{found}")
    else:
        assert found == expected, "run pytest --bless if the new IR is right"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_what_a_pass_prints_is_read_again(case: Path) -> None:
    text = re.sub("(?m)^// ", "", case.read_text().partition(BECOMES)[2])
    graph = parse_graph(text)
    assert print_sparse(graph) == text
    assert print_graph(parse_graph(print_graph(graph))) == print_graph(graph)


@pytest.mark.parametrize("name", [row.name for row in PASSES])
def test_every_pass_has_a_case(name: str) -> None:
    """The case of a pass is named after it and runs nothing else."""
    case = Path(__file__).parent / "cases" / f"{name.replace('-', '_')}.mlir"
    pipeline = command_of(case)[command_of(case).index("--pass-pipeline") + 1]
    assert stems(pipeline) == [name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case_shows_what_a_pass_does_on_one_screen(case: Path) -> None:
    source, _, expected = case.read_text().partition(BECOMES)
    assert len(case.read_text().splitlines()) <= LARGEST
    assert expected.replace("// ", "").strip() != source.partition("\n\n")[2].strip(), "the pass changes nothing here"
