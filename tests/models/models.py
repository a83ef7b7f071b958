"""The real models, the data that goes with each, and what each must reach."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_line.test_cases import run
from numpy.typing import NDArray

from cimc.driving.arrays import feed, load_arrays
from cimc.driving.driver import graph_intakes
from cimc.driving.feeding import EVERY
from cimc.frontend import load

UNIT = ("--scale", "0.00392156862745098")


@dataclass(frozen=True)
class Model:
    """A model file's stem, its data, how raw arrays are fed, and the bounds of its score on the test set."""

    stem: str
    calibration: str
    test: str
    feeding: tuple[str, ...]
    low: float
    high: float = 1.0
    metric: str = "accuracy"
    agreement: float = 0.0
    """Least share of samples on which the program and the float model have the same top-1."""
    layouts: tuple[str, ...] = ("",)

    @property
    def stated(self) -> dict[str, float]:
        """The options of `feeding` by the names of a Preprocessing's members."""
        options, values = self.feeding[::2], map(float, self.feeding[1::2])
        return {option.removeprefix("--"): value for option, value in zip(options, values, strict=True)}


BOTH = ("", "_nchw")
MODELS = (
    Model("mnist_lenet5_fp32", "mnist_calib512", "mnist_test10k", UNIT, 0.990),
    Model("mnist_mlp3_fp32", "mnist_calib512", "mnist_test10k", UNIT, 0.980),
    Model("mnist_lstm64_fp32", "mnist_calib512", "mnist_test10k", UNIT, 0.9804),
    Model("mnist_lstm64_noinit_fp32", "mnist_calib512", "mnist_test10k", UNIT, 0.9804),
    Model("resnet8_cifar10_fp32", "cifar10_calib256", "cifar10_test1000", (), 0.871, layouts=BOTH),
    Model(
        "kws_dscnn_fp32",
        "kws01_calib100",
        "kws01_test500",
        ("--offset", "-83", "--scale", "0.5847029"),
        0.888,
        layouts=BOTH,
    ),
    Model("vww_mobilenetv1_fp32", "vww_coco_calib64", "vww_coco_val128", UNIT, 0.85, agreement=0.93, layouts=BOTH),
    Model("ad01_autoencoder_fp32", "ad01_calib64", "ad01_test132", (), 9.436 * 0.95, 9.436 * 1.05, "mse"),
)

SHORT = ("mnist_lenet5_fp32", "resnet8_cifar10_fp32", "kws_dscnn_fp32")
"""What `hermes-64` must hold."""


@dataclass(frozen=True)
class Job:
    """One model in one layout on one target, in a folder of its own."""

    model: Model
    layout: str
    target: str
    shared: Path
    folder: Path

    @property
    def file(self) -> str:
        return str(self.shared / f"{self.model.stem}{self.layout}.onnx")

    @property
    def program(self) -> str:
        return str(self.folder / "p.cimb")

    def data(self, name: str) -> str:
        return str(self.shared / "data" / f"{name}.npz")

    def inputs(self) -> dict[str, NDArray[Any]]:
        """Return the test set as the model wants it."""
        path = self.data(self.model.test)
        return feed(load_arrays(path), graph_intakes(load(Path(self.file)), {EVERY: self.model.stated}), path)

    def ok(self, command: str, *arguments: str) -> str:
        """Run a command, which must end well; return its output."""
        status, output = run([command, *arguments])
        assert status == 0, output
        return output

    def compile(self, *options: str) -> str:
        calibration = ["--calib", self.data(self.model.calibration), *self.model.feeding]
        return self.ok("compile", self.file, *calibration, "--target", self.target, "-o", self.program, *options)

    def test(self, command: str, *arguments: str) -> str:
        """Run `eval`, `run` or `verify` on the test set, which is preprocessed as the program says."""
        option = "--data" if command == "eval" else "--input"
        return self.ok(command, *arguments, option, self.data(self.model.test))
