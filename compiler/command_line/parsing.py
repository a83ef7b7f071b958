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


def not_among(what: str, word: str, known: Iterable[str]) -> tuple[str, str]:
    """Return the message and the hint for a word that is none of those known."""
    words = list(known)
    return f"there is no {what} {word!r}", hint_for(word, words, f"one of {', '.join(words)}")


def refusal(program: str, message: str, hint: str = "") -> Exception:
    """Return the error CIM0003 of a program; where nothing better is known, its hint is the program's help."""
    from cimc.diagnostics import fail

    return fail("CIM0003", f"{program}: {message}", hint=hint or f"`{program} --help` shows what there is")


class Parser(argparse.ArgumentParser):
    """A parser that raises CIM0003 where argparse would print its usage and leave."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def parse_known_args(self, args: Any = (), namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse as argparse does. A misspelt option is told before the one that is missing because of it."""
        for option in self._options_in(args):
            if option not in self._option_string_actions:
                hint = hint_for(option, self._option_string_actions)
                raise refusal(self.prog, f"there is no option {option}", hint)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        raise refusal(self.prog, message.removeprefix("argument "))

    def _options_in(self, arguments: Sequence[str]) -> Iterable[str]:
        """Yield the names of the options given."""
        for argument in arguments:
            if argument == "--":
                return
            if argument.startswith("--"):
                yield argument.partition("=")[0]
            elif argument[:1] == "-" and argument[1:2].isalpha():
                yield argument[:2]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        raise refusal(
            self.prog, *not_among(str(action.metavar or action.dest).lower(), str(value), map(str, action.choices))
        )
