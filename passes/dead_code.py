"""Remove operations whose results nobody uses, weights that no operation names, and channels that are always zero."""

from dataclasses import dataclass
from typing import ClassVar

from cimc.ir.dead_code import drop_unused, drop_weights
from cimc.ir.graph import Graph
from cimc.passes.channels import drop_zero_channels
from cimc.passes.choices import require_choice

CHANNELS = ("keep", "drop")
"""What the option `channels` may say."""


@dataclass(frozen=True)
class DeadCode:
    """Keep what an output depends on; inputs stay, they are the model's interface.

    With channels=drop, columns of a layer that are zero with their bias are dropped, with the rows that read them.
    """

    name: ClassVar[str] = "dead-code"
    channels: str = CHANNELS[0]

    def __call__(self, graph: Graph) -> Graph:
        require_choice(self.name, "channels", self.channels, CHANNELS)
        drop_unused(graph)
        if self.channels == "drop":
            drop_zero_channels(graph)
        drop_weights(graph)
        return graph
