"""One measured chip: the bits of the noise it was drawn by, on every executor, and what it cannot say."""

from dataclasses import replace

import numpy as np
import pytest
from noisy.network import EVERYTHING, TIMES, images, network, require_same, seen_by_interpreter

from cimc.backends.machine.facts import machine as machine_of
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.chip import Chip, ChipTile
from cimc.backends.noise.fixed_point import FINE_BITS
from cimc.backends.noise.profiles import built_in_names, load_profile, parse_profile
from cimc.backends.noise.profiles.writing import profile_toml
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.reading_back import read_back

DAY = 86400
STUCK = "stuck.low=0.05,stuck.high=0.05"
MACHINES = {
    "one pair": {},
    "the rest": {"array": {"pairs_per_weight": 2, "unprogrammed": 3, "significance": 16, "second_pair": "rest"}},
    "four phases": {"read_phases": 4, "array": {"pairs_per_weight": 2, "unprogrammed": 3}},
}


def drawn(profile: str, sources: frozenset[str] = EVERYTHING) -> Noise:
    return Noise(load_profile(f"{profile},{STUCK}"), 7, TIMES.get(profile, DAY), sources, 5)


@pytest.mark.parametrize(
    ("profile", "machine"),
    [*((name, "one pair") for name in built_in_names()), ("pcm", "the rest"), ("reram-cmo", "four phases")],
)
def test_a_chip_read_back_gives_the_bits_of_its_noise(new, profile, machine):
    program, noise = network(new, "skip", once=True, **MACHINES[machine]), drawn(profile)
    twin = Noise.of_chip(read_back(program, noise), sample_offset=5)
    seen = [seen_by_interpreter(program, images(1), one, executor="numpy") for one in (noise, twin)]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("later", [False, True], ids=["as read", "later"])
@pytest.mark.parametrize("profile", ["pcm", "reram-cmo"])
def test_every_executor_runs_a_chip_alike(new, profile, later):
    program = network(new, "skip", once=True, **MACHINES["the rest"])
    twin = Noise.of_chip(read_back(program, drawn(profile)))
    require_same(program, images(1), replace(twin, time_s=10 * DAY) if later else twin)


def test_a_device_drifts_on_by_its_own_exponent(new):
    """Without read noise, which a reading keeps, a chip read after a day is after ten days what was drawn for them."""
    program, only = network(new, once=True), frozenset({"programming", "drift"})
    late = replace(drawn("pcm", only), time_s=10 * DAY)
    chip = read_back(program, drawn("pcm", only))
    found, wanted = (read_back(program, one).tiles[0].conductance for one in (Noise.of_chip(chip, 10 * DAY), late))
    assert np.abs(found - wanted).max() <= 2
    assert np.abs(chip.tiles[0].conductance - wanted).max() > 100 << FINE_BITS - 2


def dead(chip: Chip, **fields: object) -> Chip:
    return replace(chip, tiles={**chip.tiles, 0: replace(chip.tiles[0], **fields)})


def test_dead_lines_conduct_nothing_in_any_executor(new):
    program = network(new, once=True)
    rows, columns = np.arange(16) == 3, np.arange(8) == 2
    chip = dead(read_back(program, drawn("pcm")), dead_rows=rows, dead_columns=columns)
    require_same(program, images(1), Noise.of_chip(chip))
    conductance = chip.tiles[0].carried
    assert not conductance[..., 3, :].any()
    assert not conductance[..., 2].any()
    assert (conductance[..., 4, 3:5] == chip.tiles[0].conductance[..., 4, 3:5]).all()


def refusal(program, noise) -> str:
    with pytest.raises(Refusal) as found:
        require_same(program, images(1), noise)
    return f"{found.value.code} {found.value}"


@pytest.mark.parametrize(
    ("profile", "time_s", "told"),
    [
        ("pcm", DAY - 1, "tile 0 of the chip was read at 86400 s, its devices at 86399 s are asked for"),
        ("reram-wan", 2 * DAY, "profile reram-wan draws anew: nothing says how they drift on"),
        (None, 2 * DAY, "the chip names no profile: nothing says how they drift on"),
    ],
)
def test_a_time_that_a_chip_cannot_say_is_refused(new, profile, time_s, told):
    program = network(new, once=True)
    chip = read_back(program, drawn(profile or "pcm"))
    known = chip if profile else replace(chip, profile=None, sources=frozenset())
    assert told in refusal(program, Noise.of_chip(known, time_s))


def test_a_program_that_writes_devices_twice_has_no_chip(new):
    once, twice = network(new, once=True), network(new)
    with pytest.raises(Refusal, match="writes devices of tile 0 twice"):
        read_back(twice, drawn("pcm"))
    assert "writes devices of tile 0 twice" in refusal(twice, Noise.of_chip(read_back(once, drawn("pcm"))))


def test_levels_of_adcs_are_in_no_chip(new):
    with pytest.raises(Refusal, match="levels of ADCs are off"):
        read_back(network(new, once=True), drawn("pcm,levels.sigma=0.2"))


def test_tiles_that_were_not_read_are_refused(new):
    program = network(new, once=True)
    chip = read_back(program, drawn("pcm"))
    assert "tile 1 is used, and the chip has tiles 0" in refusal(
        program, Noise.of_chip(replace(chip, tiles={0: chip.tiles[0]}))
    )


def test_what_whole_codes_lose_is_told(new):
    facts = machine_of(network(new, once=True).meta)
    conductance = np.zeros((1, 2, facts.rows, facts.columns), np.int64)
    conductance[0, 0, :4, 0] = (5 << FINE_BITS) + np.array([0, 0, 0, 1 << FINE_BITS - 2])
    largest, usual = Chip({0: ChipTile.of(facts, 0, conductance)}, "", "").snapping
    assert (largest, usual) == (0.25, pytest.approx(0.125))


@pytest.mark.parametrize("name", [*built_in_names(), "pcm,stuck.low=0.01,programming.sigma=0.02"])
def test_a_profile_written_out_is_the_same_profile(name):
    profile = load_profile(name)
    assert parse_profile(profile_toml(profile), name) == profile
