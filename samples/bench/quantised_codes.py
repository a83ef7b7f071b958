"""How many codes of each layer differ from onnxruntime's, in a quantised model on the target `ideal`.

Each layer is run twice: alone, on onnxruntime's own codes of the layers before it, and within the network, where the
differences of all layers before it have spread. onnxruntime runs without fusing quantised operators, which is what
ONNX defines.

    python samples/bench/quantised_codes.py MODEL.onnx DATA.npz [--offset O] [--scale S] [--limit N]
"""

import argparse
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Region, SSAValue

from cimc.driving.arrays import feed, load_arrays
from cimc.driving.driver import Request, compile_model, graph_intakes
from cimc.driving.feeding import EVERY
from cimc.evaluate import Evaluator
from cimc.ir.attributes import ints
from cimc.ir.graph import Graph
from cimc.ir.nn import Computed, InputOp
from cimc.ir.types import code_of, shape_of
from cimc.targets import load_target

Codes = NDArray[np.int64]


def onnxruntime_codes(path: Path, inputs: dict[str, NDArray[Any]]) -> dict[str, Codes]:
    """Return the integers of every QuantizeLinear, and of the inputs, per sample in rows of channels-last order."""
    import onnxruntime

    model = onnx.load(path)
    names = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in outputs)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    whole = {name: array.astype(np.int8) for name, array in inputs.items()}
    found = {**whole, **dict(zip(names, session.run(names, whole), strict=True))}
    last = {name: np.moveaxis(x, 1, -1) if x.ndim == 4 and name not in whole else x for name, x in found.items()}
    return {name: array.reshape(len(array), -1).astype(np.int64) for name, array in last.items()}


def alone(graph: Graph, op: Computed, known: Collection[str]) -> Graph:
    """Return the graph of one operation on the values that are known."""
    block = Block()
    copies: dict[SSAValue, SSAValue] = {}

    def brought(value: SSAValue, owner: Computed) -> SSAValue:
        if value not in copies:
            copies[value] = given(owner) if owner is not op and owner.label.data in known else again(owner)
        return copies[value]

    def given(owner: Computed) -> SSAValue:
        shape = shape_of(owner.out)
        properties = {"label": owner.label, "model_shape": ints(shape), "order": ints(range(len(shape)))}
        copy = InputOp(properties=properties, result_types=[owner.out.type])
        block.add_op(copy)
        return copy.out

    def again(owner: Computed) -> SSAValue:
        operands = [brought(value, value.owner) for value in owner.operands]  # type: ignore[arg-type]
        copy = type(owner).create(
            operands=operands, result_types=[owner.out.type], properties=owner.properties, location=owner.location
        )
        block.add_op(copy)
        return copy.out

    again(op)
    return Graph(ModuleOp(Region(block)), graph.weights)


def fed(graph: Graph, codes: dict[str, Codes]) -> dict[str, NDArray[np.float32]]:
    """Return the real values that a graph's inputs have for given codes."""
    inputs = [op for op in graph.operations if isinstance(op, InputOp)]
    result = {}
    for op in inputs:
        code, label = code_of(op.out), op.label.data
        real = (codes[label] - code.zero.data) * code.scale.data
        result[label] = real.reshape(-1, *shape_of(op.out)).astype(np.float32)
    return result


def rows(path: Path, inputs: dict[str, NDArray[Any]]) -> Iterator[tuple[str, str, str, str]]:
    """Yield label, codes compared, share that differs alone with the largest difference, share in the network."""
    graph = compile_model(path, Request(load_target("ideal"), data=lambda _: inputs)).graph
    wanted = onnxruntime_codes(path, inputs)
    operations = {op.label.data: op for op in graph.operations if isinstance(op, Computed)}
    labels = [label for label in wanted if label in operations and not isinstance(operations[label], InputOp)]
    network = Evaluator(graph, values=labels).run(inputs)
    for label in labels:
        part = alone(graph, operations[label], wanted)
        single = Evaluator(part, values=[label]).run(fed(part, wanted))[label].reshape(wanted[label].shape)
        own = np.abs(single - wanted[label])
        spread = network[label].reshape(wanted[label].shape) != wanted[label]
        yield (
            label,
            f"{own.size:,}",
            f"{100 * (own > 0).mean():.3f} % by {own.max():.0f}",
            f"{100 * spread.mean():.2f} %",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument("--offset", type=float, default=0.0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    from cimc.frontend import load

    stated = {EVERY: {"offset": given.offset, "scale": given.scale}}
    inputs = feed(load_arrays(given.data), graph_intakes(load(given.model), stated), given.data, given.limit)
    inputs = {name: np.rint(array) for name, array in inputs.items()}
    print("| layer | codes | differ alone | differ in the network |\n| --- | --- | --- | --- |")
    for number, (_, *cells) in enumerate(rows(given.model, inputs), start=1):
        print(f"| {number} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
