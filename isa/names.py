"""Names from files and of people: how they are shown, and what one that is not known may have meant."""

from collections.abc import Iterable


def shown(text: str, longest: int = 400) -> str:
    """Return text that holds names from files on one line: control characters escaped, a long middle left out."""
    if len(text) > longest:
        text = f"{text[: longest // 2]} ... {text[-(longest // 2) :]}"
    return escaped(text)


def escaped(text: str) -> str:
    """Return text with its control characters escaped, newlines too."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shown_lines(text: str, longest: int = 4000) -> str:
    """Return a message of several lines, all behind the first indented: no name makes a line of its own."""
    first, *rest = text.split("\n")
    further = [line if line.startswith(" ") else f"    {line}" for line in rest]
    return "\n".join(shown(line, longest) for line in (first, *further))


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the hint for a word that is not known: the nearest that is, or `otherwise`."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else otherwise


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a word is most like, None where it is like none."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), 1)), None)
