"""cimc schedule and the report's page: slices add up to the time that is told, and what is written is read back."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from command_line.files import SAMPLES, lay

from cimc.backends.cost.estimate import estimate
from cimc.backends.cost.memory_map import memory_map
from cimc.backends.cost.schedule import DIGITAL, MEMORY, schedule
from cimc.command_line import main
from cimc.isa.container import load_program
from cimc.report.markup import element, table

DATA = ["--input", str(SAMPLES / "digits_test.npz"), "--scale", "0.0625", "--limit", "20"]


@pytest.fixture
def program(folder):
    lay("digits.cimb", folder)
    return load_program("digits.cimb")


def test_slices_add_up_to_the_time_to_the_last_picosecond(program):
    cost = estimate(program)
    found = schedule(cost, program)
    assert found.length == cost.time_ns.value * 1000
    assert max(one.end for one in found.slices) == found.length
    assert sum(one.length for one in found.slices if one.track in ("tile 0", DIGITAL)) == found.length, "one tile"
    assert sum(one.length for one in found.slices if one.track == MEMORY) == found.length
    assert found.tracks == ["tile 0", "tile 0 ADCs", DIGITAL, MEMORY]


@pytest.mark.parametrize("track", ["tile 0", "tile 0 ADCs", DIGITAL, MEMORY])
def test_a_unit_does_one_thing_at_a_time(program, track):
    slices = [one for one in schedule(estimate(program), program).slices if one.track == track]
    assert all(one.end <= other.start for one, other in pairwise(slices))


def test_memory_holds_what_is_read_until_its_last_reader(program):
    found = schedule(estimate(program), program)
    spans = memory_map(found, program)
    assert {span.name for span in spans if not span.start} == {"image", "node_conv2d"}
    conv = next(span for span in spans if span.name == "node_conv2d")
    pool = next(span for span in spans if span.name == "node_max_pool2d")
    assert pool.start < conv.end < pool.end
    assert all(0 <= span.low < span.high <= program.activation_bytes for span in spans)
    assert max(span.end for span in spans) == found.length


def test_a_trace_is_read_back(program, folder):
    protos = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    assert main(["schedule", "digits.cimb", "-o", "s.pftrace"]) == 0
    trace = protos.Trace.FromString((folder / "s.pftrace").read_bytes())
    names = {packet.track_descriptor.uuid: packet.track_descriptor.name for packet in trace.packet}
    events = [packet for packet in trace.packet if packet.HasField("track_event")]
    open_at, lengths = {}, {}
    for packet in events:
        track = names[packet.track_event.track_uuid]
        if packet.track_event.type == packet.track_event.TYPE_SLICE_BEGIN:
            open_at[track] = packet.timestamp
        else:
            lengths[track] = lengths.get(track, 0) + packet.timestamp - open_at.pop(track)
    assert not open_at
    assert lengths["tile 0"] + lengths[DIGITAL] == lengths[MEMORY] == estimate(program).time_ns.value * 1000
    first = next(packet.track_event for packet in events if names[packet.track_event.track_uuid] == "tile 0")
    notes = {note.name: note.int_value for note in first.debug_annotations}
    assert (first.name, notes["phases"], notes["cells"]) == ("node_conv2d", 64, 9216)


def test_waves_are_read_back(program, folder):
    reader = pytest.importorskip("vcd.reader")
    assert main(["schedule", "digits.cimb", "-o", "s.vcd"]) == 0
    with (folder / "s.vcd").open("rb") as file:
        tokens = list(reader.tokenize(file))
    names = {token.var.reference for token in tokens if token.kind is reader.TokenKind.VAR}
    assert {"tile_0_busy", "digital_unit_busy", "act_read"} <= names
    moments = [token.data for token in tokens if token.kind is reader.TokenKind.CHANGE_TIME]
    assert moments[-1] == estimate(program).time_ns.value * 1000


def test_a_schedule_of_another_kind_is_refused(program, capsys):
    assert main(["schedule", "digits.cimb", "-o", "s.png"]) == 2
    assert "a schedule is a .pftrace, .vcd, .html file" in capsys.readouterr().err


class Reader(HTMLParser):
    """Holds a page to nesting, and keeps titles, links out, and the texts of cells."""

    def __init__(self, text):
        super().__init__()
        self.open, self.titles, self.outside, self.cells = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "link"):
            self.open.append(tag)
        named = dict(attrs)
        self.outside += [v for k, v in attrs if k in ("src", "href") and not v.startswith(("#", "data:"))]
        if tag == "td":
            self.cells.append(named.get("data-value"))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)


def test_a_page_tells_all_that_is_known_and_asks_for_nothing(program, folder):
    (folder / "eval.json").write_text(json.dumps({"n": 400, "accuracy": 0.9925}))
    assert main(["report", "digits.cimb", *DATA, "--eval", "eval.json", "-o", "r.html"]) == 0
    text = (folder / "r.html").read_text()
    found = Reader(text)
    assert found.titles[:4] == ["Summary", "From peak to chip", "Layers", "Energy by component"]
    assert {"Use of the ADCs", "Scores", "Not modelled", "Constants", "Making"} <= set(found.titles)
    assert found.outside == []
    assert not re.search(r"https?://", text.replace("http-equiv", ""))
    first = next(row for row in estimate(program).charges if row.counters.cells)
    assert str(float(first.energy_pj.value) / 1e3) in found.cells
    assert main(["report", "digits.cimb", "-o", "bare.html"]) == 0
    assert "Use of the ADCs" not in Reader((folder / "bare.html").read_text()).titles


TIMES = [
    {"time": time, "seconds": s, "mean": 0.9, "low": 0.8, "high": 0.95} for time, s in (("1h", 3600), ("1d", 86400))
]
LOSS = {"layer": "a", "tensor": "t", "float_accumulated_db": 31.5, "largest_error": 0.5, "mean_error": 0.1, "clips": 3}


def _page(folder, scores: object, losses: object) -> tuple[str, list[str]]:
    """What the page says with these files, and its titles."""
    (folder / "eval.json").write_text(json.dumps(scores))
    (folder / "compare.json").write_text(json.dumps(losses))
    files = ["--eval", "eval.json", "--compare", "compare.json"]
    assert main(["report", "digits.cimb", *files, "-o", "r.html"]) == 0
    text = (folder / "r.html").read_text()
    return text, Reader(text).titles


def test_a_page_shows_scores_over_time_and_errors_against_the_float_model(program, folder):
    scores = {"metric": "accuracy", "seeds": [0, 1], "times": TIMES}
    text, titles = _page(folder, scores, {"layers": [LOSS, {**LOSS, "tensor": "u", "float_accumulated_db": None}]})
    assert {"Score over time", "Error against the float model"} <= set(titles)
    assert "<polygon" in text and "1d: accuracy 0.9, 0.8 to 0.95" in text and "31.5 dB" in text
    assert 'data-value="31.5"' in text and "<td>u</td>" in text


@pytest.mark.parametrize("broken", [{"low": None}, {"seconds": "1"}, {"mean": float("nan")}, {"time": 7}])
def test_files_of_others_that_say_something_else_draw_nothing(broken, program, folder):
    scores = {"times": [TIMES[0], {**TIMES[1], **broken}]}
    _, titles = _page(folder, scores, {"layers": [{**LOSS, "clips": "none"}]})
    assert not {"Score over time", "Error against the float model"} & set(titles)


ACTS = """<script>
const said = [];
addEventListener("error", (event) => said.push(event.message));
document.querySelector("table.sortable th:nth-child(2) button").click();
const layers = document.querySelector("table.sortable");
const energies = [...layers.querySelectorAll("td:nth-child(2)")].map((cell) => Number(cell.dataset.value));
layers.querySelector("th:nth-child(7) button").click();
const uses = [...layers.querySelectorAll("td:nth-child(7)")].map((cell) => cell.dataset.value ?? "none");
document.querySelector("button[data-zoom='2']").click();
document.body.style.width = "400px";
const edge = document.body.getBoundingClientRect().right;
const wider = [...document.body.querySelectorAll("*")].filter((one) => one.getBoundingClientRect().right > edge);
document.title = JSON.stringify({
  cut: wider.filter((one) => !one.closest(".wide")).map((one) => one.outerHTML.slice(0, 60)),
  unreached: [...document.querySelectorAll(".wide")].filter((one) => one.tabIndex !== 0).length,
  energies: energies,
  uses: uses,
  width: document.querySelector("button[data-zoom='2']").parentElement.querySelector("svg").style.width,
  asked: performance.getEntriesByType("resource").map((one) => one.name).filter((name) => !name.startsWith("data:")),
  said: said,
});
</script>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed: no page is opened here")
def test_a_browser_sorts_zooms_and_asks_for_nothing(program, folder):
    assert main(["report", "digits.cimb", "-o", "r.html"]) == 0
    page = folder / "acted.html"
    page.write_text((folder / "r.html").read_text().replace("</body>", ACTS + "</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    shown = subprocess.run(["chromium", *options, page.as_uri()], capture_output=True, text=True, timeout=60).stdout
    found = json.loads(re.search(r"<title>(\{.*?\})</title>", shown)[1])
    assert found["energies"] == sorted(found["energies"], reverse=True) and len(found["energies"]) == 7
    assert found["uses"][4:] == ["none"] * 3, "rows without a number come last"
    assert list(map(float, found["uses"][:4])) == sorted(map(float, found["uses"][:4]), reverse=True)
    assert (found["width"], found["asked"], found["said"]) == ("calc(200%)", [], [])
    assert (found["cut"], found["unreached"]) == ([], 0), "on 400 pixels, what is wider is scrolled to, by keyboard too"


def test_telemetry_needs_inputs(program, capsys):
    assert main(["report", "digits.cimb", "-o", "r.json"]) == 2
    assert "give --input X.npz" in capsys.readouterr().err


def test_names_are_escaped_wherever_they_stand():
    evil = "<script>alert('x')</script>\""
    assert "<script>" not in table([evil], [[evil]]) + element("p", evil, title=evil)
