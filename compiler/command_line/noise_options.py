"""The noise options of run, eval and compile: --noise, --seed, --time, --sources and --sample-offset."""

import argparse
import re
from typing import TYPE_CHECKING

from cimc.backends.noise.table import DEFAULTS, NAMES
from cimc.command_line.numbers import chips
from cimc.diagnostics import fail
from cimc.driving.durations import seconds

if TYPE_CHECKING:
    from cimc.backends.noise.sources import Noise

GIVEN_WITH_NOISE = ("seed", "time", "sources", "sample_offset")
DRAWN = ("noise", "seed", "sources", "seeds")
"""Options that say how a chip is drawn: one that was measured is not."""

PROFILES = "pcm, hermes, reram-wan, reram-cmo, generic or FILE.toml"


def add_aim_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what chips a program is compiled for; no chip is drawn."""
    group = parser.add_argument_group("noise aimed at")
    group.add_argument(
        "--noise",
        metavar="PROFILE[,KEY=VALUE...]",
        help=f"choose the range of the ADCs for chips with this noise ({PROFILES})",
    )
    group.add_argument("--time", metavar="T", help="time since the first read aimed at: 1h, 1d, 30d (default 0s)")
    group.set_defaults(seed=None, sources=None, sample_offset=None, chip=None)


def add_tuning_noise_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say on what chips choices are judged."""
    group = parser.add_argument_group("noise")
    group.add_argument(
        "--noise", metavar="PROFILE[,KEY=VALUE...]", help=f"judge on chips with this noise ({PROFILES}; default: none)"
    )
    group.add_argument("--time", metavar="T", help="time since the first read: 1h, 1d, 30d (default 0s)")
    group.add_argument("--sources", metavar="A,B,...", help=f"what is noisy (default: {', '.join(DEFAULTS)})")
    group.add_argument("--chips", type=chips(1), default=4, metavar="M", help="chips that judge (default 4)")
    group.add_argument(
        "--compensation", choices=("column", "refit"), default="column", help="drift factors, or a refit"
    )
    group.set_defaults(sample_offset=None, chip=None)


def add_training_noise_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say on what chips a network is trained."""
    group = parser.add_argument_group("noise")
    group.add_argument(
        "--noise", required=True, metavar="PROFILE[,KEY=VALUE...]", help=f"train for chips with this noise ({PROFILES})"
    )
    group.add_argument("--time", metavar="T", help="times since the first read, in turn: 1d or 1h,1d,30d (default 0s)")
    group.add_argument("--sources", metavar="A,B,...", help=f"what is noisy (default: {', '.join(DEFAULTS)})")
    group.set_defaults(sample_offset=None, chip=None)


def noises_of(options: argparse.Namespace) -> "list[Noise]":
    """Return the noise at each of the times that --time lists, none without --noise and --chip.

    Raises CimcError CIM0003, Trap CIM053x, and what `load_chip` raises.
    """
    times = options.time.split(",") if options.time else [None]
    every = (argparse.Namespace(**{**vars(options), "time": time}) for time in times)
    return [noise for one in every if (noise := noise_of(one)) is not None]


def add_noise_options(parser: argparse.ArgumentParser, sweep: bool = False, measured: bool = True) -> None:
    """Add the options that make a run noisy.

    `sweep`: for several chips and times as well; `measured`: the chip may be one that was read back.
    """
    group = parser.add_argument_group("noise")
    group.add_argument(
        "--noise", metavar="PROFILE[,KEY=VALUE...]", help=f"disturb the chip as this profile says ({PROFILES})"
    )
    group.add_argument("--seed", metavar="N", help="the chip drawn (default 0)")
    several = "; several: 25s,1h,1d" if sweep else ""
    group.add_argument(
        "--time", metavar="T", help=f"time since the first read: 25s, 1h, 1d, 30d, 1y (default 0s){several}"
    )
    if sweep:
        group.add_argument("--seeds", type=chips(1), metavar="M", help="M chips, drawn by the seeds N, N + 1, ...")
    group.add_argument(
        "--sources",
        metavar="A,B,...",
        help=f"what is noisy: {', '.join(NAMES)} (default: {', '.join(DEFAULTS)})",
    )
    group.add_argument("--sample-offset", metavar="K", help="number of the first sample, for shards (default 0)")
    if measured:
        group.add_argument(
            "--chip", metavar="CHIP.npz", help="run on this measured chip; --time: later than it was read"
        )
    else:
        group.set_defaults(chip=None)


def noise_of(options: argparse.Namespace) -> "Noise | None":
    """Return the noise that the options ask for, None without --noise and --chip.

    Raises CimcError CIM0003, Trap CIM053x, and what `load_chip` raises.
    """
    if options.chip is not None:
        return _measured(options)
    if options.noise is None:
        given = [name for name in GIVEN_WITH_NOISE if getattr(options, name) is not None]
        if given:
            name = given[0].replace("_", "-")
            raise fail("CIM0003", f"--{name} says how noise is drawn, but there is no --noise", hint="add --noise pcm")
        return None
    from cimc.backends.noise.profiles import load_profile
    from cimc.backends.noise.sources import Noise

    names = DEFAULTS if options.sources is None else filter(None, options.sources.split(","))
    return Noise(
        load_profile(options.noise),
        _whole(options.seed, "--seed"),
        seconds(options.time or "0s"),
        frozenset(names),
        _whole(options.sample_offset, "--sample-offset"),
    )


def _measured(options: argparse.Namespace) -> "Noise":
    """Return the noise of a measured chip with its program. Raises CimcError CIM0003, CIM0214, CIM0215."""
    from cimc.backends.noise.sources import Noise
    from cimc.command_line.programs import program_of
    from cimc.driving.chip_files import load_chip

    for name in DRAWN:
        if getattr(options, name, None) is not None:
            raise fail("CIM0003", f"--{name} draws a chip, and --chip gives one", hint="leave out one of them")
    if options.program is None:
        raise fail("CIM0003", "--chip is one with a program in it, and none is given", hint="add --program")
    chip = load_chip(options.chip, program_of(options))
    time_s = None if options.time is None else seconds(options.time)
    return Noise.of_chip(chip, time_s, _whole(options.sample_offset, "--sample-offset"))


def _whole(text: str | None, option: str) -> int:
    if text is not None and not re.fullmatch(r"\d{1,20}", text):
        raise fail("CIM0003", f"{option}: {text!r} is not a whole number, 0 or more")
    return int(text or 0)
