"""Every file that a case may name: models, arrays, programs, ranges, targets and IR, good ones and bad ones."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from frontend.onnx_models import model, node, weights

from cimc.command_line import main
from cimc.driving.arrays import to_npz
from cimc.targets import load_target

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
CALIBRATION = ["--calib", str(SAMPLES / "digits_calib.npz"), "--scale", "0.0625"]

Builder = Callable[[], bytes]

ROW = {"x": ("N", 6)}
IMAGES = np.arange(2 * 64, dtype=np.float32).reshape(2, 1, 8, 8) % 17


def _serialised(proto: onnx.ModelProto) -> bytes:
    return bytes(proto.SerializeToString(deterministic=True))


def _good() -> onnx.ModelProto:
    return model([node("Gemm", "x w", "y")], ROW, {"w": weights(6, 3)})


def _cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


def _with_weight(value: float) -> bytes:
    array = weights(6, 3)
    array[2, 1] = value
    return _serialised(model([node("Gemm", "x w", "y")], ROW, {"w": array}))


def _oversized() -> bytes:
    proto = _good()
    proto.graph.initializer[0].dims[:] = [1 << 40, 3]
    proto.graph.initializer[0].ClearField("raw_data")
    return _serialised(proto)


def _future() -> bytes:
    proto = _good()
    proto.opset_import[0].version = 999
    return _serialised(proto)


def _unsupported() -> bytes:
    nodes = [node("Bernoulli", "x", "a"), node("Relu", "a", "b"), node("Hardmax", "b", "y")]
    return _serialised(model(nodes, ROW))


def _large(rows: int) -> bytes:
    nodes = [node("Gemm", "x w", "h"), node("Relu", "h", "r"), node("Gemm", "r v", "y")]
    constants = {"w": weights(rows, 500), "v": weights(500, 500, seed=1)}
    return _serialised(model(nodes, {"x": ("N", rows)}, constants))


def _autoencoder() -> bytes:
    nodes = [node("Gemm", "x w", "h"), node("Relu", "h", "r"), node("Gemm", "r v", "allow_pickle")]
    constants = {"w": weights(6, 4), "v": weights(4, 6, seed=1)}
    return _serialised(model(nodes, ROW, constants, outputs=("allow_pickle",)))


MODELS: Mapping[str, Builder] = {
    "good.onnx": lambda: _serialised(_good()),
    "autoencoder.onnx": _autoencoder,
    "empty.onnx": lambda: b"",
    "text.onnx": lambda: b"this is not a model\n" * 10,
    "truncated.onnx": lambda: _cut(_serialised(_good()), 0.6),
    "cyclic.onnx": lambda: _serialised(model([node("Add", "x z", "y"), node("Relu", "y", "z")], ROW)),
    "undefined.onnx": lambda: _serialised(model([node("Add", "x ghost", "y")], ROW)),
    "nan.onnx": lambda: _with_weight(np.nan),
    "infinite.onnx": lambda: _with_weight(np.inf),
    "zero.onnx": lambda: _serialised(model([node("Relu", "x", "y")], {"x": ("N", 0, 4)})),
    "oversized.onnx": _oversized,
    "future.onnx": _future,
    "unsupported.onnx": _unsupported,
    "open.onnx": lambda: _serialised(model([node("Relu", "x", "y")], {"x": ("N", "height", 4)})),
    "large.onnx": lambda: _large(2000),
    "three_parts.onnx": lambda: _large(1000),
}


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.array([{"not": "numbers"}], dtype=object))
    return buffer.getvalue()


def _damaged_npz() -> bytes:
    """A compressed archive with one byte of its data changed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=IMAGES)
    content = bytearray(buffer.getvalue())
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


