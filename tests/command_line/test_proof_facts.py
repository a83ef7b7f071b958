"""The proof as one JSON object."""

import json

import pytest
from command_line.conftest import Command


@pytest.mark.parametrize(
    ("options", "failure"),
    [
        ("", ""),
        ("--no-float", ""),
        ("--min-sqnr 200", "--min-sqnr asks for 200"),
    ],
)
def test_a_proof_is_one_object(options: str, failure: str, cimc: Command) -> None:
    assert cimc("compile good.onnx --calib rows.npz --scale 2 -o p.cimb")[0] == 0
    status, output = cimc(f"verify good.onnx p.cimb --input rows.npz --json {options}")
    found = json.loads(output.splitlines()[-1])
    assert (status, found["ok"]) == (int(bool(failure)), not failure)
    assert [failure in sentence for sentence in found["failures"]] == [True] * bool(failure)
    assert [row["label"] for row in found["tensors"]] == ["x", "y"]
    assert found["feeding"] == {"x": {"data": "raw", "preprocessing": {"scale": 2.0}}}
    assert ("float_model" in found) == ("no-float" not in options)


def test_another_model_is_named(cimc: Command) -> None:
    assert cimc("compile good.onnx --calib rows.npz -o p.cimb")[0] == 0
    status, output = cimc("verify autoencoder.onnx p.cimb --input rows.npz --json")
    (failure,) = json.loads(output.splitlines()[-1])["failures"]
    assert status == 1 and "sha256 of the model file" in failure
