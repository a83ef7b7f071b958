"""The same bytes in any environment, and on any machine where ranges are stored: nothing depends on what is around."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from cimc.command_line import main

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
SCRIPT, SAMPLES = ROOT / "samples" / "bench" / "determinism.py", ROOT / "samples"
AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "hash seed 12345": {"PYTHONHASHSEED": "12345"},
    "two threads": {"PYTHONHASHSEED": "random", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "no AVX-512": {"NPY_DISABLE_CPU_FEATURES": AVX512},
    "no AVX2": {"NPY_DISABLE_CPU_FEATURES": f"AVX2 FMA3 {AVX512} X86_V3 X86_V4"},
    "OpenBLAS for Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "no kernels": {},
}
DIGITS = [SAMPLES / f"digits{end}" for end in (".onnx", "_calib.npz", "_test.npz")]
SHARED = ROOT.parent / "shared" / "models"
MODELS = {
    "digits": [*DIGITS, "0.0625"],
    "transformer": [SAMPLES / "digits_transformer.onnx", *DIGITS[1:], "0.0625"],
    "kws": [
        SHARED / "kws_dscnn_fp32.onnx",
        *(SHARED / "data" / f"kws01_{end}.npz" for end in ("calib100", "test500")),
        "1",
    ],
}


def made(model: str, environment: str) -> dict[str, str]:
    """Return the lines that the script prints of a model, by file, in an environment."""
    options = ["--without-kernels"] if environment == "no kernels" else []
    done = subprocess.run(
        [sys.executable, SCRIPT, *MODELS[model], *options],
        env={"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"} | os.environ | ENVIRONMENTS.get(environment, {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: digest for digest, name in (line.split("  ") for line in done.stdout.splitlines())}


@pytest.mark.nightly
@pytest.mark.parametrize("model", MODELS)
def test_all_that_is_made_of_a_model_is_the_same_in_any_environment(model: str) -> None:
    if not Path(str(MODELS[model][0])).exists():
        pytest.skip(f"{MODELS[model][0]} is not here")
    wanted = made(model, "plain")
    assert len(wanted) == 9
    found = {environment: made(model, environment) for environment in ENVIRONMENTS}
    assert found == dict.fromkeys(ENVIRONMENTS, wanted)


@pytest.mark.parametrize("model", ["digits", "digits_transformer"])
def test_a_program_compiled_from_stored_ranges_has_the_stored_hash(model: str, tmp_path: Path, bless: bool) -> None:
    ranges, stored, program = HERE / f"{model}.ranges.json", HERE / f"{model}.sha256", tmp_path / "p.cimb"
    compiling = ["compile", str(SAMPLES / f"{model}.onnx"), "--scale", "0.0625", "-o", str(program)]
    if bless:
        assert main([*compiling, "--calib", str(DIGITS[1]), "--write-ranges", str(ranges)]) == 0
    assert main([*compiling, "--ranges", str(ranges)]) == 0
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    if bless:
        stored.write_text(f"{digest}\n")
    assert stored.read_text() == f"{digest}\n", "programs have changed: `pytest --bless` where that is meant"