def _huge_npy() -> bytes:
    """A header that promises 2^60 numbers, and nothing behind it."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (1 << 60,)})
    return buffer.getvalue()


def _holding(value: float) -> bytes:
    images = IMAGES.astype(np.float64)
    images[1, 0, 3, 4] = value
    return to_npz({"x": images})


ARRAYS: Mapping[str, Builder] = {
    "images.npz": lambda: to_npz({"x": IMAGES}),
    "by_name.npz": lambda: to_npz({"image": IMAGES}),
    "flat.npz": lambda: to_npz({"x": IMAGES.reshape(2, 64)}),
    "labelled.npz": lambda: to_npz({"x": IMAGES, "y": np.array([3, 1])}),
    "long_rows.npz": lambda: to_npz({"x": np.linspace(-1, 1, 3000).reshape(3, 1000)}),
    "rows.npz": lambda: to_npz({"x": np.linspace(-1, 1, 30).reshape(5, 6)}),
    "other_name.npz": lambda: to_npz({"photos": IMAGES}),
    "none.npz": lambda: to_npz({}),
    "wrong_shape.npz": lambda: to_npz({"x": IMAGES[:, :, :7]}),
    "no_samples.npz": lambda: to_npz({"x": IMAGES[:0]}),
    "scalar.npz": lambda: to_npz({"x": np.array(3.0)}),
    "words.npz": lambda: to_npz({"x": np.array(["one", "two"])}),
    "complex.npz": lambda: to_npz({"x": IMAGES.astype(np.complex64)}),
    "nan.npz": lambda: _holding(np.nan),
    "infinite.npz": lambda: _holding(-np.inf),
    "beyond_float32.npz": lambda: _holding(1e300),
    "pickled.npz": _pickled,
    "truncated.npz": lambda: _cut(to_npz({"x": IMAGES}), 0.5),
    "damaged.npz": _damaged_npz,
    "huge.npy": _huge_npy,
    "empty.npz": lambda: b"",
    "text.npz": lambda: b"x = 1, 2, 3\n",
    "named_classes.npz": lambda: to_npz({"x": IMAGES, "class_names": np.array([f"digit {n}" for n in range(10)])}),
    "too_few_labels.npz": lambda: to_npz({"x": IMAGES, "y": np.array([3])}),
    "real_labels.npz": lambda: to_npz({"x": IMAGES, "y": np.array([3.0, 1.0])}),
}


@cache
def _compiled() -> Mapping[str, bytes]:
    """The sample model, compiled: every stage as IR, the program as text and binary, its ranges."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        command = ["compile", str(SAMPLES / "digits.onnx"), *CALIBRATION, "-o"]
        assert main([*command, str(folder / "digits.asm"), "--write-ranges", str(folder / "digits.json")]) == 0
        assert main([*command, str(folder / "digits.cimb")]) == 0
        for stage in ("graph", "quantised", "tile"):
            assert main([*command, str(folder / f"{stage}.mlir"), "--compile-to", stage]) == 0
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def _changed(name: str, position: int) -> bytes:
    content = bytearray(_compiled()[name])
    content[position] ^= 1
    return bytes(content)


def _text(change: Callable[[str], str]) -> bytes:
    return change(_compiled()["digits.asm"].decode()).encode()


def _versions(content: bytes) -> bytes:
    """A binary program of format version 7."""
    return content[:8] + (7).to_bytes(4, "little") + content[12:]


_CODES = '"high":127,"low":-128,"scale":1.0,"type":"i8","zero":0'
SELFTEST = f""".cimc 1
.output {{"base":0,"model_shape":[2],"name":"y","order":[0],"shape":[2],{_CODES}}}
.activation 16
    tensor s0, space=act, type=i8, base=0, shape=[1, 1, 1, 1], pitch=[1, 1, 1, 1]
    tensor s1, space=act, type=i8, base=1, shape=[1, 1, 1, 1], pitch=[1, 1, 1, 1]
    gain tile=0, scope=all, multiplier=32768, divide=15
    selftest tile=0, col=0, value=35, out=s0
    fill out=s1, value=7
    halt
"""
"""Bare text, without inputs and target."""

PROGRAMS: Mapping[str, Builder] = {
    "selftest.asm": SELFTEST.encode,
    "digits.payload": lambda: _compiled()["digits.payload"],
    "digits.asm": lambda: _compiled()["digits.asm"],
    "digits.cimb": lambda: _compiled()["digits.cimb"],
    "truncated.cimb": lambda: _cut(_compiled()["digits.cimb"], 0.9),
    "long.cimb": lambda: _compiled()["digits.cimb"] + b"\0",
    "damaged.cimb": lambda: _changed("digits.cimb", -1),
    "future.cimb": lambda: _versions(_compiled()["digits.cimb"]),
    "future.asm": lambda: _text(lambda text: text.replace(".cimc 1", ".cimc 2", 1)),
    "damaged.asm": lambda: _text(lambda text: text.replace("tile=0", "tile=65536", 1)),
    "typo.asm": lambda: _text(lambda text: text.replace("    program ", "    progrm ", 1)),
    "lost.asm": lambda: _text(lambda text: text.replace('"digits.payload"', '"elsewhere.payload"')),
    "empty.asm": lambda: b"",
    "bytes.asm": lambda: bytes(range(128, 256)),
}


def _ranges(change: Callable[[dict[str, dict[str, object]]], object]) -> bytes:
    facts = json.loads(_compiled()["digits.json"])
    change(facts)
    return json.dumps(facts).encode()


RANGES: Mapping[str, Builder] = {
    "digits.json": lambda: _compiled()["digits.json"],
    "text.json": lambda: b"no json",
    "list.json": lambda: b"[1, 2]",
    "deep.json": lambda: b"[" * 100_000,
    "no_activations.json": lambda: _ranges(lambda facts: facts.pop("activations")),
    "other_model.json": lambda: _ranges(lambda facts: facts.update(activations={})),
    "few_columns.json": lambda: _ranges(lambda facts: facts["columns"].update(logits=[1])),
    "upside_down.json": lambda: _ranges(lambda facts: facts["activations"].update(relu=[2.0, 1.0])),
}


