"""Models and files that cannot be compiled: each gets its code and names the node; none shows a traceback."""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import model, node, weights, written
from onnx import TensorProto

from cimc.frontend import check, load, model_digest
from cimc.ir.text import print_graph

ROW, IMAGE = {"x": ("N", 6)}, {"x": ("N", 4, 6, 5)}
GOOD = model([node("Gemm", "x w", "y")], ROW, {"w": weights(6, 3)})


def one(operator: str, inputs: str, shapes: Any = None, constants: Any = None, **attributes: Any) -> onnx.ModelProto:
    return model([node(operator, inputs, "y", **attributes)], shapes or ROW, constants)


def edited(change: Callable[[onnx.ModelProto], Any]) -> onnx.ModelProto:
    """Return a copy of the good model after a change."""
    copy = onnx.ModelProto()
    copy.CopyFrom(GOOD)
    change(copy)
    return copy


def with_opset(version: int, domain: str = "") -> onnx.ModelProto:
    return edited(lambda m: m.opset_import.add(domain=domain, version=version) if domain else _set_opset(m, version))


def _set_opset(proto: onnx.ModelProto, version: int) -> None:
    proto.opset_import[0].version = version


def poisoned(value: float) -> onnx.ModelProto:
    array = weights(6, 3)
    array[2, 1] = value
    return one("Gemm", "x w", ROW, {"w": array})


def oversized() -> onnx.ModelProto:
    """A tensor whose shape claims 4 TiB and holds nothing."""

    def change(proto: onnx.ModelProto) -> None:
        proto.graph.initializer[0].dims[:] = [1 << 20, 1 << 20]
        proto.graph.initializer[0].ClearField("raw_data")

    return edited(change)


def custom_domain() -> onnx.ModelProto:
    proto = with_opset(1, "com.example")
    proto.graph.node[0].domain = "com.example"
    return proto


