"""Tokens of IR text are xDSL's, read in another way; large texts of others are refused in seconds."""

from collections.abc import Callable
from itertools import count, takewhile
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Input
from xdsl.utils.mlir_lexer import MLIRLexer, MLIRTokenKind

from cimc.command_line import main
from cimc.ir.tokens import Lexer
from cimc.isa.errors import INVALID

MARKS = ["->", "--", "..", "...", "{-", "{-#", "#-}", "#-", "//", *"-.:,=><{#}()[]?+/*|';~"]
NAMES = ["%a", "%0", "%0a", "%-x", "%é", "#a", "#0", "^b0", "!c", "!1", "@", "@a", '@"b"']
WORDS = ["a", "_b", "c$.d", "é", "aé", "i8", "x1x2", '"', '"s"', r'"s\n"', r'"\ff"', '"é"', r'"\q"']
NUMBERS = ["0", "01", "0x", "0x1F", "0xi32", "1.", "1.5", "1.5e3", "1.e", "1.e-7", "2e5", "٣"]
PIECES = [*MARKS, *NAMES, *WORDS, *NUMBERS, " ", "\n", "\t", "\f", "// x\n"]


def tokens(lexer: MLIRLexer) -> list[object]:
    """Return kind, place and value of each token up to the end, or up to the refusal and what it says."""
    found: list[object] = []
    try:
        while True:
            token = lexer.lex()
            found.append((token.kind, token.span.start, token.span.end, type(token.span)))
            if token.kind == MLIRTokenKind.EOF:
                return found
    except ParseError as error:
        return [*found, str(error)]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_a_text_has_the_tokens_that_xdsl_finds(text: str) -> None:
    assert tokens(Lexer(Input(text, "t"))) == tokens(MLIRLexer(Input(text, "t")))


@given(st.text(st.characters(max_codepoint=127), max_size=12))
def test_any_characters_have_the_tokens_that_xdsl_finds(text: str) -> None:
    assert tokens(Lexer(Input(text, "t"))) == tokens(MLIRLexer(Input(text, "t")))


def text_of(piece: Callable[[int], str], size: int) -> str:
    """Return pieces by their number, as many as fit."""
    length = 0

    def fits(one: str) -> bool:
        nonlocal length
        length += len(one)
        return length <= size

    return "".join(takewhile(fits, map(piece, count())))


HOSTILE = {
    "aliases of types": ("", lambda i: f"!c{i} = i8\n", ""),
    "aliases of attributes": ("", lambda i: f"#c{i} = 1\n", ""),
    "aliases of distinct numbers": ("", lambda i: f"#c{i} = {i}\n", ""),
    "unknown operands": ('"nn.output"(', lambda i: f"%a{i}, ", "%z) : () -> ()"),
    "results": ("%x, ", lambda i: f"%{i}, ", '%y = "nn.input"() : () -> ()'),
    "equal results": ("%x, ", lambda i: "%a, ", '%y = "nn.input"() : () -> ()'),
    "modules": ("", lambda i: "module{}\n", ""),
    "modules in a module": ("module{", lambda i: "module{}\n", "}"),
    "casts": ("", lambda i: f"%{i} = builtin.unrealized_conversion_cast to i8\n", ""),
    "attributes": ('"nn.output"() {', lambda i: f"a{i} = 1, ", "z} : () -> ()"),
    "properties": ('"nn.output"() <{', lambda i: f"a{i} = 1, ", "z}> : () -> ()"),
    "integers": ('"nn.output"() {a = [', lambda i: "1,", "1]} : () -> ()"),
    "spaced integers": ('"nn.output"() {a = [', lambda i: "1 ,", "1]} : () -> ()"),
    "distinct integers": ('"nn.output"() {a = [', lambda i: f"{i},", "1]} : () -> ()"),
    "numbers": ('"nn.output"() {a = [', lambda i: "1.5,", "1]} : () -> ()"),
    "strings": ('"nn.output"() {a = [', lambda i: '"a",', "1]} : () -> ()"),
    "lists": ('"nn.output"() {a = [', lambda i: "[],", "1]} : () -> ()"),
    "types": ('"nn.output"() : (', lambda i: "i8,", "i8) -> ()"),
    "distinct types": ('"nn.output"() {a = [', lambda i: f"i{i + 1},", "i8]} : () -> ()"),
    "tuples": ('"nn.output"() : () -> ' + "tuple<" * 90, lambda i: "i8,", "i8" + ">" * 90),
    "functions": ('"nn.output"() : () -> ' + "(() -> " * 90 + "(", lambda i: "i8,", "i8) -> ()" + ")" * 90),
    "types of attributes": ('"nn.output"() {a = ' + "vector<2x" * 90, lambda i: "i8,", "i8" + ">" * 90 + "}"),
    "sizes": ('"nn.output"() : () -> tensor<', lambda i: "1x", "i8>"),
    "elements": ('"nn.output"() {a = dense<[', lambda i: "1,", "1]> : tensor<9xi8>} : () -> ()"),
    "numbers of an array": ('"nn.output"() {a = array<i8: ', lambda i: "1,", "1>} : () -> ()"),
    "regions": ('"builtin.module"(', lambda i: "{},", "{}) : () -> ()"),
    "blocks": ("module {", lambda i: f"^b{i}:\n", "}"),
    "successors": ('"nn.output"() [', lambda i: f"^b{i},", "^z] : () -> ()"),
    "locations": ('"nn.output"() : () -> () loc(fused[', lambda i: "unknown,", "unknown])"),
    "brackets": ("", lambda i: "(", ""),
    "comments": ("", lambda i: "//a\n", ""),
    "a word": ("", lambda i: "a", ""),
    "a number": ('"nn.output"() {a = 0x', lambda i: "f", "} : () -> ()"),
}


@pytest.mark.parametrize(
    "size", [pytest.param(5_000, id="5 kB"), pytest.param(1_000_000, id="1 MB", marks=pytest.mark.nightly)]
)
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_text_of_many_equal_parts_is_refused_in_seconds(kind, size, tmp_path, capsys):
    before, piece, behind = HOSTILE[kind]
    (tmp_path / "t.mlir").write_text(before + text_of(piece, size) + behind)
    started = process_time()
    assert main(["opt", str(tmp_path / "t.mlir"), "-o", str(tmp_path / "o.mlir")]) == INVALID
    assert process_time() - started < 20
    assert len(capsys.readouterr().err) < 20_000
