"""Images: every memory reads back, devices are those that products see, and a test bench finds nothing wrong."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.bringup.bench import bench
from cimc.bringup.files import FORMS, image_files, read_image
from cimc.bringup.image import data, memories

X = {"x": np.array([[3, -127, 7, 1], [0, 90, -2, 5]], np.int8)}
INSTRUCTION = 7


@pytest.fixture
def sketch(new):
    """A program for a chip with one read phase."""
    return drawn(new)


def drawn(new, phases=1):
    """Two vectors through two blocks on two tiles, with ties, clips and drift factors other than 1."""
    sketch = (
        new(array={"unprogrammed": 9}, read_phases=phases)
        .port("x", (2, 4), 0)
        .port("y", (2, 2), 64, output=True)
        .gain(40000, 22)
    )
    sketch.block(0, [[508, -300], [-508, 12]], (0, 3, 5)).block(1, [[1, 2], [0, 4]], (1, 3, 1), zeros="skip")
    sketch.tensor(0, (2, 4)).tensor(1, (2, 2), 64).data(2, [100, 0, 0, 100], (1, 4))
    sums = sketch.table([400, 300, 5, 8], "i64")
    sketch.put("calibrate", in_=2, block=0, blocks=2, reference=sums, per="column")
    tables = {"scale": sketch.table([33000, -5, 2, 65535], "i32"), "bias": sketch.table([777, 1 << 20], "i64")}
    return sketch.put("mvm", in_=0, out=1, block=0, blocks=2, shift=15, low=-127, high=127, **tables)


def written(program, folder: Path, form="readmemh", width=None, noise=None) -> Path:
    found = [*memories(program, noise), *data(program, X, noise)]
    for name, content in image_files(program, found, form, width, {}).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("width", [None, 8, 64, 256])
def test_an_image_reads_back_as_the_program(sketch, tmp_path, form, width):
    program = sketch.program()
    assert read_image(written(program, tmp_path, form, width)) == program


def test_a_program_without_constants_has_an_image(new, tmp_path):
    program = new().port("x", (2, 4), 0).tensor(0, (2, 4)).program()
    assert read_image(written(program, tmp_path)) == program


def test_a_changed_image_is_refused(sketch, tmp_path):
    folder = written(sketch.program(), tmp_path)
    (folder / "constants.hex").write_bytes(b"00\n")
    with pytest.raises(Refusal, match=r"CIM0564.*constants\.hex"):
        read_image(folder)
    (folder / "manifest.json").write_text('{"format": "cimc-image 9", "form": "raw"}')
    with pytest.raises(Refusal, match="CIM0564"):
        read_image(folder)


def test_words_are_written_highest_digit_first(sketch, tmp_path):
    folder = written(sketch.program(), tmp_path, width=32)
    assert (folder / "conductances.hex").read_text().split()[:2] == ["01fc", "fed4"]
    assert (folder / "activations.hex").read_text().split()[:2] == ["01078103", "05fe5a00"]
    assert (folder / "code.hex").read_text().split()[0][-2:] == "20"
    about = json.loads((folder / "manifest.json").read_text())
    assert {one["memory"]: (one["words"], one["bits"]) for one in about["memories"]}["tile1_plus"] == (128, 16)


def test_tiles_are_dense(sketch, tmp_path):
    folder = written(sketch.program(), tmp_path, "npy")
    plus, minus = (np.load(folder / f"tile1_{side}.npy").view("<u2").reshape(16, 8) for side in ("plus", "minus"))
    assert plus[3:5, 1:3].tolist() == [[1, 2], [9, 4]]
    assert minus[3:5, 1:3].tolist() == [[9, 9], [9, 9]]
    assert (plus == 9).sum() == 128 - 3


NOISE = Noise(load_profile("pcm"), 5, 86400)


def test_a_noisy_chip_is_another_image_of_conductances(sketch, tmp_path):
    program = sketch.program()
    exact, noisy = (list(memories(program, noise)) for noise in (None, NOISE))
    assert [one.name for one in exact] == [one.name for one in noisy]
    assert not np.array_equal(exact[3].words, noisy[3].words)
    assert np.array_equal(exact[1].words, noisy[1].words)


@pytest.mark.parametrize("source", ["cycle", "output"])
def test_what_is_drawn_for_each_product_is_no_image(sketch, source):
    noise = Noise(load_profile("generic"), 0, 0, frozenset({source}))
    with pytest.raises(Refusal, match="CIM0563"):
        list(memories(sketch.program(), noise))


def test_levels_of_adcs_are_in_no_image(sketch):
    noise = Noise(load_profile("generic,levels.sigma=0.2"), 0, 0, frozenset({"levels"}))
    with pytest.raises(Refusal, match="CIM0563"):
        list(memories(sketch.program(), noise))


def test_two_times_are_two_images(sketch):
    sketch.put("time", seconds=10**6).put("capture", in_=0, out=1, block=0)
    sketch.tensor(0, (2, 2)).put("capture", in_=0, out=1, block=0)
    sketch.instructions.pop(-3)
    sketch.locations.pop(-3)
    list(memories(sketch.program()))
    with pytest.raises(Refusal, match="CIM0563"):
        list(memories(sketch.program(), NOISE))


def ran(folder: Path, command: list[str]) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def benched(sketch, folder: Path, noise=None) -> None:
    program = sketch.program()
    made = bench(program, X, INSTRUCTION, noise)
    files = image_files(program, made.memories(), "readmemh", None, {})
    for name, content in (files | {"bench.sv": made.module().encode()}).items():
        (folder / name).write_bytes(content)


@pytest.mark.skipif(not shutil.which("iverilog"), reason="no Icarus Verilog here")
@pytest.mark.parametrize("phases", [1, 2, 4])
@pytest.mark.parametrize("noise", [None, NOISE], ids=["exact", "pcm"])
def test_icarus_computes_the_same(new, tmp_path, noise, phases):
    benched(drawn(new, phases), tmp_path, noise)
    ran(tmp_path, ["iverilog", "-g2012", "-o", "bench", "bench.sv"])
    numbers = 2 * 2 * (2 * 2 * phases + 1)
    assert ran(tmp_path, ["vvp", "-n", "bench"]).splitlines()[-1] == f"0 of {numbers} numbers differ"
    codes = (tmp_path / "codes.hex").read_text().split("\n")
    codes[-2] = "0000000000000055"  # of the last column of the last phase
    (tmp_path / "codes.hex").write_text("\n".join(codes))
    assert ran(tmp_path, ["vvp", "-n", "bench"]).splitlines()[-1] == f"1 of {numbers} numbers differ"


@pytest.mark.nightly
@pytest.mark.skipif(not shutil.which("verilator"), reason="no Verilator here")
def test_verilator_computes_the_same(sketch, tmp_path):
    benched(sketch, tmp_path)
    ran(tmp_path, ["verilator", "--binary", "-Wno-fatal", "--top-module", "bench", "bench.sv"])
    assert "0 of 20 numbers differ" in ran(tmp_path, ["obj_dir/Vbench"])
