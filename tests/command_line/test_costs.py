"""cimc cost tells the same numbers as text, JSON, CSV and in the page of `cimc report`."""

import csv
import io
import json
import re
from dataclasses import asdict

import pytest
from command_line.files import CALIBRATION, SAMPLES, lay

from cimc.command_line import main
from cimc.isa.container import load_program


@pytest.fixture
def told(folder, capsys):
    """What is told of the sample: the JSON object, the rows of the CSV, the text, and the page."""
    lay("digits.cimb", folder)
    capsys.readouterr()
    texts = []
    for how in (["--json"], ["--csv"], []):
        assert main(["cost", "digits.cimb", *how]) == 0
        texts.append(capsys.readouterr().out)
    assert main(["report", "digits.cimb", "-o", "r.html"]) == 0
    page = (folder / "r.html").read_text()
    return json.loads(texts[0]), list(csv.DictReader(io.StringIO(texts[1]))), texts[2], page


def test_every_layer_has_the_same_numbers_everywhere(told):
    found, lines, text, page = told
    assert len(found["rows"]) == len(lines) == 7
    for row, line in zip(found["rows"], lines, strict=True):
        energy, time = row["energy_pj"]["value"], row["time_ns"]["value"]
        assert (line["name"], line["energy_pj"], line["time_ns"]) == (row["name"], str(energy), str(time))
        assert all(line[name] == str(row[name]) for name in found["counters"])
        cells = [f'data-value="{number}"' for number in (energy / 1e3, 100 * row["share"], time / 1e3, row["phases"])]
        assert re.search(rf"<td>{row['name']}</td><td[^>]*{cells[0]}.*?{cells[1]}.*?{cells[2]}.*?{cells[3]}", page)
        measures = f"{energy / 1e3:.2f} +{100 * row['share']:.2f} +{time / 1e3:.2f} +{row['matrix']} "
        assert re.search(rf"{row['name']} +{measures}", text)
    energies = sum(row["energy_pj"]["value"] for row in found["rows"])
    assert energies == pytest.approx(found["energy_pj"]["value"], rel=1e-15)


def test_the_page_tells_no_number_that_json_does_not(told):
    """As they are or in larger units; where blocks lie is the program's own."""
    found, _, _, page = told
    known = {scaled for number in numbers(found) for scaled in (number, number / 1e3, 100 * number)}
    known |= {
        float(part)
        for block in load_program("digits.cimb").blocks
        for part in asdict(block).values()
        if part != block.layer
    }
    stated = {float(number) for number in re.findall(r'data-value="([^"]*)"', page)}
    assert len(stated) > 100 and stated <= known
    for fall in found["waterfall"]:
        assert {fall["factor"], fall["tops_per_w"]} <= stated


def numbers(value):
    """Yield every number within plain values."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, int | float):
        yield float(value)


def test_text_tells_the_steps_as_json_does(told):
    found, _, text, _ = told
    for fall in found["waterfall"]:
        assert f"{fall['tops_per_w']:8.4g}         {fall['step']} x {fall['factor']:.4g}: {fall['because']}" in text
    for part in ("low", "high", "value"):
        assert f"{found['energy_pj'][part] / 1e6:.1f}" in text and f"{found['time_ns'][part] / 1e3:.2f}" in text


def test_the_terms_of_an_energy_are_told_as_numbers(told, capsys):
    found, *_ = told
    assert main(["cost", "digits.cimb", "--why", "energy", "--json"]) == 0
    terms = json.loads(capsys.readouterr().out)["terms"]
    assert sum(term["energy_pj"]["value"] for term in terms) == pytest.approx(found["energy_pj"]["value"], rel=1e-15)
    assert main(["cost", "digits.cimb", "--why", "energy", "--csv"]) == 2
    assert "--csv writes the rows of a program's costs, --why has none" in capsys.readouterr().err


def test_what_stands_beside_the_total_is_the_same_in_text_and_page(told):
    found, _, text, page = told
    beside = [line.strip() for line in text.splitlines() if line.startswith(("  power", "  once"))]
    assert len(beside) == 2 and f"{found['once']['programmed']} cells" in beside[1]
    assert all(f"<li>{line}</li>" in page for line in beside)


def test_what_another_target_makes_of_the_layers_is_what_it_makes_of_them(told, folder, capsys):
    """A forecast from shapes is the figure of a program that is compiled for it."""
    found, _, text, page = told
    other = found["elsewhere"]
    assert other["target"] == "hermes-64" and found["target"] == "aon-cim"
    model = ["compile", str(SAMPLES / "digits.onnx"), *CALIBRATION, "--target", other["target"], "-o", "h.cimb"]
    assert main(model) == 0
    capsys.readouterr()
    assert main(["cost", "h.cimb", "--json"]) == 0
    there = json.loads(capsys.readouterr().out)
    assert there["chip_tops_per_w"]["value"] == pytest.approx(other["tops_per_w"], rel=1e-12)
    assert there["elsewhere"] is None, "nothing of ours is better"
    line = f"hermes-64, of 256 rows and 256 ADCs a tile: {other['tops_per_w']:.2g} TOPS/W (chip) with the same layers"
    assert line in text and line in page
