"""What the options of a command say of a model file that it leaves open."""

import argparse

from cimc.frontend import Specialisation

OPTIONS = ("unbatched", "shape", "constant")


def specialisation_of(options: argparse.Namespace) -> Specialisation:
    """Return what is said; nothing for commands without these options."""
    said = {name: getattr(options, name, ()) for name in OPTIONS}
    return Specialisation(bool(said["unbatched"]), dict(said["shape"]), dict(said["constant"]))


def said_first(options: argparse.Namespace) -> str | None:
    """Return the first of the options that is given, as it is written."""
    return next((f"--{name}" for name in OPTIONS if getattr(options, name)), None)
