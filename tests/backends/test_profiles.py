"""Noise profiles: the files, their schema, and the integer tables against the published numbers."""

import math
from contextlib import nullcontext
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from cimc.backends.machine.traps import Refusal
from cimc.backends.noise import fixed_point
from cimc.backends.noise.device_tables import aging, deviations, exponents, spread
from cimc.backends.noise.octaves import Memory, memory
from cimc.backends.noise.profiles import built_in_names, load_profile, parse_profile
from cimc.backends.noise.profiles.curve import Curve, Piece
from cimc.backends.noise.table import NAMES, SOURCES

HIGHEST = 400
FINE = HIGHEST << 12

# Conductance in uS: programming spread, mean and spread of the drift exponent, relative read spread (aihwkit's model).
PCM = {
    0: (0.26348, 0.1, 0.045, 0.2),
    0.25: (0.28301269, 0.09578014, 0.045, 0.17558308),
    1.25: (0.35879725, 0.07083385, 0.03154665, 0.06168111),
    2.5: (0.44824900, 0.06009007, 0.02288231, 0.03930816),
    5: (0.60955600, 0.04934629, 0.01421797, 0.02505031),
    10: (0.86178400, 0.049, 0.008, 0.01596407),
    12.5: (0.95270500, 0.049, 0.008, 0.01380868),
    20: (1.08469600, 0.049, 0.008, 0.01017359),
    25: (1.05538000, 0.049, 0.008, 0.00880000),
}
# Seconds since the first read: sqrt(ln((t + t_read) / (2 t_read))) and (t / t_0)^-0.06.
TIMES = {
    0: (4.18382481, 1),
    1: (4.18965156, 0.99707687),
    25: (4.27964020, 0.95250891),
    3600: (4.76475467, 0.73204754),
    86400: (5.08680962, 0.60515266),
    2592000: (5.41078606, 0.49345039),
    31536000: (5.63695828, 0.42475000),
}


def known(name):
    return load_profile(name)


@pytest.mark.parametrize("g_us", PCM)
def test_pcm_tables_hold_the_published_values(g_us):
    exponent_mean, exponent_sigma = exponents(known("pcm"), HIGHEST)
    code = round(g_us / 25 * HIGHEST)
    programming, mean, sigma, read = PCM[g_us]
    assert deviations(known("pcm"), "programming", HIGHEST)[code] == round(programming / 25 * FINE)
    assert abs(exponent_mean[code] - mean * 2**20) < 0.6
    assert abs(exponent_sigma[code] - sigma * 2**20) < 0.6
    assert abs(spread(known("pcm"), "read", HIGHEST).table[code] - read * 2**20) < 0.6


@pytest.mark.parametrize("seconds", TIMES)
def test_pcm_times_hold_the_published_values(seconds):
    growth, decay = TIMES[seconds]
    age = aging(known("pcm"), HIGHEST, seconds)
    assert fixed_point.flicker(Decimal(seconds + 20), Decimal("250e-9")) == round(growth * 65536)
    assert abs(2 ** (-0.06 * age.exponent / 2**20) - decay) < 1e-7


@pytest.mark.parametrize(("r", "sigma"), [(0.1, 0.55771818), (0.25, 0.88876033), (0.5, 0.99101320), (1, 1.09269857)])
def test_hermes_tables_hold_the_published_values(r, sigma):
    table = deviations(known("hermes"), "programming", HIGHEST)
    assert abs(table[round(r * HIGHEST)] - sigma / 20.7 * FINE) < 0.6


def test_reram_cmo_shifts_and_relaxes_with_the_logarithm_of_time():
    age = aging(known("reram-cmo"), HIGHEST, 86400)
    span = 88.199997 - 9
    assert abs(age.shift - 0.08900206 * math.log(86400) / span * FINE) < 0.6
    assert abs(age.relaxation - (0.04201137 * math.log(86400) + 0.41183342) / span * FINE) < 0.6
    programmed = deviations(known("reram-cmo"), "programming", HIGHEST)[HIGHEST]
    assert abs(programmed - (0.00081107 + 0.00106879 * 88.199997) / span * FINE) < 0.6


def test_reram_cmo_at_the_first_read_neither_drifts_nor_flickers():
    age = aging(known("reram-cmo"), HIGHEST, 0)
    assert (age.shift, age.relaxation, set(age.read.table)) == (0, 0, {0})


