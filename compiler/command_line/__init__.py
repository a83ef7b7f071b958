"""The command line: `cimc COMMAND ...`. Everything heavy is imported by the command that needs it."""

from cimc.command_line.main import main

__all__ = ["main"]
