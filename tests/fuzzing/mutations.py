"""Small damage to files: bytes turned over, words and numbers put in the place of others, lines twice or gone."""

import io
import re
from random import Random
from typing import Any

import numpy as np
import onnx

TOKEN = re.compile(r'-?\d+\.\d+(?:e-?\d+)?|-?\d+|[A-Za-z_][\w.]*|"[^"\n]*"|\s+|.', re.DOTALL)
NUMBER = re.compile(r"-?\d+(\.\d+)?")
EDGES = [0, 1, -1, 2, 7, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, -(2**63)]
WORDS = [
    "nan",
    "inf",
    "1e400",
    "1e-400",
    "9" * 5000,
    "true",
    "null",
    '""',
    '"\x1b[2J"',
    "[]",
    "{}",
    "\0",
    "[" * 3000,
    "-",
    "1.5",
]


def bytes_changed(content: bytes, random: Random) -> bytes:
    """Return a file with a few bytes turned over, set, left out, put in or taken from elsewhere in it."""
    found = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 4, 16])):
        at, other = random.randrange(len(found) + 1), random.randrange(len(found) + 1)
        match random.randrange(5):
            case 0:
                found[at : at + 1] = bytes(byte ^ 1 << random.randrange(8) for byte in found[at : at + 1])
            case 1:
                found[at : at + 1] = random.choice([b"\0", b"\xff", b"\x7f", b"\x80"])
            case 2:
                del found[at : at + random.choice([1, 2, 8, 64])]
            case 3:
                found[at:at] = random.randbytes(random.choice([1, 2, 8]))
            case _:
                found[at : at + 8] = found[other : other + 8]
    return bytes(found)


def text_changed(content: bytes, random: Random) -> bytes:
    """Return a text with a few of its words changed; what is not text in it stays as it is."""
    tokens = TOKEN.findall(content.decode("utf-8", "surrogateescape"))
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        _change(tokens, random)
    return "".join(tokens).encode("utf-8", "surrogateescape")


def arrays_changed(content: bytes, random: Random) -> bytes:
    """Return an npz of which one array is gone, doubled, of another type or shape, or has another element."""
    with np.load(io.BytesIO(content)) as file:
        arrays: dict[str, Any] = dict(file)
    name, other = (random.choice(sorted(arrays)) for _ in range(2))
    array = arrays[name]
    if array.dtype.kind == "U" and random.random() < 0.8:
        arrays[name] = np.array(text_changed(str(array).encode(), random).decode("utf-8", "replace"))
    else:
        arrays[name] = _array_changed(array, random)
    match random.randrange(8):
        case 0:
            del arrays[name]
        case 1:
            arrays[other] = array
        case 2:
            arrays[name + random.choice(["0", ".", "\x1b"])] = array
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def model_changed(model: onnx.ModelProto, random: Random) -> onnx.ModelProto:
    """Return a model of which some attributes, shapes, constants or inputs of nodes are others."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for _ in range(random.choice([1, 1, 2, 3])):
        _part_changed(changed, random)
    return changed


def _part_changed(model: onnx.ModelProto, random: Random) -> None:
    node, small = random.choice(model.graph.node), random.choice([*range(9), *EDGES])
    match random.randrange(7):
        case 0 | 1 if node.attribute:
            _attribute_changed(random.choice(node.attribute), small, random)
        case 2 if node.input:
            node.input[random.randrange(len(node.input))] = random.choice(
                [*(x for y in model.graph.node for x in y.input), ""]
            )
        case 3:
            dims = random.choice(model.graph.input).type.tensor_type.shape.dim
            if dims:
                random.choice(dims).dim_value = small
        case 4 | 5 if model.graph.initializer:
            tensor = random.choice(model.graph.initializer)
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(_array_changed(onnx.numpy_helper.to_array(tensor), random), tensor.name)
            )
        case _:
            other = random.choice([*node.attribute, None])
            if other:
                node.attribute.remove(other)
            else:
                model.opset_import[0].version = random.randrange(1, 27)


def _attribute_changed(attribute: onnx.AttributeProto, value: int, random: Random) -> None:
    if attribute.type == attribute.INTS and attribute.ints:
        if random.random() < 0.3:
            attribute.ints.append(value)
        else:
            attribute.ints[random.randrange(len(attribute.ints))] = value
    elif attribute.type == attribute.FLOAT:
        attribute.f = random.choice([0.0, -1.0, 1e-40, 1e30, float("inf"), float("nan")])
    elif attribute.type == attribute.STRING:
        attribute.s = random.choice([b"", b"VALID", b"SAME_UPPER", b"linear", b"\x1b[2J", attribute.s * 2])
    elif attribute.type == attribute.INT:
        attribute.i = value


def _array_changed(array: Any, random: Random) -> Any:
    match random.randrange(6):
        case 0:
            return array.ravel()[: random.randrange(array.size + 1)]
        case 1:
            return array[np.newaxis]
        case 2 if array.dtype.kind != "U":
            return array.astype(random.choice(["U4", "f2", "i1", "c8", "?"]))
        case 3 if array.dtype.kind != "U":
            changed = array.astype(np.float64)
            changed.ravel()[: min(array.size, 1)] = random.choice([np.nan, np.inf, -1.0, 1e300])
            return changed
        case _ if array.dtype.kind in "iuf" and array.size:
            changed = array.copy().ravel()
            edge = random.choice(EDGES)
            limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else np.finfo(array.dtype)
            changed[random.randrange(array.size)] = min(max(edge, limits.min), limits.max)
            return changed.reshape(array.shape)
    return array


def _change(tokens: list[str], random: Random) -> None:
    """Change one word: a number often, since that is what most rules are about."""
    at, other = random.randrange(len(tokens)), random.randrange(len(tokens))
    numbers = [index for index in random.choices(range(len(tokens)), k=12) if NUMBER.fullmatch(tokens[index])]
    match random.randrange(8):
        case 0 | 1 | 2 if numbers:
            tokens[numbers[0]] = str(random.choice(EDGES))
        case 3:
            tokens[at] = random.choice(WORDS)
        case 4:
            tokens[at : at + random.choice([1, 5, 40])] = [" "]
        case 5:
            tokens.insert(at, tokens[other])
        case _:
            tokens[at], tokens[other] = tokens[other], tokens[at]