def external(location: str) -> onnx.ModelProto:
    def change(proto: onnx.ModelProto) -> None:
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return edited(change)


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "CIM0101"),
    "text": (b"this is not a model\n" * 10, "CIM0101"),
    "zeros": (bytes(1000), "CIM0101"),
    "truncated": (GOOD.SerializeToString()[:-20], "CIM0101"),
    "half": (GOOD.SerializeToString()[: len(GOOD.SerializeToString()) // 2], "CIM0101"),
}

MODELS: dict[str, tuple[onnx.ModelProto, str]] = {
    "cyclic": (model([node("Add", "x z", "y"), node("Relu", "y", "z")], ROW), "CIM0102"),
    "undefined_value": (model([node("Add", "x ghost", "y")], ROW), "CIM0102"),
    "unknown_operator": (one("Frobnicate", "x"), "CIM0102"),
    "wrong_attribute": (one("Relu", "x", alpha=1.0), "CIM0102"),
    "shapes_do_not_fit": (one("MatMul", "x w", ROW, {"w": weights(7, 3)}), "CIM0102"),
    "raw_data_too_short": (edited(lambda m: m.graph.initializer[0].dims.__setitem__(0, 7)), "CIM0102"),
    "negative_size": (edited(lambda m: m.graph.initializer[0].dims.__setitem__(0, -6)), "CIM0102"),
    "external_missing": (external("nowhere.bin"), "CIM0102"),
    "external_outside": (external("../secret.bin"), "CIM0102"),
    "external_folder": (external("."), "CIM0102"),
    "group_scale": (
        one("GroupNormalization", "x s s", IMAGE, {"s": weights(3)}, num_groups=2),
        "CIM0102",
    ),
    "split_in_other_parts": (
        model([node("Split", "x", "y z", axis=1, num_outputs=1)], ROW, None, ("y", "z")),
        "CIM0102",
    ),
    "unsupported": (one("Hardmax", "x"), "CIM0103"),
    "custom_domain": (custom_domain(), "CIM0103"),
    "integer_input": (model([node("Relu", "x", "y")], ROW, kind=TensorProto.COMPLEX64), "CIM0104"),
    "integer_division": (
        model([node("Div", "x z", "y")], {"x": ("N", 3), "z": ("N", 3)}, kind=TensorProto.INT32),
        "CIM0104",
    ),
    "exponents_differ": (one("Pow", "x c", ROW, {"c": weights(6)}), "CIM0104"),
    "cast_to_integers": (one("Cast", "x", ROW, to=TensorProto.UINT8), "CIM0104"),
    "cropped_resize": (
        one(
            "Resize",
            "x r s",
            IMAGE,
            {"r": np.zeros(8), "s": [1.0, 1.0, 2.0, 2.0]},
            coordinate_transformation_mode="tf_crop_and_resize",
        ),
        "CIM0104",
    ),
    "tiled_batch": (one("Tile", "x r", ROW, {"r": [2, 1]}), "CIM0109"),
    "reflect_pad": (one("Pad", "x p", ROW, {"p": [0, 6, 0, 1]}, mode="reflect"), "CIM0104"),
    "volume": (one("Conv", "x w", {"x": ("N", 2, 4, 4, 4)}, {"w": weights(2, 2, 3, 3, 3)}), "CIM0104"),
    "unknown_size": (one("Relu", "x", {"x": ("N", "height", 4)}), "CIM0105"),
    "size_from_data": (one("Relu", "x", {"x": (None, None)}), "CIM0105"),
    "nan_weight": (poisoned(np.nan), "CIM0106"),
    "infinite_weight": (poisoned(np.inf), "CIM0106"),
    "division_by_zero": (one("Div", "x c", ROW, {"c": np.zeros(6)}), "CIM0106"),
    "empty_input": (one("Relu", "x", {"x": ("N", 0, 4)}), "CIM0107"),
    "empty_result": (one("Slice", "x s e a", ROW, {"s": [3], "e": [3], "a": [1]}), "CIM0107"),
    "kernel_too_large": (one("Conv", "x w", IMAGE, {"w": weights(2, 4, 7, 7)}), "CIM0107"),
    "new_opset": (with_opset(999), "CIM0108"),
    "new_ir": (edited(lambda m: setattr(m, "ir_version", 999)), "CIM0108"),
    "batch_flattened": (one("Flatten", "x", IMAGE, axis=0), "CIM0109"),
    "batch_reduced": (one("ReduceMean", "x a", IMAGE, {"a": [0]}), "CIM0109"),
    "batch_mixed": (
        model([node("Transpose", "x", "t", perm=[1, 0]), node("Reshape", "t s", "y")], ROW, {"s": [-1, 1]}),
        "CIM0109",
    ),
    "batch_softmax": (one("Softmax", "x", ROW, axis=0), "CIM0109"),
    "batch_concat": (one("Concat", "x x", ROW, axis=0), "CIM0109"),
    "batch_weights": (one("Add", "x c", {"x": (2, 3)}, {"c": weights(2, 3)}), "CIM0109"),
    "batch_size_as_value": (
        model([node("Shape", "x", "s"), node("Cast", "s", "f", to=1), node("Mul", "x f", "y")], {"x": ("N", 2)}),
        "CIM0109",
    ),
    "constant_output": (model([node("Relu", "c", "y")], ROW, {"c": weights(3)}), "CIM0110"),
    "oversized": (oversized(), "CIM0111"),
    "oversized_result": (one("Pad", "x p", ROW, {"p": [0, 1 << 40, 0, 0]}), "CIM0111"),
    "oversized_constant": (
        model([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")], {"x": ("N", 4)}, {"s": [1 << 20, 1 << 20]}),
        "CIM0111",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_file(case: str, tmp_path: Path) -> None:
    content, code = FILES[case]
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert [problem.code for problem in check(path)] == [code]


@pytest.mark.parametrize("case", MODELS)
def test_model(case: str, tmp_path: Path) -> None:
    proto, code = MODELS[case]
    found = check(written(proto, tmp_path))
    assert {problem.code for problem in found} == {code}, [problem.render() for problem in found]


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert [problem.code for problem in check(tmp_path / "none.onnx")] == ["CIM0001"]
    assert [problem.code for problem in check(tmp_path)] == ["CIM0001"]


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Every offending node is named, also behind another one."""
    nodes = [
        node("Hardmax", "x", "a"),
        node("Transpose", "a", "b", perm=[1, 0]),
        node("Relu", "x", "c"),
        node("Mul", "c w", "d"),
        node("Hardmax", "d", "y"),
        node("Cos", "d", "unused"),
        node("Add", "b y", "z"),
    ]
    proto = model(nodes, ROW, {"w": np.full(6, np.nan)}, outputs=("z",))
    found = {(problem.node, problem.operator, problem.code) for problem in check(written(proto, tmp_path))}
    assert found == {
        ("the_a", "Hardmax", "CIM0103"),
        ("the_d", "Mul", "CIM0106"),
        ("the_y", "Hardmax", "CIM0103"),
        ("the_z", "Add", "CIM0109"),
    }


def test_an_unknown_operator_is_the_reason_even_where_the_batch_is_lost(tmp_path: Path) -> None:
    """What follows from that is no problem of its own, and --unbatched would help nobody."""
    nodes = [node("DynamicQuantizeLinear", "x", "q s z"), node("DequantizeLinear", "q s z", "y")]
    (problem,) = check(written(model(nodes, ROW), tmp_path))
    assert (problem.code, problem.node) == ("CIM0103", "the_q") and "quantize_static" in problem.hint
    nodes = [node("OneHot", "x depth pair", "h", axis=-1), node("MatMul", "h w", "y")]
    constants = {"depth": np.int64(9), "pair": np.float32([0, 1]), "w": weights(9, 2)}
    (problem,) = check(written(model(nodes, ROW, constants), tmp_path))
    assert (problem.code, problem.node) == ("CIM0103", "the_h")


def test_operators_of_onnxruntime_point_to_the_file_before(tmp_path: Path) -> None:
    proto = edited(lambda m: m.opset_import.add(domain="com.microsoft", version=1))
    proto.graph.node[0].domain, proto.graph.node[0].op_type = "com.microsoft", "FusedGemm"
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0103" and "before onnxruntime optimised it" in problem.hint


def test_an_input_without_a_shape(tmp_path: Path) -> None:
    (problem,) = check(written(model([node("Relu", "x", "y")], {"x": None}), tmp_path))  # type: ignore[dict-item]
    assert problem.code == "CIM0105" and "--shape x=" in problem.hint


def test_the_message_names_the_initialiser_and_the_place(tmp_path: Path) -> None:
    problem = check(written(poisoned(np.nan), tmp_path))[0]
    assert "'w' is nan at (2, 1)" in problem.message
    assert "(1, 6), (6, 3)" in problem.message


def test_the_file_is_not_modified(tmp_path: Path) -> None:
    path = written(GOOD, tmp_path)
    before = path.read_bytes()
    load(path)
    assert path.read_bytes() == before


def test_digest_covers_external_data(tmp_path: Path) -> None:
    path = written(external("weights.bin"), tmp_path)
    (tmp_path / "weights.bin").write_bytes(weights(6, 3).tobytes())
    load(path)
    before = model_digest(path)
    (tmp_path / "weights.bin").write_bytes(weights(6, 3, seed=1).tobytes())
    assert model_digest(path) != before


LARGE = weights(160, 120)
LARGE_MODEL = model([node("Gemm", "x w", "y")], {"x": ("N", 160)}, {"w": LARGE, "unused": weights(300, 300)})


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A model with large weights in a file beside it."""
    path = tmp_path / "model.onnx"
    proto = onnx.ModelProto()
    proto.CopyFrom(LARGE_MODEL)  # saving takes the data out of it
    onnx.save(proto, path, save_as_external_data=True, location="model.data", size_threshold=0)
    return path


def test_large_weights_give_the_same_graph_wherever_they_lie(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    inside = load(written(LARGE_MODEL, tmp_path / "inside"))
    outside = load(stored)
    assert print_graph(inside) == print_graph(outside)
    for graph in (inside, outside):
        assert [np.array_equal(graph.weights.array(key), LARGE) for key in graph.weights.names()] == [True]
    assert outside.digest == model_digest(stored) != inside.digest


def test_large_weights_are_mapped_not_copied(stored: Path) -> None:
    graph = load(stored)
    kept = graph.weights.array("w")
    while isinstance(kept.base, np.ndarray):
        kept = kept.base
    assert isinstance(kept.base, mmap.mmap)


def test_external_data_that_ends_too_early(stored: Path) -> None:
    data = stored.with_suffix(".data")
    data.write_bytes(data.read_bytes()[:-4])
    (problem,) = check(stored)
    assert problem.code == "CIM0102" and "holds" in problem.message


def test_external_data_behind_a_link_out_of_the_folder(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "model.data"
    stored.with_suffix(".data").rename(elsewhere)
    stored.with_suffix(".data").symlink_to(elsewhere)
    (problem,) = check(stored)
    assert problem.code == "CIM0102" and "outside the model's folder" in problem.message


def test_a_bad_number_in_large_weights_is_found(tmp_path: Path) -> None:
    array = LARGE.copy()
    array[100, 7] = -np.inf
    proto = model([node("Gemm", "x w", "y")], {"x": ("N", 160)}, {"w": array})
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0106" and "'w' is -inf at (100, 7), 1 such values" in problem.message


@pytest.mark.parametrize("position", range(0, len(GOOD.SerializeToString()), 3))
def test_one_damaged_byte_never_shows_a_traceback(position: int, tmp_path: Path) -> None:
    content = bytearray(GOOD.SerializeToString())
    content[position] ^= 0xFF
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(content))
    check(path)


def typed(elements: int) -> onnx.TensorProto:
    return onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], float_data=[1.0] * elements)


def of_many_axes() -> onnx.TensorProto:
    return onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1] * 65, raw_data=bytes(4))


def in_a_circle() -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="loop.bin")
    return tensor


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (typed(1), "'w' of shape (4, 3) has 12 elements and holds 1"),
        (typed(13), "holds 13"),
        (of_many_axes(), "'w' has 65 axes, 64 are the most"),
        (in_a_circle(), "its links go in circles"),
    ],
)
def test_a_tensor_that_is_not_what_it_says(tensor: onnx.TensorProto, said: str, tmp_path: Path) -> None:
    proto = model([node("MatMul", "x w", "y")], {"x": ("N", 4)}, {})
    proto.graph.initializer.append(tensor)
    (tmp_path / "loop.bin").symlink_to("loop.bin")
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0102" and said in problem.message


