"""Budgets of models: what a file asks for is counted from shapes and names, and refused before any of it is done."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from cimc.command_line import main
from cimc.frontend import check
from cimc.isa.budgets import Budgets, OverBudget, budgets, set_budgets
from cimc.isa.errors import BUDGET, USAGE

HUGE = 1 << 29
NODE, ONE = helper.make_node, numpy_helper.from_array(np.ones(1, np.float32), "one")
SUMMED = [NODE("ReduceSum", ["c"], ["z"], keepdims=0), NODE("Add", ["x", "z"], ["y"])]


def written(
    folder: Path, nodes: list[onnx.NodeProto], *sizes: int, functions: tuple[onnx.FunctionProto, ...] = ()
) -> Path:
    """Write a model of x [1, 4] whose nodes may read `sizes` and `one`."""
    values = [helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", [1, 4]), ("y", None))]
    constants = [numpy_helper.from_array(np.array(sizes, np.int64), "sizes"), ONE]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions), path)
    return path


@pytest.fixture(autouse=True)
def default_budgets() -> Iterator[None]:
    """Every test begins and ends with the default budgets."""
    set_budgets()
    yield
    set_budgets()


def refused(path: Path, budget: str) -> None:
    """Fail unless a model is refused by a budget, with the figure."""
    with pytest.raises(OverBudget, match=f"the budget {budget} allows [0-9,]+") as raised:
        check(path)
    assert (raised.value.code, raised.value.status) == ("CIM0006", BUDGET)


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Pad", "Tile"])
def test_constants_out_of_nothing(operator: str, tmp_path: Path) -> None:
    sizes = (0, HUGE - 1) if operator == "Pad" else (HUGE,)
    inputs = ["sizes"] if operator == "ConstantOfShape" else ["one", "sizes"]
    refused(written(tmp_path, [NODE(operator, inputs, ["c"]), *SUMMED], *sizes), "value_bytes")


def test_constants_that_double(tmp_path: Path) -> None:
    doubled = [
        NODE("Concat", [name, name], [f"c{n}"], axis=0) for n, name in enumerate(["one", *map("c{}".format, range(12))])
    ]
    path = written(tmp_path, [*doubled, NODE("Identity", ["c12"], ["c"]), *SUMMED])
    assert check(path) == []
    set_budgets(["folded_bytes=0"])
    refused(path, "folded_bytes")


def test_work_on_constants(tmp_path: Path) -> None:
    set_budgets(["value_bytes=64MiB"])
    nodes = [NODE("ConstantOfShape", ["sizes"], ["a"]), NODE("MatMul", ["a", "a"], ["c"]), *SUMMED]
    refused(written(tmp_path, nodes, 1800, 1800), "folded_operations")


def test_results_that_double(tmp_path: Path) -> None:
    doubled = [
        NODE("Concat", [name, name], [f"c{n}"], axis=1) for n, name in enumerate(["x", *map("c{}".format, range(24))])
    ]
    refused(written(tmp_path, [*doubled, NODE("Identity", ["c24"], ["y"])]), "value_bytes")


def function(name: str, *nodes: onnx.NodeProto) -> onnx.FunctionProto:
    return helper.make_function(
        "f", name, ["a"], ["b"], nodes, [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    )


def test_functions_are_counted_before_they_are_expanded(tmp_path: Path) -> None:
    functions = [function("f0", NODE("Relu", ["a"], ["b"]))]
    for n in range(24):
        functions.append(
            function(f"f{n + 1}", NODE(f"f{n}", ["a"], ["c"], domain="f"), NODE(f"f{n}", ["c"], ["b"], domain="f"))
        )
    path = written(tmp_path, [NODE("f24", ["x"], ["y"], domain="f")], functions=tuple(functions))
    refused(path, "function_calls")
    set_budgets([f"function_calls={1 << 40}"])
    refused(path, "nodes")


def test_functions_that_call_themselves(tmp_path: Path) -> None:
    functions = (
        function("f0", NODE("f1", ["a"], ["b"], domain="f")),
        function("f1", NODE("f0", ["a"], ["b"], domain="f")),
    )
    (problem,) = check(written(tmp_path, [NODE("f0", ["x"], ["y"], domain="f")], functions=functions))
    assert problem.code == "CIM0102" and "calls itself" in problem.message


def test_functions_in_functions(tmp_path: Path) -> None:
    functions = [function("f0", NODE("Relu", ["a"], ["b"]))]
    functions += [function(f"f{n + 1}", NODE(f"f{n}", ["a"], ["b"], domain="f")) for n in range(3000)]
    refused(written(tmp_path, [NODE("f3000", ["x"], ["y"], domain="f")], functions=tuple(functions)), "nesting")


@pytest.mark.parametrize("budget", ["nodes", "model_bytes"])
def test_a_budget_can_be_set(budget: str, tmp_path: Path) -> None:
    path = written(tmp_path, [NODE("Relu", ["x"], ["t"]), NODE("Relu", ["t"], ["y"])])
    assert check(path) == []
    set_budgets([f"{budget}=1"])
    refused(path, budget)


def test_the_command_line_sets_budgets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [NODE("Relu", ["x"], ["t"]), NODE("Relu", ["t"], ["y"])])
    assert main(["check", str(path), "--budget", "nodes=1"]) == BUDGET
    assert "error[CIM0006]: nodes in the model: 2, the budget nodes allows 1" in capsys.readouterr().err
    assert main(["check", str(path), "--budget", "nodes=2KiB"]) == 0
    assert main(["check", str(path), "--budget", "node=2"]) == USAGE
    assert "did you mean nodes?" in capsys.readouterr().err
    assert main(["check", str(path), "--budget", "nodes=many"]) == USAGE
    assert main(["check", str(path)]) == 0
    assert budgets() == Budgets()


def test_a_product_of_activations_that_compiling_cannot_hold(tmp_path: Path) -> None:
    """A result is held several times over: what would fail in compile is refused by check."""
    set_budgets(["value_bytes=2GiB"])
    nodes = [NODE("Reshape", ["x", "sizes"], ["r"]), NODE("Expand", ["r", "wide"], ["w"])]
    product = [NODE("Transpose", ["w"], ["t"], perm=[0, 2, 1]), NODE("MatMul", ["t", "w"], ["y"])]
    wide = numpy_helper.from_array(np.array([1, 1, 1 << 14], np.int64), "wide")
    path = written(tmp_path, [*nodes, *product], 1, 4, 1)
    proto = onnx.load(path)
    proto.graph.initializer.append(wide)
    onnx.save(proto, path)
    (problem,) = check(path)
    assert problem.code == "CIM0111" and "268,435,456 elements, the limit is 67,108,864" in problem.message