def _target(name: str, change: Callable[[str], str]) -> Builder:
    return lambda: change(load_target(name).render()).encode()


TARGETS: Mapping[str, Builder] = {
    "same.toml": _target("aon-cim", str),
    "no_rows.toml": _target("aon-cim", lambda text: text.replace("rows =", "lines =")),
    "wrong_unit.toml": _target("aon-cim", lambda text: text.replace('unit = "rows"', 'unit = "furlongs"')),
    "nine_bits.toml": _target("aon-cim", lambda text: text.replace("bits = { value = 8", "bits = { value = 99")),
    "text.toml": lambda: b"no toml at all",
    "small_memory.toml": _target("aon-cim", lambda text: text.replace("524288", "300", 1)),
    "small_constants.toml": _target("aon-cim", lambda text: text[::-1].replace("524288"[::-1], "003", 1)[::-1]),
}


def _broken_ir(old: str, new: str) -> Builder:
    return lambda: _compiled()["graph.mlir"].decode().replace(old, new, 1).encode()


SMALL_IR = """\
%x = "nn.input"() <{model_shape = array<i64: 2>, order = array<i64: 0>}> : () -> tensor<2xf32>
%y = "nn.dense"(%x) <{weight = #cim.inline<"w", "<f4", "2x1", "0.5 -1.0">}> : (tensor<2xf32>) -> tensor<1xf32>
"nn.output"(%y) <{model_shape = array<i64: 1>, order = array<i64: 0>}> : (tensor<1xf32>) -> ()
"""


def _small_ir(old: str = "", new: str = "") -> Builder:
    return lambda: SMALL_IR.replace(old, new, 1).encode()


IR: Mapping[str, Builder] = {
    "small.mlir": _small_ir(),
    "unlabelled.mlir": _small_ir("%x = ", "%0 = "),
    "short_weight.mlir": _small_ir("0.5 -1.0", "0.5"),
    "wordy_weight.mlir": _small_ir("0.5 -1.0", "0.5 one"),
    "unweighted.mlir": _small_ir("{weight = ", "{bias = "),
    **{f"{stage}.mlir": (lambda stage=stage: _compiled()[f"{stage}.mlir"]) for stage in ("graph", "quantised", "tile")},
    "unplaced.mlir": lambda: re.sub(rb", blocks = array<[^>]*>", b"", _compiled()["tile.mlir"]),
    "overlapping.mlir": lambda: re.sub(rb"address = \d+", b"address = 0", _compiled()["tile.mlir"]),
    "broken.mlir": _broken_ir('"nn.conv"', '"nn.cnov"'),
    "half.mlir": lambda: _cut(_compiled()["graph.mlir"], 0.5),
    "bytes.mlir": lambda: bytes(range(128, 256)),
    "no_weights.mlir": lambda: _compiled()["graph.mlir"],
    "other_weights.mlir": lambda: _compiled()["graph.mlir"],
}

BESIDE: Mapping[str, Mapping[str, Builder]] = {
    **{name: {"digits.payload": PROGRAMS["digits.payload"]} for name in PROGRAMS if name.endswith(".asm")},
    **{
        f"{stage}.mlir": {f"{stage}.safetensors": (lambda stage=stage: _compiled()[f"{stage}.safetensors"])}
        for stage in ("graph", "quantised", "tile")
    },
    **{
        f"{name}.mlir": {f"{name}.safetensors": lambda: _compiled()["tile.safetensors"]}
        for name in ("unplaced", "overlapping")
    },
    "other_weights.mlir": {"other_weights.safetensors": lambda: b"these are no weights"},
}
"""Files that lie beside another without being named."""

COMMANDS: Mapping[str, Builder] = {
    "steps.txt": lambda: b"step 4  # the arrays\nlayer node_linear\nprint relu\nchange logits\nprint logits\nrun\n",
    "wrong_steps.txt": lambda: b"step\nstop\n",
}

SAMPLE_FILES = ("digits.onnx", "digits_calib.npz", "digits_test.npz")

FILES: Mapping[str, Builder] = {
    **MODELS,
    **ARRAYS,
    **PROGRAMS,
    **RANGES,
    **TARGETS,
    **IR,
    **COMMANDS,
    **{name: (SAMPLES / name).read_bytes for name in SAMPLE_FILES},
}


def lay(name: str, folder: Path) -> None:
    """Put a file of FILES, and what lies beside it, into a folder."""
    for each, build in {name: FILES[name], **BESIDE.get(name, {})}.items():
        (folder / each).write_bytes(build())


def names_inside(content: bytes) -> list[str]:
    """Return the names of the arrays in .npz bytes."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.namelist()
