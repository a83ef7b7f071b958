"""Models whose large weights stay in the file are what protobuf reads, however they are written and damaged."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from frontend.onnx_models import model, node, weights, written
from google.protobuf.message import DecodeError
from onnx import TensorProto

from cimc.diagnostics import DiagnosticError
from cimc.frontend import load, model_digest, wire

LARGE = weights(600, 500)
SMALL_APART = 64
"""Bytes from which data stays in the file in most tests: their models then have few bytes."""


def several() -> onnx.ModelProto:
    """Return a model with small and large initialisers, one of them in a typed field."""
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "a"), node("MatMul", "a v", "c"), node("Add", "c t", "y")]
    constants = {"w": weights(6, 7), "b": weights(7), "v": weights(7, 9)}
    found = model(nodes, {"x": ("N", 6)}, constants)
    found.graph.initializer.append(TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[9], float_data=range(9)))
    found.graph.doc_string = "behind the initialisers"
    return found


def parsed(path: Path) -> tuple[onnx.ModelProto, int]:
    """Return the model of a file with its raw data put back, and how many initialisers had theirs apart."""
    with path.open("rb") as file:
        content = wire.content_of(file)
    assert content.size == path.stat().st_size
    assert content.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    found = onnx.load_model_from_string(content.light)
    for place, raw in content.raw.items():
        assert not found.graph.initializer[place].HasField("raw_data")
        found.graph.initializer[place].raw_data = raw.tobytes()
    return found, len(content.raw)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "APART_BYTES", SMALL_APART)


@pytest.mark.usefixtures("small")
def test_data_apart_put_back_is_the_model(tmp_path: Path) -> None:
    assert parsed(written(several(), tmp_path)) == (several(), 2)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("flip", [0x01, 0x80])
def test_damaged_files_are_read_as_protobuf_reads_them(flip: int, tmp_path: Path) -> None:
    good, path = several().SerializeToString(), tmp_path / "model.onnx"
    for position in range(0, len(good), 3):
        path.write_bytes(good[:position] + bytes([good[position] ^ flip]) + good[position + 1 :])
        assert _read(path) == _plainly(path), position


@pytest.mark.usefixtures("small")
def test_files_cut_short_are_read_as_protobuf_reads_them(tmp_path: Path) -> None:
    good, path = several().SerializeToString(), tmp_path / "model.onnx"
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        assert _read(path) == _plainly(path), length


@pytest.mark.usefixtures("small")
def test_data_given_twice_is_left_to_protobuf(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    tensor = several().graph.initializer[0]
    twice = TensorProto(raw_data=weights(6, 7, seed=1).tobytes()).SerializeToString()
    graph = _field(5, tensor.SerializeToString() + twice)
    path.write_bytes(_field(7, graph))
    found, apart = parsed(path)
    assert apart == 0 and found.graph.initializer[0].raw_data == weights(6, 7, seed=1).tobytes()


def _field(number: int, content: bytes) -> bytes:
    """Return a field of some bytes, at most 16,383."""
    return bytes([number << 3 | 2, len(content) & 0x7F | 0x80, len(content) >> 7]) + content


def _read(path: Path) -> onnx.ModelProto | None:
    try:
        return parsed(path)[0]
    except (DecodeError, UnicodeDecodeError):
        return None


def _plainly(path: Path) -> onnx.ModelProto | None:
    try:
        return onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, UnicodeDecodeError):
        return None


@pytest.mark.usefixtures("small")
def test_more_fields_than_are_walked_over_are_left_to_protobuf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_FIELDS", 10)
    assert parsed(written(several(), tmp_path)) == (several(), 0)


@pytest.mark.parametrize("padding", range(4))
def test_large_weights_are_read_wherever_they_lie(padding: int, tmp_path: Path) -> None:
    proto = model([node("MatMul", "x w", "y")], {"x": ("N", 600)}, {"w": LARGE})
    proto.producer_name = "p" * (padding + 1)
    path = written(proto, tmp_path)
    assert parsed(path)[1] == 1 and model_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    graph = load(path)
    found = graph.weights.array("w")
    assert np.array_equal(found, LARGE) and found.flags.aligned and graph.digest == model_digest(path)


def test_large_bfloat16_is_put_back(tmp_path: Path) -> None:
    upper = (np.full((600, 900), 0.5, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    tensor = TensorProto(name="w", data_type=TensorProto.BFLOAT16, dims=[600, 900], raw_data=upper.tobytes())
    proto = model([node("Cast", "w", "f", to=TensorProto.FLOAT), node("MatMul", "x f", "y")], {"x": ("N", 600)})
    proto.graph.initializer.append(tensor)
    path = written(proto, tmp_path)
    assert parsed(path)[1] == 1
    assert np.all(load(path).weights.array("f") == 0.5)


def test_large_weights_of_too_few_bytes_are_refused(tmp_path: Path) -> None:
    proto = model([node("MatMul", "x w", "y")], {"x": ("N", 600)}, {"w": LARGE})
    proto.graph.initializer[0].raw_data = LARGE.tobytes()[:-4]
    with pytest.raises(DiagnosticError, match="needs 1200000 bytes and holds 1199996"):
        load(written(proto, tmp_path))
