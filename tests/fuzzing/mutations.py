"""Small damage to files: bytes turned over, words and numbers put in the place of others, lines twice or gone."""

import re
from random import Random

TOKEN = re.compile(r'-?\d+\.\d+(?:e-?\d+)?|-?\d+|[A-Za-z_][\w.]*|"[^"\n]*"|\s+|.', re.DOTALL)
NUMBER = re.compile(r"-?\d+(\.\d+)?")
EDGES = [0, 1, -1, 2, 7, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, -(2**63)]
WORDS = [
    "nan",
    "inf",
    "1e400",
    "1e-400",
    "9" * 5000,
    "true",
    "null",
    '""',
    '"\x1b[2J"',
    "[]",
    "{}",
    "\0",
    "[" * 3000,
    "-",
    "1.5",
]


def bytes_changed(content: bytes, random: Random) -> bytes:
    """Return a file with a few bytes turned over, set, left out, put in or taken from elsewhere in it."""
    found = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 4, 16])):
        at, other = random.randrange(len(found) + 1), random.randrange(len(found) + 1)
        match random.randrange(5):
            case 0:
                found[at : at + 1] = bytes(byte ^ 1 << random.randrange(8) for byte in found[at : at + 1])
            case 1:
                found[at : at + 1] = random.choice([b"\0", b"\xff", b"\x7f", b"\x80"])
            case 2:
                del found[at : at + random.choice([1, 2, 8, 64])]
            case 3:
                found[at:at] = random.randbytes(random.choice([1, 2, 8]))
            case _:
                found[at : at + 8] = found[other : other + 8]
    return bytes(found)


def text_changed(content: bytes, random: Random) -> bytes:
    """Return a text with a few of its words changed; what is not text in it stays as it is."""
    tokens = TOKEN.findall(content.decode("utf-8", "surrogateescape"))
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        _change(tokens, random)
    return "".join(tokens).encode("utf-8", "surrogateescape")


def _change(tokens: list[str], random: Random) -> None:
    """Change one word: a number often, since that is what most rules are about."""
    at, other = random.randrange(len(tokens)), random.randrange(len(tokens))
    numbers = [index for index in random.choices(range(len(tokens)), k=12) if NUMBER.fullmatch(tokens[index])]
    match random.randrange(8):
        case 0 | 1 | 2 if numbers:
            tokens[numbers[0]] = str(random.choice(EDGES))
        case 3:
            tokens[at] = random.choice(WORDS)
        case 4:
            tokens[at : at + random.choice([1, 5, 40])] = [" "]
        case 5:
            tokens.insert(at, tokens[other])
        case _:
            tokens[at], tokens[other] = tokens[other], tokens[at]
