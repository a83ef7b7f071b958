"""The table of layers that emission writes: unique names, one layer for each block and instruction on the arrays."""

from collections import Counter
from pathlib import Path

import onnx
import pytest
from frontend.onnx_models import model, node, weights
from frontend.recurrent_models import recurrent

from cimc.driving.driver import Request, compile_model
from cimc.isa.container import load_program, save_binary, save_text
from cimc.isa.program import Program
from cimc.passes.pipeline import DEFAULT
from cimc.targets import load_target

SAMPLES = Path(__file__).parents[2] / "samples"
ON_ARRAYS = ("program", "calibrate", "mvm", "capture")
REAL = ("kws_dscnn_fp32", "resnet8_cifar10_fp32", "mnist_lstm64_fp32", "kws_dscnn_int8_qdq")
ROW = {"x": ("N", 6)}


def compiled(proto: onnx.ModelProto, folder: Path, pipeline: str = DEFAULT) -> Program:
    onnx.save(proto, folder / "m.onnx")
    return compiled_file(folder / "m.onnx", pipeline)


def compiled_file(path: Path, pipeline: str = DEFAULT) -> Program:
    target = load_target("aon-cim").with_tiles(None)
    return compile_model(path, Request(target, pipeline)).emission.program


def names(program: Program) -> list[str]:
    return [layer.name for layer in program.layers]


def products(program: Program) -> list[str]:
    """Return the layer of every matrix-vector instruction."""
    return [program.layer_name(i) for i, one in enumerate(program.instructions) if one.name == "mvm"]


def require_whole(program: Program) -> None:
    """Every layer has a name of its own and instructions, everything on the arrays and every block one layer."""
    assert len(set(names(program))) == len(program.layers)
    assert len({layer.tensor for layer in program.layers if layer.tensor}) == sum(
        bool(x.tensor) for x in program.layers
    )
    owned = Counter(index for layer in program.layers for index in program.instructions_of(layer))
    assert set(owned.values()) == {1}
    on_arrays = {index for index, one in enumerate(program.instructions) if one.name in ON_ARRAYS}
    assert on_arrays and on_arrays <= set(owned)
    owners = {(block.number, block.layer) for block in program.blocks}
    assert len(owners) == len({number for number, _ in owners})
    assert all(program.instructions_of(layer) for layer in program.layers)


@pytest.mark.parametrize("name", ["digits", "digits_transformer"])
def test_the_samples_have_whole_tables(name: str) -> None:
    require_whole(compiled_file(SAMPLES / f"{name}.onnx"))


@pytest.mark.parametrize("name", REAL)
def test_trained_networks_have_whole_tables(name: str, shared_models: Path) -> None:
    require_whole(compiled_file(shared_models / f"{name}.onnx"))


@pytest.mark.parametrize("name", REAL[:3])
def test_a_product_is_called_after_the_node_that_holds_its_weights(name: str, shared_models: Path) -> None:
    path = shared_models / f"{name}.onnx"
    graph = onnx.load(path).graph
    matrices = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 1}
    holders = {one.name for one in graph.node if matrices.intersection(one.input)}
    program = compiled_file(path)
    found = {layer.nodes[0] for layer in program.layers if layer.name in products(program)}
    assert found and found <= holders


def test_the_table_is_saved_and_loaded(tmp_path: Path) -> None:
    program = compiled_file(SAMPLES / "digits.onnx")
    save_text(program, tmp_path / "p.asm")
    save_binary(program, tmp_path / "p.cimb")
    assert load_program(tmp_path / "p.asm") == load_program(tmp_path / "p.cimb") == program
    assert names(load_program(tmp_path / "p.asm"))[:2] == ["node_conv2d", "node_max_pool2d"]


def test_a_program_says_where_it_comes_from(tmp_path: Path) -> None:
    program = compiled_file(SAMPLES / "digits.onnx")
    save_binary(program, tmp_path / "p.cimb")
    origin = load_program(tmp_path / "p.cimb").origin
    assert (origin["model"]["name"], origin["options"]["pipeline"]) == ("digits", DEFAULT)
    assert Program((), (), (), ()).origin == {}


