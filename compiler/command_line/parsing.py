"""Parsing of the command line: no option is abbreviated, and what does not fit is an error in the one layout."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from cimc.isa.names import did_you_mean


def hint_for(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the hint for a word that is not known: one that it begins, the nearest, or `otherwise`."""
    words = list(known)
    begun = [one for one in words if one.startswith(word)]
    return f"did you mean {begun[0]}?" if begun else did_you_mean(word, words, otherwise)


class Parser(argparse.ArgumentParser):
    """A parser that raises CIM0003 where argparse would print its usage and leave."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def parse_known_args(self, args: Any = (), namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse as argparse does. A misspelt option is told before the one that is missing because of it."""
        for option in self._options_in(args):
            if option not in self._option_string_actions:
                hint = hint_for(option, self._option_string_actions, self._help())
                raise self._refusal(f"there is no option {option}", hint)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        raise self._refusal(message.removeprefix("argument "), self._help())

    def _options_in(self, arguments: Sequence[str]) -> Iterable[str]:
        """Yield the names of the options given to this parser itself; those behind a command are the command's."""
        for argument in arguments:
            if argument == "--" or (self._subparsers and not argument.startswith("-")):
                return
            if argument.startswith("--"):
                yield argument.partition("=")[0]
            elif argument[:1] == "-" and argument[1:2].isalpha():
                yield argument[:2]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        what, known = str(action.metavar or action.dest).lower(), list(map(str, action.choices))
        hint = hint_for(str(value), known, f"one of {', '.join(known)}")
        raise self._refusal(f"there is no {what} {value!r}", hint)

    def _refusal(self, message: str, hint: str) -> Exception:
        from cimc.diagnostics import fail

        return fail("CIM0003", f"{self.prog}: {message}", hint=hint)

    def _help(self) -> str:
        return f"`{self.prog} --help` shows what there is"
