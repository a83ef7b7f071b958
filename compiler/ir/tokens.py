"""Tokens of IR text, and attributes of one token: xDSL's own, read in linear time and quickly whatever the text is."""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import TypeVar

from xdsl.context import Context
from xdsl.ir import Attribute, TypeAttribute
from xdsl.parser import Parser
from xdsl.parser.generic_parser import ParserState
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Input, Span, Token
from xdsl.utils.mlir_lexer import MLIRLexer, MLIRToken, MLIRTokenKind

Given = TypeVar("Given", bound=Attribute)
_BLANK = r"(?:\s++|//[^\n]*+)*+"
_MARK = r"->|\{(?!-#)|[-:,()}\[\]<>=+/*?|]"
_WORD = r"[A-Za-z_][A-Za-z0-9_$.]*+"
_NUMBER = r"(?!0x)[0-9]++(\.[0-9]*+(?:[eE][+-]?[0-9]++)?+)?+"
_PREFIXED = r"(?!#-\})[#!^%](?:[0-9]++|[A-Za-z$._-][A-Za-z0-9$._-]*+)"
_TOKEN = re.compile(rf"{_BLANK}({_MARK}|{_WORD}|{_NUMBER}|{_PREFIXED})", re.ASCII)
_KINDS = MappingProxyType(
    {
        **{kind.value: kind for kind in MLIRTokenKind if isinstance(kind.value, str)},
        **dict.fromkeys("0123456789", MLIRTokenKind.INTEGER_LIT),
        "#": MLIRTokenKind.HASH_IDENT,
        "!": MLIRTokenKind.EXCLAMATION_IDENT,
        "^": MLIRTokenKind.CARET_IDENT,
        "%": MLIRTokenKind.PERCENT_IDENT,
    }
)
"""What a token is, by all of it where it is punctuation, by its first character otherwise; the rest are words."""
_WHOLE = frozenset(
    {
        MLIRTokenKind.BARE_IDENT,
        MLIRTokenKind.INTEGER_LIT,
        MLIRTokenKind.FLOAT_LIT,
        MLIRTokenKind.STRING_LIT,
        MLIRTokenKind.HASH_IDENT,
        MLIRTokenKind.EXCLAMATION_IDENT,
    }
)
"""Tokens that can be an attribute by themselves."""
_BEHIND = re.compile(rf"{_BLANK}[,\])}}>]", re.ASCII)
"""What stands behind a token that is an attribute by itself, in a list."""

LONGEST_WORD = 1000
"""Characters of a word: the sizes of a tensor are one, and each size makes the parser read the rest of it again."""


class Lexer(MLIRLexer):
    """xDSL's lexer takes seven steps a token; here one pattern reads what texts consist of, and leaves it the rest.

    Strings are read in linear time too: xDSL's own pattern tries every way to split a string that has no end.
    """

    _unescaped_characters_regex = re.compile(r'"(?:[^"\\\n\v\f]++|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*+"')

    def lex(self) -> MLIRToken:
        """Return the next token. Raises xDSL's ParseError where there is none."""
        found = _TOKEN.match(self.input.content, self.pos)
        if found is None:
            return super().lex()
        start, self.pos = found.span(1)
        kind, span = _kind(found[1], found[2]), Span(start, self.pos, self.input)
        if kind == MLIRTokenKind.BARE_IDENT and len(span) > LONGEST_WORD:
            raise ParseError(Span(start, start + 1, self.input), f"a word has {LONGEST_WORD:,} characters at most")
        return Token(kind, span)


def _kind(text: str, fraction: str | None) -> MLIRTokenKind:
    if fraction is not None:
        return MLIRTokenKind.FLOAT_LIT
    return _KINDS.get(text) or _KINDS.get(text[0], MLIRTokenKind.BARE_IDENT)


class RememberingParser(Parser):
    """Reads attributes and types of one token once each: they are values, and texts repeat them by the thousand."""

    def __init__(self, known: Context, source: str, name: str) -> None:
        super().__init__(known, "", name)
        self._parser_state = ParserState(Lexer(Input(source, name)))
        self._attributes: dict[str, Attribute] = {}
        self._types: dict[str, TypeAttribute] = {}

    def parse_optional_attribute(self) -> Attribute | None:
        return self._remembered(self._attributes, super().parse_optional_attribute)

    def parse_optional_type(self) -> TypeAttribute | None:
        return self._remembered(self._types, super().parse_optional_type)

    def _remembered(self, seen: dict[str, Given], parse: Callable[[], Given | None]) -> Given | None:
        token = self._current_token
        if token.kind not in _WHOLE or not _BEHIND.match(token.span.input.content, token.span.end):
            return parse()
        text = token.text
        if text in seen:
            self._consume_token()
        elif (found := parse()) is not None:
            seen[text] = found
        return seen.get(text)
