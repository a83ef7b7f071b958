"""A sweep's table: whatever computes it, however often it is interrupted."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow.parquet
import pytest
from sweep.conftest import SAMPLES, Sweep

from cimc.command_line import main, sweeping
from cimc.isa.errors import INTERRUPTED

SMALL = 'noise = ["none", "pcm"]\ntime = ["1h", "30d"]\ncompensation = ["column", "refit"]\nseeds = 2'
CHIPS = 'noise = "pcm"\nseeds = 16'
PATIENCE_S = 240
Write = Callable[..., Path]


def finished(process: "subprocess.Popen[str]") -> str:
    """Return what a sweep printed; it must have ended well."""
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return out


def table(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pyarrow.parquet.read_table(path).to_pylist()
    return found


def wait_for_trials(folder: Path, count: int) -> None:
    """Wait until so many trials are kept."""
    end = time.monotonic() + PATIENCE_S
    while len(list(folder.glob("*.parquet"))) < count:
        assert time.monotonic() < end, "the sweep keeps nothing"
        time.sleep(0.02)


def test_an_interrupted_sweep_says_what_is_kept(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    path = write(SMALL)
    folder = path.with_name("sweep.trials")
    folder.mkdir()
    (folder / "a.parquet").touch()
    monkeypatch.setattr(sweeping, "_scorings", interrupted)
    assert main(["sweep", str(path), "--model-root", str(SAMPLES)]) == INTERRUPTED
    error = capsys.readouterr().err
    assert f"interrupted: 1 finished trials are kept in {folder}; the same command goes on with the rest" in error


def test_the_scores_are_those_of_eval(write: Write, sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(SMALL)
    summary = json.loads(finished(sweep(path, "--workers", "2", "--json")))
    program, data = str(path.with_suffix(".cimb")), ["--scale", "0.0625"]
    calibration = ["--calib", str(SAMPLES / "digits_calib.npz")]
    assert main(["compile", str(SAMPLES / "digits.onnx"), *calibration, *data, "-o", program]) == 0
    capsys.readouterr()
    for point in summary["points"]:
        noise = ["--noise", "pcm", "--seeds", "2", "--time", point["time"]] if point["noise"] == "pcm" else []
        refit = ["--compensation", point["compensation"], *calibration]
        test = ["--data", str(SAMPLES / "digits_test.npz"), "--limit", "60", "--json"]
        assert main(["eval", program, *test, *data, *noise, *refit]) == 0
        found = json.loads(capsys.readouterr().out)
        assert point["samples"] == found["n"] == 60
        assert point["program"] == found["program"] and point["feeding"] == "inputs x * 0.0625"
        if noise:
            assert [point[key] for key in ("mean", "low", "high")] == [
                found["times"][0][key] for key in ("mean", "low", "high")
            ]
        else:
            assert point["mean"] == found["accuracy"]
    assert summary["trials"] == 5
    assert {row["program"] for row in table(path.with_suffix(".parquet"))} == {found["program"]}
    assert [row["seed"] for row in table(path.with_suffix(".parquet"))] == [0, 0, 0, 1, 1, 0, 0, 1, 1]


def test_any_number_of_workers_gives_the_same_bytes(write: Write, sweep: Sweep) -> None:
    one, two = write(SMALL, "one"), write(SMALL, "two")
    finished(sweep(one, "--workers", "1"))
    finished(sweep(two, "--workers", "2"))
    assert one.with_suffix(".parquet").read_bytes() == two.with_suffix(".parquet").read_bytes()


@pytest.mark.nightly
def test_a_killed_worker_costs_only_its_trials(write: Write, sweep: Sweep) -> None:
    whole, hurt = write(CHIPS, "whole"), write(CHIPS, "hurt")
    finished(sweep(whole, "--workers", "2"))
    process = sweep(hurt, "--workers", "2")
    for count in (1, 4):
        wait_for_trials(hurt.with_name("hurt.trials"), count)
        os.kill(_workers(process.pid)[0], signal.SIGKILL)
    finished(process)
    assert hurt.with_suffix(".parquet").read_bytes() == whole.with_suffix(".parquet").read_bytes()


def _workers(parent: int) -> list[int]:
    """Return the processes that compute: grandchildren whose nanny is a thread of the sweep, newest last."""
    found = [child for child in psutil.Process(parent).children(recursive=True) if "spawn_main" in str(child.cmdline())]
    return [child.pid for child in found]


def test_a_killed_sweep_goes_on_where_it_was(write: Write, sweep: Sweep) -> None:
    whole, path = write(CHIPS, "whole"), write(CHIPS, "killed")
    finished(sweep(whole))
    process = sweep(path, "--workers", "2")
    trials = path.with_name("killed.trials")
    wait_for_trials(trials, 3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not path.with_suffix(".parquet").exists()
    kept = {part: part.stat().st_mtime_ns for part in trials.glob("*.parquet")}
    assert 3 <= len(kept) < 16
    again = sweep(path, "--workers", "2")
    out, err = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0 and f"{len(kept)} of 16 trials are there already" in err, out + err
    assert kept == {part: part.stat().st_mtime_ns for part in kept}
    assert path.with_suffix(".parquet").read_bytes() == whole.with_suffix(".parquet").read_bytes()


@pytest.mark.nightly
def test_a_damaged_trial_is_computed_again(write: Write, sweep: Sweep) -> None:
    path = write('noise = "pcm"\nseeds = 2')
    finished(sweep(path))
    before = path.with_suffix(".parquet").read_bytes()
    part = next(path.with_name("sweep.trials").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    finished(sweep(path))
    assert path.with_suffix(".parquet").read_bytes() == before


CLUSTER = """\
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.mark.nightly
def test_a_cluster_that_is_there_already(write: Write, sweep: Sweep, tmp_path: Path) -> None:
    import sys

    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as cluster:
        assert cluster.stdout and cluster.stdin
        address = cluster.stdout.readline().strip()
        own, theirs = write(SMALL, "own"), write(SMALL, "theirs")
        finished(sweep(own))
        finished(sweep(theirs, "--scheduler", address))
        finished(sweep(theirs, "--scheduler", address))
        cluster.stdin.close()
    assert own.with_suffix(".parquet").read_bytes() == theirs.with_suffix(".parquet").read_bytes()


