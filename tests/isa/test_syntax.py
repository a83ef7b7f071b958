"""What is said of text that the grammar refuses, where a case file could not hold it: control characters."""

import io

import pytest

from cimc.isa.assemble import parse
from cimc.isa.errors import IsaError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (".cimc 1\n\f    halt\n", r"p:2:1: error[CIM0402]: unknown instruction '\x0c'"),
        ('.cimc 1\n\v.code "x"\n', r"p:2:1: error[CIM0402]: unknown instruction '\x0b'"),
        (".cimc 1\nhalt\n\r\r\n", r"p:3:1: error[CIM0402]: unknown instruction '\r'"),
        (".cimc 1\n\N{NO-BREAK SPACE}halt\n", r"p:2:1: error[CIM0402]: unknown instruction '\xa0'"),
        (".cimc 1\r\v\nhalt\n", r"p:1:8: error[CIM0401]: directive .cimc with \r, wanted .cimc INTEGER"),
    ],
)
def test_what_only_looks_like_space_is_shown(text: str, said: str) -> None:
    with pytest.raises(IsaError) as caught:
        parse(text, lambda name: io.BytesIO(), "p")
    assert str(caught.value) == said
