"""Write transformers of well-known shapes with seeded weights: no download, nothing trained.

    python samples/transformers.py bert build/bert.onnx
    python samples/transformers.py gpt build/gpt.onnx --layers 2 --width 128 --vocabulary 1000

The attention, masks and embeddings are written with the operators that exporters use. Beside the model FILE.onnx lies
FILE.npz with seeded inputs.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 21, 10
SAMPLES = 4


@dataclass(frozen=True)
class Shape:
    """The sizes of a transformer; an image has `side` x `side` pixels in patches of `patch` x `patch`."""

    layers: int
    width: int
    heads: int
    length: int
    vocabulary: int = 0
    side: int = 0
    patch: int = 0
    channels: int = 3
    classes: int = 2


SHAPES = {
    "bert": Shape(layers=2, width=128, heads=2, length=64, vocabulary=30522),
    "vit": Shape(layers=12, width=192, heads=3, length=197, side=224, patch=16, classes=1000),
    "gpt": Shape(layers=12, width=768, heads=12, length=32, vocabulary=50257),
}
"""BERT-tiny, ViT-tiny and GPT-2 small; the sequences are short."""


@dataclass
class Writer:
    """An ONNX graph in the making; weights are drawn in order from one generator, and `learnt` names them in order."""

    shape: Shape
    generator: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[onnx.TensorProto] = field(default_factory=list)
    learnt: list[str] = field(default_factory=list)

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Append a node and return the name of its result."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, values: object) -> str:
        array = np.asarray(values)
        name = f"constant_{len(self.tensors)}"
        kind = np.float32 if array.dtype == np.float64 else array.dtype
        self.tensors.append(numpy_helper.from_array(array.astype(kind), name))
        return name

    def weight(self, *shape: int, deviation: float = 0.02) -> str:
        return self.learning(self.generator.standard_normal(shape, np.float32) * np.float32(deviation))

    def learning(self, values: object) -> str:
        """Add a tensor that training changes and return its name."""
        self.learnt.append(self.constant(values))
        return self.learnt[-1]

    def dense(self, x: str, rows: int, columns: int) -> str:
        product = self.node("MatMul", x, self.weight(rows, columns, deviation=rows**-0.5))
        return self.node("Add", product, self.weight(columns))

    def norm(self, x: str) -> str:
        scale, bias = (self.learning(np.full(self.shape.width, value)) for value in (1.0, 0.0))
        return self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-5)

    def attention(self, x: str, mask: str) -> str:
        """Self-attention with an additive mask, or none where its name is empty."""
        width, heads = self.shape.width, self.shape.heads
        size, apart = width // heads, self.constant(np.array([0, -1, heads, width // heads]))
        turned = []
        for order in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)):
            split = self.node("Reshape", self.dense(x, width, width), apart)
            turned.append(self.node("Transpose", split, perm=order))
        scores = self.node("MatMul", turned[0], turned[1])
        scores = self.node("Div", scores, self.constant(float(size) ** 0.5))
        scores = self.node("Add", scores, mask) if mask else scores
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), turned[2])
        joined = self.node("Transpose", mixed, perm=(0, 2, 1, 3))
        flat = self.node("Reshape", joined, self.constant(np.array([0, -1, width])))
        return self.dense(flat, width, width)

    def feed_forward(self, x: str, approximate: str) -> str:
        width = self.shape.width
        bent = self.node("Gelu", self.dense(x, width, 4 * width), approximate=approximate)
        return self.dense(bent, 4 * width, width)

    def model(self, inputs: list[onnx.ValueInfoProto], outputs: list[str]) -> onnx.ModelProto:
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "transformer", inputs, results, self.tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def bert(w: Writer) -> onnx.ModelProto:
    """Token ids and a padding mask in; norms behind each block; the first token is classified."""
    ids, keep = (whole_numbers(name, w.shape.length) for name in ("input_ids", "attention_mask"))
    tokens = w.node("Gather", w.weight(w.shape.vocabulary, w.shape.width), "input_ids", axis=0)
    x = w.norm(w.node("Add", tokens, w.weight(1, w.shape.length, w.shape.width)))
    shown = w.node("Unsqueeze", "attention_mask", w.constant(np.array([1, 2])))
    hidden = w.node("Sub", w.constant(1.0), w.node("Cast", shown, to=TensorProto.FLOAT))
    mask = w.node("Mul", hidden, w.constant(float(np.finfo(np.float32).min)))
    for _ in range(w.shape.layers):
        x = w.norm(w.node("Add", x, w.attention(x, mask)))
        x = w.norm(w.node("Add", x, w.feed_forward(x, "none")))
    first = w.node("Gather", x, w.constant(np.array(0)), axis=1)
    pooled = w.node("Tanh", w.dense(first, w.shape.width, w.shape.width))
    return w.model([ids, keep], [w.dense(pooled, w.shape.width, w.shape.classes)])


def vit(w: Writer) -> onnx.ModelProto:
    """An image in patches, a class token in front; norms before each block."""
    side, patch, width, channels = w.shape.side, w.shape.patch, w.shape.width, w.shape.channels
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", channels, side, side])
    kernel = w.weight(width, channels, patch, patch, deviation=(channels * patch * patch) ** -0.5)
    patches = w.node("Conv", "image", kernel, w.weight(width), strides=[patch, patch])
    flat = w.node("Reshape", patches, w.constant(np.array([0, width, -1])))
    rows = w.node("Transpose", flat, perm=(0, 2, 1))
    count = w.node("Shape", rows, start=0, end=1)
    token = w.node("Expand", w.weight(1, 1, width), w.node("Concat", count, w.constant(np.array([1, width])), axis=0))
    x = w.node("Add", w.node("Concat", token, rows, axis=1), w.weight(1, w.shape.length, width))
    for _ in range(w.shape.layers):
        x = w.node("Add", x, w.attention(w.norm(x), ""))
        x = w.node("Add", x, w.feed_forward(w.norm(x), "none"))
    first = w.node("Gather", w.norm(x), w.constant(np.array(0)), axis=1)
    return w.model([image], [w.dense(first, width, w.shape.classes)])


def gpt(w: Writer) -> onnx.ModelProto:
    """Token ids in; a causal mask; the scores of the next token at every place out, by the embedding's own rows."""
    ids = whole_numbers("input_ids", w.shape.length)
    table = w.generator.standard_normal((w.shape.vocabulary, w.shape.width), np.float32) * np.float32(0.02)
    tokens = w.node("Gather", w.constant(table), "input_ids", axis=0)
    x = w.node("Add", tokens, w.weight(1, w.shape.length, w.shape.width))
    before = np.tril(np.ones((1, 1, w.shape.length, w.shape.length))) > 0
    mask = w.constant(np.where(before, 0.0, float(np.finfo(np.float32).min)))
    for _ in range(w.shape.layers):
        x = w.node("Add", x, w.attention(w.norm(x), mask))
        x = w.node("Add", x, w.feed_forward(w.norm(x), "tanh"))
    return w.model([ids], [w.node("MatMul", w.norm(x), w.constant(table.T))])


