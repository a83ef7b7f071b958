"""Where weights are: every programmed cell has an owner, every weight its places, and the way back leads home."""

from itertools import product
from math import prod
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line.files import SAMPLES
from frontend.onnx_models import model, node, weights

from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.driving.driver import Request, compile_model
from cimc.isa.errors import CimcError
from cimc.isa.program import Program
from cimc.isa.region import region
from cimc.passes.pipeline import DEFAULT, with_options
from cimc.provenance.answers import Answers
from cimc.provenance.cells import NOWHERE, Places, places
from cimc.provenance.chip import Chip
from cimc.provenance.coding import CONSTANT, EMPTY, OFFSET, SEVERAL
from cimc.targets import load_target

IMAGE = {"x": ("N", 4, 6, 6)}


def convolution(shape, operator="Conv", **facts):
    """A convolution of 4 to 6 channels with a normalisation behind it, and a matrix for five classes."""
    nodes = [node(operator, "x w", "c", **facts), node("BatchNormalization", "c s b m a", "n")]
    nodes += [node("Relu", "n", "r"), node("GlobalAveragePool", "r", "g"), node("Flatten", "g", "f")]
    outputs = shape[1] if operator == "ConvTranspose" else shape[0]
    facts = {name: np.abs(weights(outputs, seed=seed)) + 0.5 for seed, name in enumerate("sbma")}
    constants = {"w": weights(*shape), "v": weights(outputs, 5, seed=9), **facts}
    return model([*nodes, node("Gemm", "f v", "y")], IMAGE, constants)


def recurrence():
    nodes = [node("LSTM", "x w r b", "l h k", hidden_size=4), node("Squeeze", "h axes", "q"), node("Gemm", "q v", "y")]
    constants = {"w": weights(1, 16, 3), "r": weights(1, 16, 4, seed=1), "b": weights(1, 32, seed=2)}
    axes = {"axes": np.array([0], np.int64), "v": weights(4, 3, seed=3)}
    return model(nodes, {"x": (5, "N", 3)}, constants | axes)


CASES = {
    "plain": (convolution((6, 4, 3, 3)), {}),
    "groups": (convolution((6, 2, 3, 3), group=2), {}),
    "depthwise in constants": (convolution((4, 1, 3, 3), group=4), {"im2col": "depthwise=digital"}),
    "depthwise in the array": (convolution((8, 1, 3, 3), group=4), {"im2col": "depthwise=array"}),
    "transposed": (convolution((4, 6, 3, 3), "ConvTranspose", strides=[2, 2]), {}),
    "offsets": (convolution((6, 4, 3, 3)), {"weight-mapping": "weights=offset"}),
    "slices": (convolution((6, 4, 3, 3)), {"weight-mapping": "weights=sliced"}),
    "averaged": (convolution((6, 4, 3, 3)), {"weight-mapping": "weights=averaged"}),
    "averaged apart": (convolution((6, 4, 3, 3)), {"weight-mapping": "weights=averaged rounding=apart"}),
    "rows": (convolution((6, 4, 3, 3)), {"mixed-precision": "budget=200.0 lower=activations", "row-copies": "most=4"}),
    "replicas": (convolution((6, 4, 3, 3)), {"replicate": "tiles=-1"}),
    "offsets and replicas": (
        convolution((6, 4, 3, 3)),
        {"weight-mapping": "weights=offset", "replicate": "tiles=-1"},
    ),
    "recurrence": (recurrence(), {}),
}


QUICK = ("averaged apart", "depthwise in the array", "offsets and replicas", "recurrence")
"""Cases of every run; the others come at night."""
PARAMS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.nightly) for name in CASES]


def placed(path: Path, options: dict[str, str], target: str = "aon-cim") -> tuple[Program, Places]:
    pipeline = DEFAULT
    for name, changes in options.items():
        pipeline = with_options(pipeline, f"{name}{{{changes}}}")
    program = compile_model(path, Request(load_target(target).with_tiles(3), pipeline)).emission.program
    return program, places(path, program)


