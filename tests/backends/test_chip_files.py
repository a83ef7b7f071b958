"""Files of measured chips: what is written is read again, and what is wrong is told by its field."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cimc.backends.noise.chip import Chip
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import DEFAULTS
from cimc.backends.silicon.reading_back import read_back
from cimc.driving.arrays import to_npz
from cimc.driving.chip_files import chip_arrays, load_chip
from cimc.isa.author import Author
from cimc.isa.errors import CimcError
from cimc.isa.program import Program

Arrays = dict[str, NDArray]
Change = Callable[[Arrays], None]
SOURCES = frozenset({*DEFAULTS, "stuck", "adc"})


def without(field: str) -> Change:
    return lambda arrays: arrays.pop(field)


def fact(name: str, value: object) -> Change:
    def change(arrays: Arrays) -> None:
        arrays["facts"] = np.array(json.dumps({**json.loads(str(arrays["facts"])), name: value}))

    return change


def entry(field: str, value: float) -> Change:
    def change(arrays: Arrays) -> None:
        array = arrays.setdefault(f"tile0.{field}", np.zeros(2))
        array[(0,) * array.ndim] = value

    return change


def scaled(factor: float) -> Change:
    return lambda arrays: arrays.update({"tile0.conductance": arrays["tile0.conductance"] * factor})


def cut(arrays: Arrays) -> None:
    arrays["tile0.conductance"] = arrays["tile0.conductance"][..., :5]


WRONG = {
    "another program": (fact("program", "0" * 64), "CIM0215", "facts.program is '000000000000', the program run has"),
    "another target": (fact("target", "1" * 64), "CIM0215", "facts.target is '111111111111', the program run has"),
    "no tile": (without("tile0.conductance"), "CIM0214", "has no array 'tile0.conductance'"),
    "no time": (without("tile0.read_s"), "CIM0214", "has no array 'tile0.read_s'"),
    "no facts": (without("facts"), "CIM0214", "has no array 'facts'"),
    "another format": (fact("format", 9), "CIM0214", "facts.format is 9, 1 is known"),
    "no unit": (fact("unit", "S"), "CIM0214", "facts.unit is 'S', one of codes, uS is needed"),
    "no range": (fact("unit", "uS"), "CIM0214", "facts.range is None, with the unit uS"),
    "siemens": (scaled(1e-6), "CIM0214", "tile0.conductance is at most 0.0"),
    "far too much": (scaled(100.0), "CIM0214", "0 to 2032 is possible"),
    "not a number": (entry("conductance", np.nan), "CIM0214", "tile0.conductance is nan at [0, 0, 0, 0]"),
    "another shape": (cut, "CIM0214", "is of shape (1, 2, 16, 5), (1, 2, 16, 8) or (2, 16, 8) is needed"),
    "neither free nor stuck": (entry("stuck", 3), "CIM0214", "tile0.stuck is"),
    "no gain": (entry("adc_gain", 0.0), "CIM0214", "tile0.adc_gain is 0 at [0], 0.25 to 1.75 is possible"),
    "an offset too far": (entry("adc_offset", 999.0), "CIM0214", "tile0.adc_offset is 999 at [0], -256 to 256"),
    "a profile": (fact("profile", "name ="), "CIM0530", "facts.profile"),
    "a source": (fact("sources", ["drfit"]), "CIM0531", "there is no noise source named 'drfit'"),
    "facts that are none": (lambda arrays: arrays.update(facts=np.array("[")), "CIM0214", "facts is no JSON object"),
    "a profile that is no text": (fact("profile", 7), "CIM0214", "facts.profile is 7, the TOML text"),
    "sources that are none": (fact("sources", "drift"), "CIM0214", "facts.sources is 'drift', a list of sources"),
    "words": (lambda arrays: arrays.update({"tile0.read_s": np.array("now")}), "CIM0214", "of type <U3, numbers are"),
    "no gain of a DAC": (
        lambda arrays: arrays.update({"tile0.dac_gain": np.zeros(16)}),
        "CIM0214",
        "tile0.dac_gain is 0 at [0]",
    ),
    "a seed": (fact("seed", -1), "CIM0214", "facts.seed is -1"),
}


@pytest.fixture(scope="module")
def program(new: Callable[..., Author]) -> Program:
    return new().gain().block(0, [[400, -300], [20, 5]]).program()


@pytest.fixture
def arrays(program: Program) -> Arrays:
    """What the file of a drawn chip holds."""
    return chip_arrays(read_back(program, Noise(load_profile("pcm,stuck.low=0.1,adc.offset=2"), 7, 86400, SOURCES)))


def loaded(arrays: Arrays, program: Program, folder: Path) -> Chip:
    (folder / "chip.npz").write_bytes(to_npz(arrays))
    return load_chip(str(folder / "chip.npz"), program)


def test_a_file_gives_back_its_chip(arrays: Arrays, program: Program, tmp_path: Path) -> None:
    chip = loaded(arrays, program, tmp_path)
    again = chip_arrays(chip)
    assert {name: array.tolist() for name, array in again.items()} == {n: a.tolist() for n, a in arrays.items()}
    assert loaded(again, program, tmp_path).digest == chip.digest


def test_microsiemens_are_codes_by_the_range_that_is_stated(arrays: Arrays, program: Program, tmp_path: Path) -> None:
    chip = loaded(arrays, program, tmp_path)
    for name in ("conductance", "programmed"):
        arrays[f"tile0.{name}"] = 2 + arrays[f"tile0.{name}"] / 508 * 23
    fact("unit", "uS")(arrays)
    fact("range", [2, 25])(arrays)
    assert (loaded(arrays, program, tmp_path).tiles[0].conductance == chip.tiles[0].conductance).all()


def test_a_converter_is_told_for_each_adc_or_for_each_column(arrays: Arrays, program: Program, tmp_path: Path) -> None:
    columns = np.array([1.5, 1.5, 1.5, 1.5, -2, -2, -2, -2])
    found = []
    for told in (columns, columns[::4]):
        arrays["tile0.adc_offset"] = told
        found.append(loaded(arrays, program, tmp_path).tiles[0].adc[0].tolist())
    assert found[0] == found[1] == (columns * 65536).tolist()


def test_gains_of_dacs_are_read(arrays: Arrays, program: Program, tmp_path: Path) -> None:
    arrays["tile0.dac_gain"] = np.linspace(0.9, 1.1, 16)
    assert loaded(arrays, program, tmp_path).tiles[0].dac.tolist() != [0] * 16


def test_a_file_without_a_profile_knows_no_drift(arrays: Arrays, program: Program, tmp_path: Path) -> None:
    fact("profile", None)(arrays)
    assert loaded(arrays, program, tmp_path).profile is None


@pytest.mark.parametrize(("change", "code", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused_by_its_field(
    arrays: Arrays, program: Program, tmp_path: Path, change: Change, code: str, told: str
) -> None:
    change(arrays)
    with pytest.raises(CimcError) as error:
        loaded(arrays, program, tmp_path)
    assert error.value.code == code
    assert told in str(error.value)
