"""Text of the IR: generic MLIR form with locations, printed and parsed as inverses."""

from io import StringIO

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, ModuleOp
from xdsl.parser import Parser
from xdsl.printer import Printer

from cimc.ir.loops import Loops
from cimc.ir.nn import Codes, Nn
from cimc.ir.xbar import Xbar


def context() -> Context:
    """Return a context that knows every dialect of ours and no other."""
    result = Context()
    for dialect in (Builtin, Codes, Nn, Loops, Xbar):
        result.load_dialect(dialect)
    return result


def print_module(module: ModuleOp) -> str:
    """Return the module's text; equal modules give equal text."""
    stream = StringIO()
    Printer(stream, print_generic_format=True, print_debuginfo=True).print_op(module)
    return stream.getvalue() + "\n"


def parse_module(source: str, name: str = "<ir>") -> ModuleOp:
    """Return the module of a text. Raises xdsl's ParseError with the place."""
    return Parser(context(), source, name).parse_module()