@pytest.fixture(scope="module", params=PARAMS)
def case(request, tmp_path_factory):
    proto, options = CASES[request.param]
    path = tmp_path_factory.mktemp("where") / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return request.param, *placed(path, options)


def cells(program: Program) -> dict[tuple[int, int, int], int]:
    """What `program` instructions leave in each cell."""
    found = {}
    for one in program.instructions:
        if one.name == "program":
            at, start = region(one), one["data"]
            data = np.frombuffer(program.conductances[start : start + 2 * at.rows * at.cols], "<i2")
            for (row, col), value in zip(product(range(at.rows), range(at.cols)), data.tolist(), strict=True):
                found[at.tile, at.row + row, at.col + col] = value
    return found


def require_owners(program: Program, found: Places) -> None:
    """Every programmed cell is a place, once, and holds what the place says."""
    n = found.numbers
    rows = np.flatnonzero(n["address"] == NOWHERE)
    places_of = [tuple(map(int, at)) for at in zip(n["tile"][rows], n["row"][rows], n["col"][rows], strict=True)]
    assert len(set(places_of)) == len(places_of)
    assert dict(zip(places_of, n["code"][rows].tolist(), strict=True)) == cells(program)
    assert not (n["owner"] == SEVERAL).any()
    assert (n["code"][n["owner"] == EMPTY] == 0).all()


def require_places(found: Places, names: tuple[str, ...]) -> None:
    """Every weight of these initialisers has a place, and the place leads back to it."""
    for name in names:
        first, count = found.weights.first[name], prod(found.weights.shapes[name])
        assert set(range(first, first + count)) <= set(found.numbers["owner"].tolist()), name
    number = first + count - 1
    assert found.weights.name_of(number)[0] == names[-1]
    row = found.of_weight(number)[0]
    if found.numbers["address"][row] == NOWHERE:
        at = [int(found.numbers[axis][row]) for axis in ("tile", "row", "col")]
        assert row in found.of_cell(*at)


