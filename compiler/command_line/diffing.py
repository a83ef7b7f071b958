"""cimc diff: what changed between two programs, targets or reports."""

import argparse
import json

from cimc.driving.difference import Change, Value, changes_of, condition, require_known, values_of
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.errors import FAILED


def diff_command(options: argparse.Namespace) -> int:
    conditions = [condition(text) for text in options.fail_on]
    before, after = values_of(options.before), values_of(options.after)
    for one in conditions:
        require_known(one, before, after)
    changes = changes_of(before, after)
    failed = [(one.text, change) for one in conditions for change in one.met(changes)]
    if options.json:
        print(json.dumps({"changes": [_json(change) for change in changes], "failed": [text for text, _ in failed]}))
    else:
        print("\n".join(_table(changes) if changes else ["nothing differs"]))
        for text, change in failed:
            print(f"failed: {text}, {change.path} has changed by {_percent(change)}")
    return FAILED if failed else 0


def _json(change: Change) -> dict[str, Value]:
    return {"path": change.path, "before": change.before, "after": change.after, "share": change.share}


def _table(changes: list[Change]) -> list[str]:
    rows = [[one.path, _shown(one.before), _shown(one.after), _percent(one)] for one in changes]
    return tabulate([["what", "before", "after", "change"], *rows], terminal_width())


def _shown(value: Value) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _percent(change: Change) -> str:
    return "" if change.share is None else f"{100 * change.share:+.2f} %"
