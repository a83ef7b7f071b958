"""What is fuzzed: a sound file, how it is damaged, and the commands that must take it or refuse it."""

import hashlib
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import onnx
from command_line.files import FILES
from command_line.test_cases import run
from frontend.test_operators import CASES
from fuzzing.mutations import arrays_changed, bytes_changed, model_changed, text_changed
from sweep.conftest import GRID, SAMPLES

from cimc.backends.noise import profiles
from cimc.isa.binary import ALIGNMENT, HEADER_BYTES, SECTIONS
from cimc.isa.container import load_program
from cimc.isa.encode import encode_all
from cimc.isa.errors import CimcError
from cimc.isa.manifest import to_bytes
from cimc.sweep.grid import read_grid

Command = Callable[[str], tuple[int, str]]


def cimc(words: str, name: str) -> tuple[int, str]:
    """Run a command on the damaged file, which stands for {}; return its status and what it printed."""
    return run(words.replace("{}", name).split())


def grid(name: str) -> tuple[int, str]:
    """Read a sweep as `cimc sweep` does, without its trials."""
    try:
        return 0, str(read_grid(Path(name)))
    except CimcError as error:
        return error.status, str(error)


@dataclass(frozen=True)
class Target:
    """A kind of file: its name, the sound content, what damages it, the commands, and what lies beside it."""

    name: str
    sound: Callable[[], bytes]
    damage: Callable[[bytes, Random], bytes]
    commands: tuple[Command, ...]
    beside: tuple[str, ...] = ()


def either(content: bytes, random: Random) -> bytes:
    """Damage a text as text, or as bytes."""
    return (bytes_changed if random.random() < 0.2 else text_changed)(content, random)


def packed(content: bytes, random: Random) -> bytes:
    """Damage the arrays of an npz, or its bytes, most of which a checksum tells."""
    return (bytes_changed if random.random() < 0.2 else arrays_changed)(content, random)


def operator_changed(_: bytes, random: Random) -> bytes:
    """Return a damaged model of one of the operators, whichever the file was."""
    return bytes(model_changed(CASES[random.choice(list(CASES))], random).SerializeToString(deterministic=True))


def without_hashes(content: bytes) -> bytes:
    """Return program text without the hashes that any damage would break."""
    text = re.sub(r"^\.(target|manifest|code) .*\n", "", content.decode(), flags=re.MULTILINE)
    return re.sub(r"^(\.(?:constants|conductances) \d+) .*$", r"\1", text, flags=re.MULTILINE).encode()


