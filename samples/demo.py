"""The whole road once, on the sample model: compile, score, run, verify. `make demo` runs this.

Each command is printed before it runs, so that it can be typed again by hand.
"""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
SAMPLES, OUT = Path("samples"), Path("build/demo")

MODEL, CALIB, TEST = SAMPLES / "digits.onnx", SAMPLES / "digits_calib.npz", SAMPLES / "digits_test.npz"
PROGRAM, OUTPUTS = OUT / "digits.asm", OUT / "y.npz"
SCALE = "--scale 0.0625"

STEPS = (
    (
        "Compile the trained model for one 1024 x 512 crossbar array.",
        f"cimc compile {MODEL} --calib {CALIB} {SCALE} --target aon-cim -o {PROGRAM}",
    ),
    (
        "Score the program on 400 images that neither training nor calibration has seen.",
        f"cimc eval {PROGRAM} --data {TEST}",
    ),
    (
        "Run the program and keep its outputs.",
        f"cimc run {PROGRAM} --input {TEST} -o {OUTPUTS}",
    ),
    (
        "Prove that the program computes what onnxruntime computes, tensor by tensor.",
        f"cimc verify {MODEL} {PROGRAM} --input {TEST} --limit 16",
    ),
)


def run_step(number: int, purpose: str, command: str) -> None:
    """Print and run one command; end the demo with its exit status if it fails."""
    print(f"\n[{number}/{len(STEPS)}] {purpose}\n$ {command}", flush=True)
    status = subprocess.run(shlex.split(command), cwd=ROOT, check=False).returncode
    if status:
        sys.exit(f"demo: step {number} ended with status {status}; the lines above say why")


def first_answer() -> str:
    """The first test image as characters, beside what the program and the label say."""
    data = np.load(ROOT / TEST)
    with np.load(ROOT / OUTPUTS) as outputs:
        answer = int(outputs["logits"][0].argmax())
    rows = ["".join(" .:-=+*#%@"[int(value) * 9 // 16] * 2 for value in row) for row in data["x"][0, 0]]
    return "\n".join(f"    {row}" for row in rows) + f"\n    the program says {answer}, the label says {data['y'][0]}"


def main() -> None:
    if not shutil.which("cimc"):
        sys.exit("demo: no cimc command on the path; `make demo` brings its own")
    (ROOT / OUT).mkdir(parents=True, exist_ok=True)
    for number, (purpose, command) in enumerate(STEPS, start=1):
        run_step(number, purpose, command)
    print(f"\nThe first test image:\n\n{first_answer()}\n")
    print(
        f"{MODEL} is now {PROGRAM}: a program of integer instructions, conductance targets and digital\n"
        "constants. It was scored, run, and proved equal to the integer graph that onnxruntime executes.\n"
        f"Next: read {PROGRAM}, or give `cimc compile` a model of your own."
    )


if __name__ == "__main__":
    main()