@pytest.mark.parametrize("ratio", [Fraction(1), Fraction(2), Fraction(3, 2), Fraction(86420, 20), Fraction(10**13, 7)])
def test_log2(ratio):
    assert fixed_point.log2(ratio) == math.floor(math.log2(ratio) * 2**20 + 1e-9)


def test_halvings():
    assert fixed_point.halvings()[0] == 1 << 30
    assert fixed_point.halvings()[-1] == 1 << 29
    assert all(abs(v - 2 ** (30 - i / 1024)) < 0.6 for i, v in enumerate(fixed_point.halvings()))


@pytest.mark.parametrize("name", built_in_names())
def test_every_profile_serves_every_target(name):
    for highest in (15, 508, 4064):
        assert len(deviations(load_profile(name), "programming", highest)) == highest + 1
        assert len(spread(load_profile(name), "read", highest).table) == 2 * highest + 1


def test_a_constant_can_be_changed():
    profile = load_profile("generic,programming.sigma=0.02,read.scale=0")
    assert set(deviations(profile, "programming", HIGHEST)) == {round(0.02 * FINE)}
    assert set(spread(profile, "read", HIGHEST).table) == {0}


def test_a_choice_can_be_changed():
    profile = load_profile("pcm,read.time=correlated,read.scale=2")
    assert profile.choices["read.time"] == "correlated"
    assert profile.numbers["read.scale"] == 2


def test_a_choice_that_there_is_not_is_refused():
    with pytest.raises(Refusal, match=r"CIM0530.*read\.time: 'pink' is not one of constant, flicker, correlated"):
        load_profile("pcm,read.time=pink")


@pytest.mark.parametrize("seconds", [0, 1, 3600, 86400, (1 << 40) - 1])
@pytest.mark.parametrize("duration", ["1e-12", "250e-9", "2.9", "1000", "1e12"])
def test_weights_of_noise_that_remembers_make_one_variable(seconds, duration):
    """Their squares sum to 1, so a time by itself has the noise that it had without memory."""
    found = memory(Decimal(seconds + 20), Decimal(duration))
    weights = [found.fresh, *(weight for _, weight in found.octaves)]
    assert sum(weight**2 for weight in weights) == pytest.approx(1 << 32, rel=1e-4)


def test_noise_that_remembers_nothing_yet_is_fresh():
    assert memory(Decimal(5), Decimal("250e-9")) == Memory()
    assert aging(load_profile("pcm"), HIGHEST, 86400).memory == Memory()


def test_a_profile_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nsummary = "x"\n[device]\nlowest = { value = 0, unit = "uS", source = "derived" }\n'
        'highest = { value = 10.0, unit = "uS", source = "derived" }\n'
    )
    assert set(deviations(load_profile(str(path)), "programming", 10)) == {0}


@pytest.mark.parametrize(
    "name",
    ["pmc", "pcm,read.scael=1", "pcm,read.scale=x", "pcm,read.scale=nan", "pcm,read.scale", "nowhere.toml", ""],
)
def test_what_does_not_exist_is_refused(name):
    with pytest.raises(Refusal) as refusal:
        load_profile(name)
    assert refusal.value.code == "CIM0531"


GOOD = (
    'name = "mine"\n[device]\nlowest = { value = 0, unit = "uS", source = "derived" }\n'
    'highest = { value = 10.0, unit = "uS", source = "derived" }\n'
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "Invalid"),
        ("extra = 1\n" + GOOD, "no constant 'extra'"),
        (GOOD + "[drfit]\nscale = 1\n", "no constant 'drfit.scale'"),
        (GOOD.replace('"uS", source', '"nS", source'), "has unit 'nS'"),
        (GOOD.replace('source = "derived"', 'source = "me"'), "has source 'me'"),
        (GOOD.replace("10.0", "-1"), "outside"),
        (GOOD.replace("10.0", "nan"), "not a number"),
        (GOOD + '[drift]\nkind = "wild"\n', "'wild' is not one of"),
        (GOOD + '[programming]\nsigma = { unit = "uS", source = "derived", pieces = [] }\n', "no pieces"),
        (GOOD + '[programming]\nsigma = { unit = "uS", source = "derived", pieces = [3] }\n', "a piece is"),
        (
            GOOD + '[programming.sigma]\nunit = "uS"\nsource = "derived"\npieces = [{ form = "ln", coefficients=[]}]\n',
            "form 'ln' with 0 coefficients",
        ),
        (GOOD + '[read]\nkind = "relative"\nsigma = { value = 1, unit = "uS", source = "derived" }\n', "not relative"),
        (GOOD + "[[drift.redraws]]\nseconds = 1.5\n", "whole seconds"),
        (GOOD.replace('name = "mine"\n', ""), "needs a name"),
    ],
)
def test_a_bad_file_is_refused(text, problem):
    with pytest.raises(Refusal) as refusal:
        parse_profile(text, "mine.toml")
    assert refusal.value.code == "CIM0530"
    assert problem in refusal.value.message