def test_what_is_folded_in_does_not_name_a_layer(tmp_path: Path) -> None:
    """A bias added and a Relu behind a product; a sum without weights is called after its first node."""
    nodes = [
        node("MatMul", "x w", "product"),
        node("Add", "product b", "biased"),
        node("Relu", "biased", "h"),
        node("Add", "h x", "sum"),
        node("Relu", "sum", "y"),
    ]
    program = compiled(model(nodes, ROW, {"w": weights(6, 6), "b": weights(6)}), tmp_path)
    assert [layer.name for layer in program.layers] == ["the_product", "the_sum"]
    assert program.layers[0].nodes == ("the_product", "the_biased", "the_h")
    assert [layer.tensor for layer in program.layers] == ["h", "y"]


def test_a_spelt_out_function_is_called_after_its_first_node(tmp_path: Path) -> None:
    nodes = [
        node("Gemm", "x w", "h"),
        node("Div", "h root", "quotient"),
        node("Erf", "quotient", "erf"),
        node("Add", "erf one", "shifted"),
        node("Mul", "h half", "halved"),
        node("Mul", "halved shifted", "y"),
    ]
    constants = {"w": weights(6, 6), "root": [1.4142135381698608], "one": [1.0], "half": [0.5]}
    program = compiled(model(nodes, ROW, constants), tmp_path)
    assert names(program) == ["the_h", "the_quotient"]
    assert program.layers[1].nodes == ("the_quotient", "the_erf", "the_shifted", "the_halved", "the_y")


@pytest.mark.parametrize(("direction", "parts"), [("forward", [""]), ("bidirectional", ["forward.", "backward."])])
def test_the_layers_of_one_node_have_its_name_and_a_part(direction: str, parts: list[str], tmp_path: Path) -> None:
    program = compiled(recurrent("LSTM", direction, initial="none"), tmp_path)
    wanted = [f"the_y.{part}{name}" for part in parts for name in ("inputs", "recurrence")]
    assert sorted(products(program)) == sorted(wanted)
    loops = [program.layer_name(i) for i, one in enumerate(program.instructions) if one.name == "loop"]
    assert loops == [f"the_y.{part}loop" for part in parts]
    require_whole(program)


def test_nodes_without_a_name_have_operator_and_number(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x w", "h"), node("Relu", "h", "r"), node("Gemm", "r v", "y")]
    for one in nodes:
        one.name = ""
    program = compiled(model(nodes, ROW, {"w": weights(6, 6), "v": weights(6, 6, seed=1)}), tmp_path)
    assert [layer.nodes for layer in program.layers] == [("Gemm_0", "Relu_1"), ("Gemm_2",)]
    assert names(program) == ["Gemm_0", "Gemm_2"]


def test_nodes_of_one_name_make_layers_of_two(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x w", "h"), node("Gemm", "h v", "y")]
    nodes[1].name = nodes[0].name = "gemm"
    program = compiled(model(nodes, ROW, {"w": weights(6, 6), "v": weights(6, 6, seed=1)}), tmp_path)
    assert products(program) == ["gemm.h", "gemm.y"]
    require_whole(program)


def test_copies_of_blocks_belong_to_one_layer(tmp_path: Path) -> None:
    pipeline = DEFAULT.replace(",replicate,", ",replicate{tiles=2},")
    program = compiled_file(SAMPLES / "digits.onnx", pipeline)
    assert max(Counter(products(program)).values()) > 1
    assert names(program) == names(compiled_file(SAMPLES / "digits.onnx"))
    require_whole(program)


def test_shared_blocks_belong_to_the_first_layer(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x w", "h"), node("Gemm", "h w", "y")]
    pipeline = DEFAULT.replace(",reuse,", ",reuse{weights=equal},")
    program = compiled(model(nodes, ROW, {"w": weights(6, 6)}), tmp_path, pipeline)
    assert products(program) == ["the_h", "the_y"]
    assert {block.layer for block in program.blocks} == {"the_h"}
    require_whole(program)


def test_without_a_table_layers_are_told_apart_by_their_instruction() -> None:
    program = compiled_file(SAMPLES / "digits.onnx")
    bare = Program(program.instructions, tuple(() for _ in program.instructions), program.inputs, program.outputs)
    first = next(i for i, one in enumerate(program.instructions) if one.name == "mvm")
    assert (bare.layer_at(first), bare.layer_name(first)) == (None, f"mvm@{first}")
