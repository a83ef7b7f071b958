"""Train the sample model on scikit-learn's bundled digits and write digits.onnx, digits_calib.npz and digits_test.npz.

    pip install -e '.[samples]' && python samples/train_digits.py

The 1797 images (8 x 8, values 0 to 16) are shuffled once and cut into three disjoint parts: 400 to test, 200 to
calibrate, the rest to train. The arrays keep the raw values as bytes; the model wants them scaled by 1/16.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from sklearn.datasets import load_digits
from torch import nn

SAMPLES = Path(__file__).parent
SEED = 0
TEST_ROWS, CALIB_ROWS = 400, 200
EPOCHS, BATCH = 60, 64
SCALE = 1 / 16


class DigitsNet(nn.Module):
    """Two convolutions, a residual block, two poolings and a dense layer: ten thousand weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 24, 3, padding=1)
        self.conv3 = nn.Conv2d(24, 24, 3, padding=1)
        self.dense = nn.Linear(24 * 2 * 2, 10)
        self.pool = nn.MaxPool2d(2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.conv1(image)))
        x = torch.relu(self.conv2(x))
        x = self.pool(torch.relu(x + self.conv3(x)))
        return self.dense(torch.flatten(x, 1))


def split_rows() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The digits as disjoint parts `test`, `calib` and `train`, each (x [n,1,8,8] bytes, y [n] bytes)."""
    digits = load_digits()
    x = digits.images.astype(np.uint8)[:, np.newaxis]
    y = digits.target.astype(np.uint8)
    order = np.random.default_rng(SEED).permutation(len(x))
    test, calib, train = np.split(order, [TEST_ROWS, TEST_ROWS + CALIB_ROWS])
    return {name: (x[rows], y[rows]) for name, rows in (("test", test), ("calib", calib), ("train", train))}


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image moved by -1, 0 or 1 pixel in both directions, zeros moving in."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    offsets = torch.randint(0, 3, (len(images), 2), generator=generator).tolist()
    return torch.stack([one[:, i : i + 8, j : j + 8] for one, (i, j) in zip(padded, offsets, strict=True)])


def train(x: np.ndarray, y: np.ndarray) -> DigitsNet:
    """A trained network, the same one on every run on one machine."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    model = DigitsNet()
    images, labels = torch.from_numpy(x).float() * SCALE, torch.from_numpy(y).long()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    steps = EPOCHS * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images), generator=generator).split(BATCH):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(shifted(images[rows], generator)), labels[rows])
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def export(model: DigitsNet, path: Path) -> None:
    """Write the network as one ONNX file with input `image`, output `logits` and a free batch."""
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 1, 8, 8),),
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    for part in (proto, proto.graph):
        part.ClearField("metadata_props")
    for item in (*proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def accuracy(path: Path, x: np.ndarray, y: np.ndarray) -> float:
    """The share of rows whose largest logit, by onnxruntime, is the label."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": x.astype(np.float32) * np.float32(SCALE)})
    return float((logits.argmax(axis=1) == y).mean())


def main() -> None:
    parts = split_rows()
    model_path = SAMPLES / "digits.onnx"
    export(train(*parts["train"]), model_path)
    for name in ("calib", "test"):
        x, y = parts[name]
        np.savez_compressed(SAMPLES / f"digits_{name}.npz", x=x, y=y)
    for name, (x, y) in parts.items():
        print(f"{name:5}  {len(x):5} rows  accuracy {accuracy(model_path, x, y):.2%}")


if __name__ == "__main__":
    main()
