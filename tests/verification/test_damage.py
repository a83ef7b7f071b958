"""A damaged file is refused (exit 3); a changed program with fresh checksums fails the comparison (exit 1), by name."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from command_line.test_cases import run
from verification.changes import CHANGES, Change, changed

from cimc.backends.emission.builder import Emission
from cimc.backends.interpreter import Interpreter
from cimc.backends.reference import sampled as reference_sample
from cimc.driving.arrays import feed, load_arrays
from cimc.driving.driver import Compilation, graph_intakes
from cimc.driving.feeding import EVERY
from cimc.isa import binary
from cimc.isa.container import load_program, save_binary, save_text
from cimc.isa.program import Program
from cimc.proof.programs import Difference, compare_programs, recompile
from cimc.proof.prover import Prover

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
MODEL = str(SAMPLES / "digits.onnx")
CALIBRATED = ["--calib", str(SAMPLES / "digits_calib.npz"), "--scale", "0.0625"]
PROVED_ON = ["--input", str(SAMPLES / "digits_test.npz"), "--scale", "0.0625", "--limit", "2"]
COUNT = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample program as text and binary."""
    made = tmp_path_factory.mktemp("programs")
    for name in ("good.asm", "good.cimb"):
        assert run(["compile", MODEL, *CALIBRATED, "-o", str(made / name)])[0] == 0
    return made


@pytest.fixture(scope="module")
def program(folder: Path) -> Program:
    return load_program(folder / "good.cimb")


def verified(path: Path) -> tuple[int, str]:
    return run(["verify", MODEL, str(path), *PROVED_ON])


@pytest.mark.parametrize("name", ["good.asm", "good.cimb"])
def test_an_unchanged_program_is_proved(name: str, folder: Path) -> None:
    status, output = verified(folder / name)
    assert status == 0, output
    assert "ok: every tensor equal" in output


def section_offsets(content: bytes) -> Iterator[tuple[str, int]]:
    """Yield a byte inside every part of a binary program."""
    yield "header", 20
    yield "table", binary.HEADER_BYTES - 40
    yield "checksum", binary.HEADER_BYTES - 1
    place = 0
    for number, part in enumerate(binary.to_parts(load_bytes(content))):
        if number and number % 2 == 0:
            yield binary.SECTIONS[number // 2 - 1].decode(), place + len(part) // 2
        place += len(part)


def load_bytes(content: bytes) -> Program:
    from tempfile import TemporaryFile

    with TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        return binary.read(file)


@pytest.mark.parametrize("part", ["header", "table", "checksum", "META", "CODE", "CONST", "COND"])
def test_a_damaged_binary_is_refused(part: str, folder: Path, tmp_path: Path) -> None:
    content = bytearray((folder / "good.cimb").read_bytes())
    content[dict(section_offsets(bytes(content)))[part]] ^= 0x10
    (tmp_path / "p.cimb").write_bytes(bytes(content))
    status, output = verified(tmp_path / "p.cimb")
    assert (status, "error[CIM0424]" in output) == (3, True), output


def payload_byte(share: float) -> Callable[[str, bytes], tuple[str, bytes]]:
    def change(text: str, payload: bytes) -> tuple[str, bytes]:
        at = int((len(payload) - 1) * share)
        return text, payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]

    return change


def text_match(pattern: str, new: str) -> Callable[[str, bytes], tuple[str, bytes]]:
    def change(text: str, payload: bytes) -> tuple[str, bytes]:
        found, count = re.subn(pattern, new, text, count=1)
        assert count == 1
        return found, payload

    return change


TEXT_DAMAGE = {
    "code": text_match(r"divide=\d+", "divide=3"),
    "layer": text_match(r'\.layer "node_conv2d" "relu"', '.layer "node_conv2d" "rely"'),
    "ranges": text_match(r'"relu":\[0.0,[0-9.]+\]', '"relu":[0.0,1.0]'),
    "target": text_match(r'"g_max":25.0', '"g_max":26.0'),
    "input": text_match(r'"scale":0\.\d+', '"scale":0.5'),
    "activation": text_match(r"\.activation \d+", ".activation 9999"),
    "code hash": text_match(r'\.code "sha256:....', '.code "sha256:0000'),
    "constants hash": text_match(r'(\.constants \d+ "sha256:)....', r"\g<1>0000"),
    "conductances hash": text_match(r'(\.conductances \d+ "sha256:)....', r"\g<1>0000"),
    "manifest hash": text_match(r'\.manifest "sha256:....', '.manifest "sha256:0000'),
    "target hash": text_match(r'\.target "sha256:....', '.target "sha256:0000'),
    "constants": payload_byte(0.0),
    "conductances": payload_byte(1.0),
}