def test_a_spread_beyond_the_number_formats_is_refused():
    with pytest.raises(Refusal) as refusal:
        exponents(load_profile("generic,drift.mean=100"), HIGHEST)
    assert refusal.value.code == "CIM0533"


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_every_source_has_its_row_on_the_page(source):
    assert f"| {source.name} | {source.disturbs} |" in (Path(__file__).parents[2] / "docs" / "noise.md").read_text()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("clip = [0.049, 0.100]", "clip = [5.0, -5.0]", "drift.mean.pieces[0].clip: the lowest value, 5.0, is above"),
        ("[0.0088, 0.65, 1e-3]", "[0.0088, 1e6, 1e-3]", "read.sigma.pieces[0].coefficients[1]: 1E+6 is beyond 100"),
        ("[0.0088, 0.65, 1e-3]", "[0.0088, 0.65, 1e2147483648]", "read.sigma.pieces[0].coefficients[2]: 1E+2147483648"),
        ("[0.0088, 0.65, 1e-3]", "[0.0088, 0.65, -1e-3]", "read.sigma.pieces[0].coefficients[2]: -0.001 is what is"),
        ("[0.0088, 0.65, 1e-3]", "[0.0088, 0.65, 0]", "read.sigma.pieces[0].coefficients[2]: 0 is what is divided by"),
        ("[0.26348, 1.9650, -1.1731]", "[0.26348, 1.9650, -3.1731]", "programming.sigma.pieces[0]: -0.04764 at"),
        ("[-0.0155, 0.0244]", "[1e30, 0.0244]", "coefficients[0]: 1E+30 is beyond 1E+9"),
    ],
)
def test_physics_that_cannot_be_is_refused_with_its_path(old, new, problem):
    text = (Path(load_profile.__code__.co_filename).parent / "pcm.toml").read_text()
    assert old in text
    with pytest.raises(Refusal, match="CIM0530") as raised:
        parse_profile(text.replace(old, new), "p.toml")
    assert problem in str(raised.value)


def test_a_negative_spread_is_refused():
    with pytest.raises(Refusal, match=r"programming\.sigma: -0\.5 is negative"):
        load_profile("generic,programming.sigma=-0.5")


@pytest.mark.parametrize("scale", [2 * 10**4, 10**9])
def test_a_relative_spread_has_a_limit_of_its_own(scale):
    """In Q20, as shares of the present conductance: a thousand times less than spreads in fine units may be."""
    changed = known("pcm").with_numbers(read__scale=Decimal(scale), programming__scale=Decimal(scale))
    assert spread(known("pcm").with_numbers(read__scale=Decimal(1000)), "read", HIGHEST).relative
    with pytest.raises(Refusal, match=r"CIM0533.*2147483648 is the most"):
        spread(changed, "read", HIGHEST)
    with pytest.raises(Refusal, match=r"CIM0533.*1099511627776 is the most") if scale == 10**9 else nullcontext():
        deviations(changed, "programming", HIGHEST)


@pytest.mark.parametrize(
    ("highest", "found"),
    [
        ("30", None),
        ("30.01", (0, Decimal(1), Decimal("-0.01"))),
        ("40", (0, Decimal("0.6875"), Decimal("-0.625"))),
        ("25", None),
    ],
)
def test_a_curve_over_conductances_is_negative_where_its_own_range_makes_it(highest, found):
    """30 uS less the conductance, over a range from 10 uS on: steps of a 32nd of the range."""
    curve = Curve("uS", (Piece("polynomial", (Decimal(30), Decimal(-1)), absolute=True),))
    assert curve.negative(Decimal(10), Decimal(highest)) == found
