"""Files of bands that others wrote: what is not there, or is something else, is refused by a code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimc.command_line.main import main
from cimc.command_line.silicon import FORMAT, _bands
from cimc.diagnostics import DiagnosticError
from cimc.isa.errors import BUDGET

FACTS = {
    "format": FORMAT,
    "confidence": 0.99,
    "noise": {"profile": "pcm"},
    "origin": {"program": "p", "inputs": "i"},
}
SOUND: dict[str, Any] = {
    "facts": np.array(json.dumps(FACTS)),
    "names": np.array(["layer"]),
    "low": np.zeros((1, 3)),
    "high": np.ones((1, 3)),
    "exact 0": np.zeros((2, 3, 4), np.int16),
}


def facts(**changes: Any) -> dict[str, Any]:
    return {"facts": np.array(json.dumps(FACTS | changes))}


DAMAGES: dict[str, dict[str, Any]] = {
    "fewer limits than layers": {"low": np.zeros((0, 3))},
    "limits of two statistics": {"low": np.zeros((1, 2)), "high": np.ones((1, 2))},
    "limits that are none": {"high": np.full((1, 3), np.nan)},
    "codes in words": {"exact 0": np.full((2, 3, 4), "word")},
    "codes on one axis": {"exact 0": np.zeros(24, np.int16)},
    "no chips": facts(noise=5),
    "confidence in words": facts(confidence="high"),
    "origin without inputs": facts(origin={"program": "p"}),
    "a program that is a number": facts(origin={"program": 3, "inputs": "i"}),
    "facts that are a list": {"facts": np.array("[]")},
}


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", **SOUND)
    found, (band,) = _bands(str(tmp_path / "b.npz"))
    assert (found, band.name) == (FACTS, "layer")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", **(SOUND | DAMAGES[damage]))
    with pytest.raises(DiagnosticError, match="is no file of bands"):
        _bands(str(tmp_path / "b.npz"))


def test_memory_that_is_not_there_is_told_with_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hungry(*_: object) -> Callable[..., int]:
        return np.empty(1 << 60, np.uint8)  # type: ignore[return-value]

    monkeypatch.setattr("cimc.command_line.kinds.require_kinds", hungry)
    assert main(["target", "list"]) == BUDGET
    assert "out of memory: Unable to allocate 1.00 EiB" in capsys.readouterr().err