@pytest.mark.parametrize("part", TEXT_DAMAGE)
def test_damaged_text_is_refused(part: str, folder: Path, tmp_path: Path) -> None:
    text, payload = TEXT_DAMAGE[part]((folder / "good.asm").read_text(), (folder / "good.payload").read_bytes())
    (tmp_path / "p.asm").write_text(text)
    (tmp_path / "good.payload").write_bytes(payload)
    status, output = verified(tmp_path / "p.asm")
    assert (status, "error[CIM0424]" in output) == (3, True), output


def test_a_location_that_names_no_layer_is_refused(folder: Path, tmp_path: Path) -> None:
    text = (folder / "good.asm").read_text().replace('.loc "node_conv2d"', '.loc "node_relu"')
    (tmp_path / "p.asm").write_text(text)
    (tmp_path / "good.payload").write_bytes((folder / "good.payload").read_bytes())
    status, output = verified(tmp_path / "p.asm")
    assert status == 3
    assert "error[CIM0428]: instruction 0, program, belongs to 'node_relu', wanted the name of a layer" in output


def test_every_change_is_found_and_named(program: Program, tmp_path: Path) -> None:
    """Each change is saved with fresh checksums and loaded again, like a file that somebody edited."""
    emission = recompile(MODEL, program).emission
    for seed in range(COUNT):
        change = changed(program, Random(seed))
        save_binary(change.program, tmp_path / "p.cimb")
        difference = compare_programs(emission, load_program(tmp_path / "p.cimb"))
        assert difference is not None, f"seed {seed}: {change.what}"
        assert re.search(change.named, str(difference)), f"seed {seed}: {change.what}: {difference}"


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("save", [save_binary, save_text], ids=["p.cimb", "p.asm"])
def test_verify_names_a_change(
    kind: str, save: Callable[[Program, Path], None], program: Program, tmp_path: Path
) -> None:
    change: Change = CHANGES[kind](program, Random(7))
    save(change.program, tmp_path / "p.asm")
    status, output = verified(tmp_path / "p.asm")
    assert status == 1, change.what
    assert output.startswith(f"FAILED: {tmp_path / 'p.asm'} is not what {MODEL} compiles to\n")
    assert re.search(change.named, output), output


MISSING = {
    "instruction": lambda p: replace(p, instructions=p.instructions[:-1], locations=p.locations[:-1]),
    "constants": lambda p: replace(p, constants=p.constants[:-1]),
    "conductances": lambda p: replace(p, conductances=p.conductances + b"\0\0"),
    "activation memory": lambda p: replace(p, activation_bytes=p.activation_bytes + 1),
    "output": lambda p: replace(p, outputs=(replace(p.outputs[0], scale=1.0),)),
    "layers": lambda p: replace(p, layers=()),
    "nodes": lambda p: replace(p, layers=(replace(p.layers[0], nodes=("node_conv2d",)), *p.layers[1:])),
    "input": lambda p: replace(p, inputs=(replace(p.inputs[0], zero=p.inputs[0].zero + 1),)),
}


@pytest.mark.parametrize("part", MISSING)
def test_what_is_missing_or_too_much_is_found(part: str, program: Program, tmp_path: Path) -> None:
    save_binary(MISSING[part](program), tmp_path / "p.cimb")
    status, output = verified(tmp_path / "p.cimb")
    assert (status, output.partition(":")[0]) == (1, "FAILED"), output


def test_a_program_that_does_not_say_where_it_comes_from(program: Program, tmp_path: Path) -> None:
    save_binary(replace(program, meta={"target": program.meta["target"]}), tmp_path / "p.cimb")
    status, output = verified(tmp_path / "p.cimb")
    assert (status, "only programs written by `cimc compile` can be verified" in output) == (2, True)


def test_the_interpreter_is_held_against_the_integer_graph(program: Program) -> None:
    """A fault behind emission: the graph is right, the program that both interpreters execute is not."""
    compilation, prover = faulty(program)
    prover.interpreter = Interpreter(prover.program)
    found = next(step for step in prover.prove(inputs(compilation), 0) if isinstance(step, Difference))
    assert "of the interpreter, sample 0, element (" in found.place
    assert "tensor 'relu' (layer node_conv2d, instruction" in found.place


