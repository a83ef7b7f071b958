"""The process that models of others run in: what it says, what it costs at most, and what is left of it."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from cimc.inference import Confined, Grant, Refused
from cimc.inference.confined import _Process
from cimc.isa.budgets import set_budgets

NODE = helper.make_node
FEED = {"x": np.ones((1, 4), np.float32)}
LIMITED = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system enforces no address space")


def model(nodes: list[onnx.NodeProto], *sizes: int, kind: int = 1, out: int | None = None) -> bytes:
    """Return a model of x [1, 4], whose nodes may read `sizes`."""
    values = [
        helper.make_tensor_value_info("x", kind, [1, 4]),
        helper.make_tensor_value_info("y", kind if out is None else out, None),
    ]
    constants = [numpy_helper.from_array(np.array(sizes, np.int64), "sizes")] if sizes else []
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


RELU = model([NODE("Relu", ["x"], ["y"])])
BOMB = model([NODE("ConstantOfShape", ["sizes"], ["c"]), NODE("Add", ["x", "c"], ["y"])], 1 << 30, 1)


def endless() -> bytes:
    """A loop of 2^62 turns that adds one."""
    info = helper.make_tensor_value_info
    inputs = [info("n", 7, []), info("go", 9, []), info("s", 1, [1, 4])]
    nodes = [NODE("Add", ["s", "s"], ["t"]), NODE("Identity", ["go"], ["on"])]
    body = helper.make_graph(nodes, "b", inputs, [info("on", 9, []), info("t", 1, [1, 4])])
    return model([NODE("Loop", ["sizes", "", "x"], ["y"], body=body)], 1 << 62)


@pytest.fixture(autouse=True)
def default_budgets() -> Iterator[None]:
    yield
    set_budgets()


def result(proto: bytes, **options: Any) -> NDArray[Any]:
    with Confined(proto, Grant(), **options) as session:
        return session.run([session.outputs[0].name], FEED)["y"]


def process() -> _Process:
    return _Process.running()


def peak_bytes() -> int:
    status = Path(f"/proc/{process()._child.pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize("kind", ["bool", "int8", "uint8", "int16", "int64", "float16", "float32", "float64"])
def test_numbers_come_back_as_they_went(kind: str) -> None:
    given = np.arange(-3, 3).reshape(2, 1, 3).astype(kind).transpose(1, 0, 2)
    number = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    with Confined(model([NODE("Identity", ["x"], ["y"])], kind=number), Grant()) as session:
        found = session.run(["y"], {"x": given[:, :1].repeat(4, 1)[:, :, 0]})["y"]
    np.testing.assert_array_equal(found, given[:, :1].repeat(4, 1)[:, :, 0])
    assert found.dtype == kind


def test_a_session_says_what_it_takes() -> None:
    with Confined(RELU, Grant(), optimised=False) as session:
        assert session.inputs == [("x", "tensor(float)", [1, 4])]
        assert session.run(["y"], {"x": np.zeros((1, 4), np.float32)})["y"].shape == (1, 4)


def test_words_are_refused() -> None:
    with pytest.raises(Refused, match="no type of numbers"):
        result(model([NODE("Cast", ["x"], ["y"], to=onnx.TensorProto.STRING)], out=onnx.TensorProto.STRING))


@LIMITED
def test_a_bomb_is_refused_before_it_is_paid_for() -> None:
    result(RELU)
    before = peak_bytes()
    with pytest.raises(Refused, match=str(4 << 30)):
        result(BOMB)
    assert peak_bytes() - before < 100 << 20
    np.testing.assert_array_equal(result(RELU), FEED["x"])


def test_what_has_no_end_is_ended() -> None:
    set_budgets(["onnxruntime_seconds=1"])
    child = process()._child
    with pytest.raises(Refused, match="within 1 s; the budget onnxruntime_seconds"):
        result(endless())
    assert child.poll() == -signal.SIGKILL
    np.testing.assert_array_equal(result(RELU), FEED["x"])


def test_a_process_that_dies_is_told_and_replaced() -> None:
    with Confined(RELU, Grant()) as session:
        os.kill(process()._child.pid, signal.SIGSEGV)
        with pytest.raises(Refused, match=f"status -{signal.SIGSEGV:d}"):
            session.run(["y"], FEED)
    np.testing.assert_array_equal(result(RELU), FEED["x"])


def test_threads_share_one_process() -> None:
    found: list[NDArray[Any]] = []
    threads = [threading.Thread(target=lambda: found.append(result(RELU))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(np.array_equal(one, FEED["x"]) for one in found)


def test_one_place_makes_sessions() -> None:
    root = Path(__file__).parents[2]
    sources = [path for folder in ("compiler", "passes", "backends", "isa") for path in (root / folder).rglob("*.py")]
    making = [path.name for path in sources if "InferenceSession(" in path.read_text()]
    assert making == ["sessions.py"]
