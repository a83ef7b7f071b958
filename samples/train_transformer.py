"""Train the sample transformer on scikit-learn's bundled digits and write digits_transformer.onnx.

    pip install -e '.[samples]' && python samples/train_transformer.py

An image of 8 x 8 pixels is sixteen patches of 2 x 2; the mean over all of them is classified. The images and their
split are those of train_digits.py, and so are the arrays that the program is calibrated and scored on.
"""

import numpy as np
import torch
from torch import nn
from train_digits import SAMPLES, SCALE, SEED, accuracy, export, shifted, split_rows

WIDTH, HEADS, LAYERS, PATCH = 48, 4, 3, 2
EPOCHS, BATCH = 150, 64
MODEL = SAMPLES / "digits_transformer.onnx"


class Block(nn.Module):
    """Self-attention and two dense layers with Gelu, each behind a layer norm and beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.shape[1]
        parts = self.qkv(x).reshape(-1, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        scores = parts[0] @ parts[1].transpose(-2, -1) * (WIDTH // HEADS) ** -0.5
        mixed = torch.softmax(scores, dim=-1) @ parts[2]
        return self.out(mixed.transpose(1, 2).reshape(-1, tokens, WIDTH))


class DigitsTransformer(nn.Module):
    """Three blocks of width 48 and four heads: sixty thousand weights."""

    def __init__(self) -> None:
        super().__init__()
        places = (8 // PATCH) ** 2
        self.patches = nn.Conv2d(1, WIDTH, PATCH, stride=PATCH)
        self.places = nn.Parameter(0.02 * torch.randn(1, places, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(image).flatten(2).transpose(1, 2)
        x = self.norm(self.blocks(tokens + self.places))
        return self.head(x.mean(dim=1))


def train(x: np.ndarray, y: np.ndarray) -> DigitsTransformer:
    """A trained network, the same one on every run on one machine."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    model = DigitsTransformer()
    images, labels = torch.from_numpy(x).float() * SCALE, torch.from_numpy(y).long()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=5e-2)
    steps = EPOCHS * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images), generator=generator).split(BATCH):
            optimiser.zero_grad()
            scores = model(shifted(images[rows], generator))
            nn.functional.cross_entropy(scores, labels[rows], label_smoothing=0.1).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def main() -> None:
    parts = split_rows()
    export(train(*parts["train"]), MODEL)
    for name, (x, y) in parts.items():
        print(f"{name:5}  {len(x):5} rows  accuracy {accuracy(MODEL, x, y):.2%}")


if __name__ == "__main__":
    main()
