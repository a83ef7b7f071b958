"""cimc completion: what a shell needs to complete commands and options, written from the parser."""

import argparse
from collections.abc import Iterator, Mapping

from cimc.command_line.commands import COMMANDS


def completion_command(options: argparse.Namespace) -> int:
    print("\n".join(WRITERS[options.shell]()))
    return 0


def _commands() -> Mapping[str, argparse.ArgumentParser]:
    return {command.name: command.parser() for command in COMMANDS}


def _bash() -> Iterator[str]:
    """Yield a function that completes the command, its options, and files everywhere else."""
    yield "_cimc() {"
    yield "    local current=${COMP_WORDS[COMP_CWORD]} words="
    yield "    case ${COMP_WORDS[1]} in"
    for name, parser in _commands().items():
        yield f'        {name}) words="{" ".join(_words(parser))}" ;;'
    yield "    esac"
    yield f'    [ "$COMP_CWORD" = 1 ] && words="{" ".join(_commands())}"'
    yield '    COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield '    [ "$COMP_CWORD" = 1 ] || [[ $current == -* ]] || COMPREPLY+=($(compgen -f -- "$current"))'
    yield "}"
    yield "complete -o filenames -F _cimc cimc"


def _words(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a command, and the words that stand in fixed places."""
    for action in parser._actions:
        yield from action.option_strings
        if not action.option_strings:
            yield from map(str, action.choices or ())


def _zsh() -> Iterator[str]:
    yield "autoload -U +X bashcompinit && bashcompinit"
    yield from _bash()


def _fish() -> Iterator[str]:
    for name, parser in _commands().items():
        yield f"complete -c cimc -n __fish_use_subcommand -a {name} -d {_quoted(parser.description or '')}"
        for action in parser._actions:
            for option in action.option_strings:
                form = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
                told = _quoted((action.help or "").replace("%%", "%"))
                yield f"complete -c cimc -n '__fish_seen_subcommand_from {name}' {form} -d {told}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


WRITERS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