def test_a_failing_trial_ends_the_sweep_with_its_error(write: Write, sweep: Sweep) -> None:
    process = sweep(write('noise = "pcm"\nsources = "programing"\nseeds = 2'))
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2 and "CIM0531" in err and "programming" in err and "Traceback" not in err


MEASURED = 'chip = "chip.npz"\ntime = ["1d", "30d"]\ncompensation = ["column", "refit"]'


def with_chip(path: Path) -> Path:
    """Lay chip 1 of pcm after a day beside a sweep, and its program."""
    program, calibration = str(path.with_suffix(".cimb")), ["--calib", str(SAMPLES / "digits_calib.npz")]
    assert main(["compile", str(SAMPLES / "digits.onnx"), *calibration, "--scale", "0.0625", "-o", program]) == 0
    chip = str(path.with_name("chip.npz"))
    assert main(["chip", program, "--noise", "pcm", "--seed", "1", "--time", "1d", "-o", chip]) == 0
    return path


@pytest.mark.nightly
def test_a_measured_chip_scores_as_the_drawn_one_that_it_is(write: Write, sweep: Sweep) -> None:
    path = with_chip(write(MEASURED + '\nnoise = "pcm"\nseeds = 1\nfirst_seed = 1', limit=20))
    finished(sweep(path, "--workers", "2", "--model-root", path.anchor))
    rows = table(path.with_suffix(".parquet"))
    drawn, measured = ([row for row in rows if (row["noise"] == "pcm") == is_drawn] for is_drawn in (True, False))
    assert {row["noise"] for row in measured} == {str(path.with_name("chip.npz"))}
    told = ("compensation", "time", "score")
    assert len(drawn) == 4
    assert [[row[key] for key in told] for row in measured] == [[row[key] for key in told] for row in drawn]


def test_a_chip_of_another_program_or_of_a_later_time_is_refused(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = with_chip(write('chip = "chip.npz"\ntime = "1h"'))
    command = ["sweep", str(path), "--workers", "1", "--model-root", path.anchor]
    assert main(command) == 4
    assert "CIM0534" in (told := capsys.readouterr().err) and "was read at 86400 s, its devices at 3600 s" in told
    write('chip = "chip.npz"\npasses = "calibrate{method=mse}"')
    assert main(command) == 3
    assert "CIM0215" in (told := capsys.readouterr().err) and "facts.program" in told