MODELS = {"bert": bert, "vit": vit, "gpt": gpt}


def whole_numbers(name: str, length: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, ["N", length])


def inputs(name: str, shape: Shape, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Return seeded inputs of a model; the masks of `bert` leave out the ends of sequences."""
    if name == "vit":
        return {"image": generator.standard_normal((SAMPLES, shape.channels, shape.side, shape.side), np.float32)}
    ids = generator.integers(0, shape.vocabulary, (SAMPLES, shape.length))
    lengths = generator.integers(shape.length // 2, shape.length + 1, (SAMPLES, 1))
    keep = (np.arange(shape.length) < lengths).astype(np.int64)
    return {"input_ids": ids, "attention_mask": keep} if name == "bert" else {"input_ids": ids}


def shape_of(options: argparse.Namespace) -> Shape:
    """Return the model's shape with the sizes changed that were given."""
    given = {name: value for name, value in vars(options).items() if name in Shape.__dataclass_fields__ and value}
    shape = Shape(**{**vars(SHAPES[options.name]), **given})
    return Shape(**{**vars(shape), "length": (shape.side // shape.patch) ** 2 + 1}) if shape.patch else shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    for size in Shape.__dataclass_fields__:
        parser.add_argument(f"--{size}", type=int)
    options = parser.parse_args()
    shape, generator = shape_of(options), np.random.default_rng(options.seed)
    options.output.write_bytes(MODELS[options.name](Writer(shape, generator)).SerializeToString())
    np.savez_compressed(options.output.with_suffix(".npz"), **inputs(options.name, shape, generator))


if __name__ == "__main__":
    main()
