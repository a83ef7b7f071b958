"""The sample that says what bytes for the digital unit change: a line for all that calibrates, and for each half."""

import runpy
import sys
from pathlib import Path

import numpy as np
from evaluate.graphs import GraphBuilder
from targets.stages import SAME, normal

from cimc.evaluate import to_onnx
from cimc.ir import nn
from cimc.ir.graph import Graph

SCRIPT = Path(__file__).parents[2] / "samples" / "bench" / "digital_bytes.py"


def separable() -> Graph:
    """Return conv -> depthwise conv -> dense, of images of 6 x 6 pixels."""
    b = GraphBuilder()
    relu = {"clamp": [0.0, nn.UNBOUNDED]}
    x = b.input((6, 6, 3))
    stem = b.op(nn.ConvOp, [x], (6, 6, 4), label="stem", weight=normal(3, 3, 3, 4), group=1, **SAME, **relu)
    depth = b.op(nn.ConvOp, [stem], (6, 6, 4), label="depth", weight=normal(3, 3, 1, 4, seed=1), group=4, **SAME)
    flat = b.op(nn.ReshapeOp, [depth], (144,), label="flat")
    b.output(b.op(nn.DenseOp, [flat], (5,), label="scores", weight=normal(144, 5, seed=2)))
    return b.graph()


def test_bytes_stand_beside_six_bits_for_each_half(tmp_path: Path, monkeypatch, capsys) -> None:
    """Bytes make the codes of its depthwise layer finer: outputs are nearer to the float model's."""
    model, images = tmp_path / "model.onnx", np.random.default_rng(0).integers(0, 256, (24, 6, 6, 3), np.uint8)
    model.write_bytes(to_onnx(separable()).SerializeToString())
    for name, part in (("calib", images[:8]), ("others", images[8:, :4, :4])):
        np.savez(tmp_path / f"{name}.npz", x=part)
    files = [str(tmp_path / name) for name in ("calib.npz", "others.npz")]
    monkeypatch.syspath_prepend(SCRIPT.parent)
    monkeypatch.setattr(sys, "argv", ["digital_bytes.py", str(model), *files, "--scale", "0.01", "--halves", "1"])
    runpy.run_path(str(SCRIPT))["main"]()
    heads, _, *lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["all", "half 1"]
    agreed = np.array([cell.split(", ") for line in lines for cell in line[1::2]], float)
    decibels = np.array([cell.split(", ") for line in lines for cell in line[2::2]], float)
    assert agreed.shape == decibels.shape == (2 * (len(heads) // 2), 2)
    assert 100 / 5 < agreed.min() <= agreed.max() <= 100
    bits, finer = decibels.mean(axis=0)
    assert finer > bits
