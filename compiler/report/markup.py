"""HTML and SVG as nested elements: what is not markup is escaped, wherever it comes from."""

import html

from cimc.driving.measures import plain
from cimc.isa.names import escaped


class Markup(str):
    """Text that is markup already; every other string is escaped where it is put into an element."""

    __slots__ = ()


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element; `class_` and the like lose their last _, and _ within names becomes -. None is left out."""
    stated = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    said = "".join(f' {key}="{_text(value)}"' for key, value in stated)
    return Markup(f"<{name}{said}>{joined(*children)}</{name}>")


def joined(*children: object) -> Markup:
    """Return children one behind another, each escaped unless it is markup."""
    return Markup("".join(child if isinstance(child, Markup) else _text(child) for child in children))


def _text(value: object) -> str:
    """Return text that neither ends where it stands nor hides: names may hold anything."""
    return html.escape(escaped(str(value)))


def table(heads: list[str], rows: list[list[object]], *, sortable: bool = False) -> Markup:
    """Return a table; numbers are set to the right. A sortable one has a button in each head."""
    top = (element("th", element("button", head, type="button") if sortable else head, scope="col") for head in heads)
    body = (element("tr", *map(_cell, row)) for row in rows)
    whole = element(
        "table", element("thead", element("tr", *top)), element("tbody", *body), class_="sortable" if sortable else None
    )
    return element("div", whole, class_="wide", tabindex="0")


def _cell(value: object) -> Markup:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return element(
            "td", f"{value:,}" if isinstance(value, int) else plain(value), class_="number", data_value=value
        )
    return element("td", value)
