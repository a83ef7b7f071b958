"""Names that nothing has yet."""

from collections.abc import Iterable


class FreshNames:
    """The names in use. A wish that is taken gets a number behind it, counted from `first`: NAME.2, NAME.3 ..."""

    def __init__(self, taken: Iterable[str], first: int = 2) -> None:
        self._taken = set(taken)
        self._first = first
        self._next: dict[str, int] = {}

    def fresh(self, wish: str) -> str:
        """Return the wish, or the first numbered one that is free; it is taken from then on."""
        name, number = wish, self._next.get(wish, self._first)
        while name in self._taken:
            name = f"{wish}.{number}"
            number += 1
        self._taken.add(name)
        self._next[wish] = number
        return name
