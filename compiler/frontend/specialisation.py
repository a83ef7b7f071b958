"""What a user says of a model file that it leaves open: it stays with the program, so that `verify` compiles again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cimc.frontend.stated_constants import Constants
from cimc.frontend.stated_shapes import Shapes


@dataclass(frozen=True)
class Specialisation:
    """No axis of an `unbatched` model is a batch: one run of it is one sample.

    `shapes` are sizes of inputs that the file leaves open, `constants` what inputs always are, by name.
    """

    unbatched: bool = False
    shapes: Shapes = field(default_factory=dict)
    constants: Constants = field(default_factory=dict)

    @staticmethod
    def of(facts: Mapping[str, Any]) -> "Specialisation":
        """Return what `facts` of a program give. Raises TypeError and AttributeError where a program of others lies."""
        shapes, constants = facts.get("shapes", {}), facts.get("constants", {})
        sizes = (size for shape in shapes.values() for size in shape if size is not None)
        _require("shapes that are whole numbers", sizes, int)
        _require("constants that are numbers", constants.values(), int, float)
        return Specialisation(
            bool(facts.get("unbatched")),
            {str(name): tuple(shape) for name, shape in shapes.items()},
            {str(name): number for name, number in constants.items()},
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What a program says of it, without what says nothing."""
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        found = {"unbatched": self.unbatched, "shapes": shapes, "constants": dict(self.constants)}
        return {name: value for name, value in found.items() if value}


AS_THE_FILE = Specialisation()
"""Nothing is said: everything is as the file has it."""


def _require(what: str, numbers: Iterable[Any], *kinds: type) -> None:
    for number in numbers:
        if type(number) not in kinds:
            raise TypeError(f"{what}: {number!r}")