def resealed(content: bytes, random: Random) -> bytes:
    """Damage a section of a binary program of any format version, and make its checksums anew."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "p.cimb"
        path.write_bytes(content)
        program = load_program(path)
    sections = [to_bytes(program), encode_all(program.instructions), program.constants, program.conductances]
    chosen, version = random.randrange(len(sections)), random.choice(list(ALIGNMENT))
    sections[chosen] = bytes_changed(sections[chosen], random)
    start, parts, end = content[:8] + version.to_bytes(4, "little") + content[12:80], list[bytes](), HEADER_BYTES
    for name, section in zip(SECTIONS, sections, strict=True):
        zeros = bytes(-end % ALIGNMENT[version])
        start += struct.pack("<8sQQ32s", name, end + len(zeros), len(section), hashlib.sha256(section).digest())
        parts += [zeros, section]
        end += len(zeros) + len(section)
    return b"".join((start, hashlib.sha256(start).digest(), *parts))


def external() -> bytes:
    """A model whose weights lie in another file."""
    model = onnx.load_from_string(FILES["good.onnx"]())
    for tensor in model.graph.initializer:
        tensor.raw_data = onnx.numpy_helper.to_array(tensor).tobytes()
        onnx.external_data_helper.set_external_data(tensor, "digits.payload", offset=0, length=len(tensor.raw_data))
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
    return bytes(model.SerializeToString(deterministic=True))


def made(words: str, name: str) -> bytes:
    """Return a file that a command makes of the sample program."""
    with TemporaryDirectory() as folder:
        for each in ("digits.cimb", "images.npz"):
            (Path(folder) / each).write_bytes(FILES[each]())
        status, output = run(words.format(folder=folder).split())
        assert status == 0, output
        return (Path(folder) / name).read_bytes()


COMPILING = "compile {} --target ideal --no-float-check -o out.cimb"
RUN = "--input images.npz --scale 0.0625 --limit 1"
BANDS = "bands {folder}/digits.cimb --input {folder}/images.npz --noise pcm --seeds 2 -o {folder}/bands.npz"
CHIP = "chip {folder}/digits.cimb --noise pcm --time 1d -o {folder}/chip.npz"
LAYERS = "run {folder}/digits.cimb --input {folder}/images.npz --limit 1 --layers --adc -o {folder}/layers.npz"
TRACE = "trace {folder}/digits.cimb --input {folder}/images.npz --samples 0:1 --vectors 2 -o {folder}/run.trace"
PROFILE = Path(str(profiles.__file__)).parent / "pcm.toml"


def _commands(*lines: str) -> tuple[Command, ...]:
    return tuple(partial(cimc, line) for line in lines)


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("m.onnx", FILES["good.onnx"], bytes_changed, _commands("check {}", COMPILING)),
        Target("o.onnx", FILES["good.onnx"], operator_changed, _commands("check {}", COMPILING)),
        Target("e.onnx", external, text_changed, _commands("check {}", COMPILING), ("digits.payload",)),
        Target(
            "a.asm",
            lambda: without_hashes(FILES["digits.asm"]()),
            either,
            _commands("lint {}", f"run {{}} {RUN} -o out.npz"),
            ("digits.payload", "images.npz"),
        ),
        Target(
            "b.cimb",
            FILES["digits.cimb"],
            resealed,
            _commands("objdump {}", f"run {{}} {RUN} -o out.npz"),
            ("images.npz",),
        ),
        Target(
            "i.mlir",
            FILES["small.mlir"],
            either,
            _commands("opt {} -o out.mlir", "compile {} --from import -o out.asm"),
        ),
        Target("t.mlir", FILES["tile.mlir"], either, _commands("compile {} --from tile -o out.asm")),
        Target(
            "t.toml",
            FILES["same.toml"],
            either,
            _commands("target show {}", "compile good.onnx --no-float-check --target {} -o out.cimb"),
            ("good.onnx",),
        ),
        Target(
            "p.toml",
            PROFILE.read_bytes,
            either,
            _commands("noise show {}", f"run digits.cimb {RUN} --noise {{}} --time 1d -o out.npz"),
            ("digits.cimb", "images.npz"),
        ),
        Target(
            "r.json",
            FILES["digits.json"],
            either,
            _commands("compile digits.onnx --no-float-check --ranges {} -o out.cimb"),
            ("digits.onnx",),
        ),
        Target(
            "s.toml",
            lambda: GRID.format(samples=SAMPLES, grid="seeds = 2\nnoise = ['pcm']", limit=4).encode(),
            either,
            (grid,),
        ),
        Target(
            "b.npz",
            lambda: made(BANDS, "bands.npz"),
            packed,
            _commands("check-silicon {} images.npz"),
            ("images.npz",),
        ),
        Target(
            "x.npz",
            FILES["images.npz"],
            packed,
            _commands("run digits.cimb --input {} --limit 1 -o out.npz"),
            ("digits.cimb",),
        ),
        Target(
            "c.npz",
            lambda: made(CHIP, "chip.npz"),
            packed,
            _commands(f"run digits.cimb {RUN} --chip {{}} -o out.npz", "diagnose digits.cimb --chip {}"),
            ("digits.cimb", "images.npz"),
        ),
        Target(
            "l.npz",
            lambda: made(LAYERS, "layers.npz"),
            packed,
            _commands(f"twin digits.cimb {RUN} --measured {{}} -o out.npz"),
            ("digits.cimb", "images.npz"),
        ),
        Target("r.trace", lambda: made(TRACE, "run.trace"), either, _commands("trace-diff {} {}")),
    )
}
"""Kind of file -> what is tried on it; its name is that of the file."""