def joined(found: Places, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the places of each weight of an initialiser stand for, its mapped weight, and one step; of one replica."""
    n, total = found.numbers, found.weights.count
    rows = (n["owner"] >= 0) & (n["replica"] <= 0)
    real = np.bincount(n["owner"][rows], (n["code"] * found.steps - found.offsets)[rows], total)
    exact = np.bincount(n["owner"][rows], (found.exact - found.offsets)[rows], total)
    step = np.bincount(n["owner"][rows], np.abs(found.steps)[rows], total)
    part = slice(found.weights.first[name], found.weights.first[name] + prod(found.weights.shapes[name]))
    return real[part], exact[part], step[part]


def test_every_cell_has_one_owner(case):
    _, program, found = case
    require_owners(program, found)


def test_every_weight_has_a_place_that_leads_back(case):
    name, _, found = case
    require_places(found, ("w", "r", "v") if name == "recurrence" else ("w", "v"))


def test_the_places_join_to_the_quantised_weight(case):
    _, _, found = case
    for name in ("w", "v"):
        real, exact, step = joined(found, name)
        assert (np.abs(real - exact) <= 0.75 * step).all()


def test_mapped_weights_are_the_models_own_times_a_factor_of_their_output(case):
    name, _, found = case
    own = found.weights.values("w").astype(np.float64)
    _, exact, _ = joined(found, "w")
    ratio = exact.reshape(own.shape) / own
    if name == "slices":  # rounded to 8 bits first
        return
    if name in ("recurrence", "transposed"):  # no normalisation is folded into these
        assert np.allclose(ratio, 1)
        return
    across = (1, 2, 3)
    assert np.allclose(ratio, ratio.mean(axis=across, keepdims=True), rtol=1e-4)
    assert not np.allclose(ratio, ratio.mean(), rtol=1e-2)


def test_replicas_are_places_of_their_own(case):
    name, _, found = case
    counts = np.bincount(found.numbers["owner"][found.numbers["owner"] >= 0])
    assert (counts.max() > 1) == ("replicas" in name or name in ("slices", "averaged", "averaged apart", "rows"))
    if "offsets" in name:
        assert (found.numbers["owner"] == OFFSET).sum() > 0
    assert (found.numbers["owner"] == CONSTANT).any() == ("apart" in name)


def test_answers(case):
    _, program, found = case
    answers = Answers(found, program, 0.05)
    index = ",".join("0" * found.weights.values("w").ndim)
    told = list(answers.weight(f"w[{index}]"))
    assert told[0].startswith(f"w[{index.replace(',', ', ')}] = {float(found.weights.values('w').flat[0]):.6g}, in ")
    row = found.of_weight(0)[0]
    if found.numbers["address"][row] == NOWHERE:
        back = list(answers.cell(*(int(found.numbers[axis][row]) for axis in ("tile", "row", "col"))))
        assert back[1] == f"  w[{index.replace(',', ', ')}]"
    assert len(list(answers.table())) == len(found.steps)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "model.onnx"
    path.write_bytes(CASES["depthwise in the array"][0].SerializeToString())
    program, found = placed(path, {})
    return Answers(found, program, 1.0)


def test_a_noisy_chip_shows_its_devices(answers):
    noise = Noise(load_profile("pcm"), 3, 86400)
    found = answers.places
    on_chip = Answers(found, answers.program, 1.0, Chip(answers.program, noise))
    (row, *_) = np.flatnonzero((found.numbers["code"] > 50) & (found.numbers["block"] >= 0))
    n = {name: int(column[row]) for name, column in found.numbers.items()}
    (plus, minus), present = on_chip.chip.cell(n["block"], n["row"], n["col"])
    assert abs(plus - n["code"]) < 100 and minus < 100 and (plus, minus) != (n["code"], 0)
    assert present != (plus, minus)
    told = "\n".join(on_chip.cell(n["tile"], n["row"], n["col"]))
    assert f"on the chip: programmed plus {plus:.4f}, minus {minus:.4f} uS; now plus {present[0]:.4f}" in told


@pytest.mark.parametrize("question", ["u[0]", "w[0]", "w[8,0,0,0]", "the_n", "w[0,0,0,-1]"])
def test_wrong_questions(answers, question):
    with pytest.raises(CimcError, match="CIM0003"):
        list(answers.weight(question))


def test_a_node_with_one_weight_stands_for_it(answers):
    assert next(answers.weight("the_y[5,4]")).startswith("v[5, 4] = ")


REAL = {
    "kws_dscnn_fp32": ("kws_dscnn_fp32.onnx", {}),
    "resnet8_cifar10_fp32": ("resnet8_cifar10_fp32.onnx", {}),
    "mnist_lstm64_fp32": ("mnist_lstm64_fp32.onnx", {}),
}


def matrices(found: Places, path: Path) -> tuple[str, ...]:
    """The initialisers that convolutions, products and recurrent layers read."""
    graph = onnx.load(path).graph
    read = [name for one in graph.node if one.op_type in ("Conv", "Gemm", "MatMul", "LSTM") for name in one.input[1:3]]
    return tuple(name for name in found.weights.shapes if name in read)


@pytest.mark.nightly
def test_a_trained_transformer(tmp_path):
    path = SAMPLES / "digits_transformer.onnx"
    program, found = placed(path, {})
    require_owners(program, found)
    require_places(found, tuple(name for name in matrices(found, path) if name in set(owned(found))))


def owned(found: Places) -> list[str]:
    """The initialisers that have a place."""
    return [found.weights.name_of(int(number))[0] for number in np.unique(found.numbers["owner"]) if number >= 0]


@pytest.mark.nightly
@pytest.mark.parametrize("name", REAL)
def test_trained_networks(name, shared_models):
    path = shared_models / REAL[name][0]
    program, found = placed(path, REAL[name][1])
    require_owners(program, found)
    names = matrices(found, path)
    assert names
    require_places(found, names)
