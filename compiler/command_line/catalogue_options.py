"""Options of the commands that say what there is."""

import argparse

from cimc.command_line.shared_options import add_json


def _list_or_show(parser: argparse.ArgumentParser, shown: str, names: str) -> None:
    parser.add_argument("action", choices=("list", "show"))
    parser.add_argument("name", nargs="?", metavar=names)
    add_json(parser)
    parser.set_defaults(shown=shown)


def add_target(parser: argparse.ArgumentParser) -> None:
    _list_or_show(parser, "target", "NAME|FILE.toml")


def add_noise(parser: argparse.ArgumentParser) -> None:
    _list_or_show(parser, "noise", "PROFILE|SOURCE|FILE.toml")


def add_passes(parser: argparse.ArgumentParser) -> None:
    _list_or_show(parser, "passes", "NAME")


def add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("code", nargs="?", metavar="CIM0123")
    add_json(parser)
    parser.add_argument("--list", action="store_true", help="list every code with its exit status and title")


def add_doctor(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="bash|zsh|fish")