def test_an_input_of_too_many_axes(tmp_path: Path) -> None:
    (problem,) = check(written(model([node("Relu", "x", "y")], {"x": (1,) * 65}), tmp_path))
    assert problem.code == "CIM0102" and "'x' has 65 axes" in problem.message


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("group", [0, -1, 2, 1 << 40])
def test_channels_that_do_not_fit_their_groups(operator: str, group: int, tmp_path: Path) -> None:
    """onnx's own checks find some of them."""
    kernel = {"k": weights(1, 1, 3, 3)}
    proto = model([node(operator, "x k", "y", group=group)], {"x": ("N", 1, 8, 8)}, kernel)
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0102" and "group" in problem.message


UNFIT = {
    "groups that are no part of the channels": (node("GroupNormalization", "x s s", "y", num_groups=3), "in 3 groups"),
    "more parts than outputs": (node("Split", "x", "y", axis=1, num_outputs=1 << 40), "num_outputs is 1099511627776"),
    "biases that are not one for each output": (node("Conv", "x k s", "y"), "do not fit"),
    "blocks that do not divide the image": (node("SpaceToDepth", "x", "y", blocksize=3), "do not fit"),
    "a bound without elements": (node("Clip", "x e", "y"), "do not fit"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_attributes_that_onnx_lets_pass(name: str, tmp_path: Path) -> None:
    proto, said = UNFIT[name]
    constants = {"s": weights(4), "k": weights(5, 4, 3, 3), "e": np.zeros(0, np.float32)}
    used = {key: value for key, value in constants.items() if key in proto.input}
    (problem,) = check(written(model([proto], {"x": ("N", 4, 8, 8)}, used), tmp_path))
    assert problem.code == "CIM0102" and problem.node == "the_y" and said in problem.message


@pytest.mark.parametrize("size", [0, 1 << 40])
def test_an_average_over_channels_that_no_window_holds(size: int, tmp_path: Path) -> None:
    (problem,) = check(written(model([node("LRN", "x", "y", size=size)], {"x": ("N", 4, 8, 8)}), tmp_path))
    assert problem.code == "CIM0104" and f"size is {size}" in problem.message


@pytest.mark.parametrize("operator", ["LpPool", "MaxPool", "AveragePool"])
def test_kernels_larger_than_the_data(operator: str, tmp_path: Path) -> None:
    """onnx infers results of fewer elements than none."""
    proto = model([node(operator, "x", "y", kernel_shape=[2, 9])], {"x": ("N", 4, 6, 5)})
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0107" and "'y' has shape" in problem.message


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_attributes_that_are_no_numbers(value: float, tmp_path: Path) -> None:
    proto = model([node("LayerNormalization", "x s", "y", epsilon=value)], {"x": ("N", 4)}, {"s": weights(4)})
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0106" and f"'epsilon' is {value}" in problem.message


def test_an_input_of_no_type_that_onnx_knows(tmp_path: Path) -> None:
    (problem,) = check(written(model([node("Relu", "x", "y")], {"x": ("N", 4)}, kind=78), tmp_path))
    assert problem.code == "CIM0104" and "input 'x' is of type 78" in problem.message


def test_a_product_of_more_factors_than_operations_should_be(tmp_path: Path) -> None:
    proto = model([node("ReduceProd", "x a", "y")], {"x": ("N", 1 << 17)}, {"a": [1]})
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0104" and "131072 factors" in problem.message


def test_nothing_of_a_shape_that_no_array_takes(tmp_path: Path) -> None:
    proto = model([node("DepthToSpace", "x", "y", blocksize=1 << 31)], {"x": ("N", 4, 2, 2)})
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0111" and "'y'" in problem.message
