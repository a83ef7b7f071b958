"""cimc chip: what a drawn chip is read back as, as a file that stands for that one chip."""

import argparse

from cimc.backends.noise.chip import Chip
from cimc.backends.silicon.reading_back import read_back
from cimc.command_line.files import keep_inputs, write
from cimc.command_line.noise_options import noise_of
from cimc.command_line.programs import program_of
from cimc.diagnostics import fail
from cimc.driving.arrays import to_npz
from cimc.driving.chip_files import chip_arrays
from cimc.driving.durations import written


def chip_command(options: argparse.Namespace) -> int:
    keep_inputs(options, [options.output])
    noise = noise_of(options)
    if noise is None:
        hint = "add --noise pcm; the file of a real chip is yours to write: docs/formats.md"
        raise fail("CIM0003", "a chip is drawn from a noise profile, but there is no --noise", hint=hint)
    chip = read_back(program_of(options), noise)
    write(options.output, to_npz(chip_arrays(chip)))
    print(f"chip {noise.seed} of {noise.profile.name}, read after {written(noise.time_s)}: {_tiles(chip)}")
    print(snapping_text(chip))
    return 0


def _tiles(chip: Chip) -> str:
    devices = sum(tile.conductance.size for tile in chip.tiles.values())
    return f"{len(chip.tiles)} tile{'s' * (len(chip.tiles) != 1)}, {devices} devices"


def snapping_text(chip: Chip) -> str:
    """Return what a run loses of the values read: cells conduct whole codes."""
    largest, usual = chip.snapping
    return f"cells conduct whole codes: that loses {usual:.2f} of a code (rms), at most {largest:.2f}"
