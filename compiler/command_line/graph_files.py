"""Graphs as files: IR text, and its large weights beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from cimc.command_line.files import weights_beside, writing
from cimc.diagnostics import DiagnosticError, fail
from cimc.ir.graph import Graph
from cimc.ir.inline import beside
from cimc.ir.text import parse_graph, print_graph
from cimc.isa.atomic import write_files
from cimc.isa.errors import CimcError
from cimc.isa.opening import read_regular

MOST_PROBLEMS = 100
"""How many problems of a text are told one by one."""


def write_graph(graph: Graph, path: Path) -> None:
    """Write IR text to `path` and, where it has large weights, those beside it."""
    from safetensors.numpy import save as to_bytes

    large = beside(graph.weights)
    files = {weights_beside(path): [to_bytes(large)]} if large else {}
    with writing(path):
        write_files({**files, path: [print_graph(graph).encode()]})


def _few(problems: Sequence[str]) -> Iterator[str]:
    """Yield the first problems, and how many more there are: a text of others can have a hundred thousand."""
    yield from problems[:MOST_PROBLEMS]
    if len(problems) > MOST_PROBLEMS:
        yield f"{len(problems) - MOST_PROBLEMS:,} more problems"


def read_graph(path: Path) -> Graph:
    """Return the graph of an IR text; its digest is that of the text in full. Raises CimcError CIM0306."""
    from safetensors import SafetensorError
    from xdsl.utils.exceptions import ParseError, VerifyException

    from cimc.ir.verify import malformed, verify

    try:
        graph = replace(parse_graph(read_regular(path, "text_bytes").decode(), str(path)), name=path.stem)
        if weights_beside(path).exists():
            graph.weights.load(weights_beside(path))
        problems = malformed(graph) or verify(graph)
    except (ParseError, VerifyException, SafetensorError) as error:
        message = str(error).strip()
        raise fail("CIM0306", message if message.startswith(str(path)) else f"{path}: {message}") from None
    except UnicodeDecodeError:
        raise fail("CIM0306", f"{path} is not text") from None
    except (CimcError, OSError):
        raise
    except Exception as error:  # whatever xdsl and our operations raise on a text that no printer of ours wrote
        reason = str(error) or type(error).__name__
        raise fail("CIM0306", f"{path}: not IR: {reason}", hint="write it with --compile-to") from None
    if problems:
        raise DiagnosticError(
            [d for problem in _few(problems) for d in fail("CIM0306", f"{path}: {problem}").diagnostics]
        )
    return replace(graph, digest=sha256(print_graph(graph).encode()).hexdigest())
