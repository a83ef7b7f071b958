"""What cimc allows itself to read and to compute for files of others, each figure once; all can be set."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from cimc.isa.errors import BUDGET, USAGE, CimcError, Code
from cimc.isa.names import did_you_mean

CODES: Mapping[str, Code] = {
    "CIM0006": Code(
        "a budget is exceeded",
        BUDGET,
        "A file asks for more memory, work or depth than cimc grants to files of others; nothing of it was begun. "
        "The message names the figure and the budget; `--budget NAME=NUMBER` sets it. docs/trust.md lists all budgets.",
    ),
    "CIM0007": Code("no such budget", USAGE, "Budgets are set by `--budget NAME=NUMBER`; docs/trust.md lists them."),
}

FACTORS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class OverBudget(CimcError):
    """More is asked for than a budget allows (CIM0006); or a budget that does not exist is set (CIM0007)."""

    codes = CODES


@dataclass(frozen=True)
class Budgets:
    """The budgets, with defaults that let GPT-2 small, VGG-19 and chains of 20,000 nodes pass.

    `folded_bytes`, `value_bytes` and `array_bytes` are what is granted beside 8, 64 and 200 times the bytes stored,
    `onnxruntime_bytes` beside 3 times those and the values of a run, and beside what onnxruntime itself occupies.
    """

    model_bytes: int = 2 << 30
    external_bytes: int = 4 << 30
    nodes: int = 100_000
    nesting: int = 64
    function_calls: int = 100_000
    tensor_bytes: int = 2 << 30
    value_bytes: int = 4 << 20
    folded_bytes: int = 64 << 20
    folded_operations: int = 1 << 32
    text_bytes: int = 64 << 20
    toml_bytes: int = 1 << 20
    json_bytes: int = 16 << 20
    digits: int = 4000
    depth: int = 100
    array_bytes: int = 64 << 20
    trials: int = 1_000_000
    instructions: int = 1 << 28
    onnxruntime_bytes: int = 384 << 20
    onnxruntime_seconds: int = 10


FOLDED_TIMES, VALUE_TIMES, ARRAY_TIMES = 8, 64, 200
"""How often the bytes stored are granted beside `folded_bytes`, `value_bytes` and `array_bytes`."""
STORED_TIMES, SECOND_BYTES = 3, 16 << 20
"""How often the bytes stored are granted beside `onnxruntime_bytes`, and for how many a second beside its seconds."""


class _Policy:
    """The budgets of this process, as a umask is: set once at the start, by whoever owns the process."""

    budgets = Budgets()


def budgets() -> Budgets:
    """Return the budgets of this process."""
    return _Policy.budgets


def adopt(granted: Budgets) -> None:
    """Set the budgets of this process to those of the one that started it."""
    _Policy.budgets = granted


def set_budgets(changes: Iterable[str] = ()) -> None:
    """Set the budgets of this process to the defaults and these changes, `name=number` or `name=2GiB`.

    Raises OverBudget CIM0007 for a budget that does not exist, or a number that is none.
    """
    _Policy.budgets = replace(Budgets(), **dict(map(_change, changes)))


def _change(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    names = list(asdict(Budgets()))
    if name not in names:
        hint = did_you_mean(name, names, f"the budgets are {', '.join(names)}")
        raise OverBudget("CIM0007", f"there is no budget named {name!r}", hint)
    unit = value[-3:] if value[-3:] in FACTORS else ""
    digits = value.removesuffix(unit)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise OverBudget("CIM0007", f"the budget {name} is {value!r}, a whole number is needed", "such as 5000 or 2GiB")
    return name, int(digits) * FACTORS.get(unit, 1)


def require(name: str, found: int, what: str, extra: int = 0) -> None:
    """Raise OverBudget CIM0006 where `what`, which needs `found`, is beyond a budget and what is granted beside it."""
    limit = getattr(_Policy.budgets, name) + extra
    if found > limit:
        message = f"{what}: {found:,}, the budget {name} allows {limit:,}"
        raise OverBudget("CIM0006", message, f"--budget {name}={found} would allow it, if the file is to be trusted")