def test_the_reference_is_held_against_the_integer_graph(program: Program) -> None:
    compilation, prover = faulty(program)
    found = next(step for step in prover.prove(inputs(compilation), 1) if isinstance(step, Difference))
    assert "of the reference, sample 0, element (" in found.place


def test_the_reference_on_a_sample_computes_some_of_every_tensor(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_sample, "RANDOM_VECTORS", 2)
    compilation = recompile(MODEL, program)
    prover = Prover(compilation)
    assert list(prover.prove(inputs(compilation), 1, sampled=True)) == [0, 1, 2]  # progress, then all samples
    assert prover.share and 0 < prover.share.elements < prover.share.of_elements
    assert 0 < prover.share.columns < prover.share.of_columns
    assert all(row.reference for row in prover.rows() if row.interpreter)


def test_the_reference_on_a_sample_is_held_against_the_integer_graph(program: Program) -> None:
    compilation, prover = faulty(program)
    found = next(step for step in prover.prove(inputs(compilation), 1, sampled=True) if isinstance(step, Difference))
    assert "of the reference, sample 0, element (" in found.place
    assert "tensor 'relu' (layer node_conv2d, instruction" in found.place


def faulty(program: Program) -> tuple[Compilation, Prover]:
    """Return a compilation, and a prover whose program has its first cells at zero; its interpreter is a sound one."""
    compilation = recompile(MODEL, program)
    prover = Prover(compilation)
    size = 2 * 9 * 16
    prover.program = replace(prover.program, conductances=bytes(size) + prover.program.conductances[size:])
    return compilation, prover


def inputs(compilation: Compilation) -> dict[str, Any]:
    path = str(SAMPLES / "digits_test.npz")
    return feed(load_arrays(path), graph_intakes(compilation.graph, {EVERY: {"scale": 0.0625}}), path, limit=2)


def relabelled(program: Program, at: int, **changes: Any) -> Program:
    layers = list(program.layers)
    layers[at] = replace(layers[at], **changes)
    return replace(program, layers=tuple(layers))


def moved(program: Program) -> Program:
    """Return the program whose first instruction is said to come from the layer of its last."""
    other = next(location for location in reversed(program.locations) if location not in (program.locations[0], ()))
    return replace(program, locations=(other, *program.locations[1:]))


def with_meta(**facts: Any) -> Callable[[Program], Program]:
    return lambda program: replace(program, meta={**program.meta, **facts})


def without_meta(key: str) -> Callable[[Program], Program]:
    return lambda program: replace(program, meta={k: v for k, v in program.meta.items() if k != key})


PROVENANCE: dict[str, tuple[Callable[[Program], Program], str]] = {
    "location": (moved, r"^instruction 0 \(layer node_conv2d\): expected layer node_conv2d, found node_linear"),
    "no location": (lambda p: replace(p, locations=((),) * len(p.locations)), "expected layer node_conv2d, found none"),
    "layer's name": (lambda p: relabelled(p, 0, name="other"), "^layer "),
    "layer's tensor": (lambda p: relabelled(p, -1, tensor="other"), "^layer "),
    "layer's nodes": (lambda p: relabelled(p, -1, nodes=(*p.layers[-1].nodes, "other")), "^layer "),
    "layers' order": (lambda p: replace(p, layers=p.layers[::-1]), "^layer "),
    "a layer more": (lambda p: replace(p, layers=(*p.layers, replace(p.layers[0], name="other"))), "^layer other"),
    "no layers": (lambda p: replace(p, layers=()), "^table of layers: expected 7 layers, found none"),
    "model": (with_meta(model={"name": "x", "sha256": "0"}), "^meta 'model'"),
    "target": (with_meta(target={}), "^meta 'target'"),
    "options": (without_meta("options"), "^meta 'options'"),
    "ranges": (without_meta("ranges"), "^meta 'ranges'"),
    "a fact more": (with_meta(extra=1), "^meta 'extra': expected no such fact, found 1"),
    "a fact of nothing more": (with_meta(extra=None), "^meta 'extra': expected no such fact, found None"),
    "output": (lambda p: replace(p, outputs=(replace(p.outputs[0], name="other"),)), "^outputs"),
}


@pytest.mark.parametrize("part", PROVENANCE)
def test_provenance_is_compared(part: str, program: Program, emission: Emission) -> None:
    change, named = PROVENANCE[part]
    assert re.search(named, str(compare_programs(emission, change(program))))


@pytest.fixture(scope="module")
def emission(program: Program) -> Emission:
    return recompile(MODEL, program).emission
