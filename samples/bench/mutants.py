"""Breaks the semantic core in seeded places, one at a time, and asks the tests of each place whether they notice.

    python samples/bench/mutants.py [--count 300] [--seed 1] [--only GROUP] [--results build/mutants.jsonl] [--table]

A mutant is one changed operator, comparison, number, condition or choice of the least or largest. Each is laid as a
copy of the package over the installed one, and tested in a fork of a process that has imported what all tests need.
What has been tried stands in the results and is not tried again, but survivors are with `--again`; `--table` prints
scores and survivors. Mutants that change nothing anyone can see stand in equivalent_mutants.toml, each with its reason;
they are drawn, counted, and not tried.
"""

import argparse
import ast
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"compiler": "", "passes": "passes", "backends": "backends", "isa": "isa"}
"""Where in the package cimc each folder lies."""
SECONDS = 240
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")

NUMBERS = "tests/backends/test_exact.py tests/backends/test_accumulators.py tests/backends/test_digital.py"
TRAPS = "tests/backends/test_traps.py tests/backends/test_operands.py tests/backends/test_accumulators.py"
LITERAL = "tests/backends/test_matrices.py tests/backends/test_traps.py tests/backends/test_reference_sample.py"
NOISE = "tests/backends/test_noise_bits.py tests/backends/test_profiles.py tests/backends/test_converters.py"
FIXED = "tests/backends/test_fixed_point.py"
BITS = "tests/backends/test_noise_bits.py"
PASSES = "tests/passes/test_cases.py"
TEXTS = "tests/isa/test_cases.py tests/isa/test_round_trip.py"
LINT = "tests/isa/test_lint_edges.py tests/isa/test_cases.py tests/isa/test_lint.py"
QUANTISED = "tests/passes/test_quantise.py tests/passes/test_natures.py"
STATES = "tests/passes/test_codes_and_reals.py tests/passes/test_loops.py tests/quantised"
COLUMNS = f"{PASSES} tests/passes/test_columns.py"
KERNELS = "tests/backends/test_lowering.py tests/backends/test_kernels.py"
PROVER = "tests/verification/test_prover.py"
GROUPS: Mapping[str, Mapping[str, str]] = {
    "number rules": {
        "backends/machine/rounding.py": NUMBERS,
        "backends/machine/checks.py": TRAPS,
        "backends/plan/exact.py": f"{NUMBERS} tests/backends/test_matrices.py",
        "backends/plan/digital.py": f"{NUMBERS} tests/backends/test_traps.py",
        "backends/plan/matrices.py": "tests/backends/test_matrices.py tests/backends/test_accumulators.py",
        "backends/plan/windows.py": "tests/backends/test_digital.py tests/backends/test_accumulators.py",
        "backends/reference/instructions.py": f"{NUMBERS} {LITERAL} tests/backends/test_arrays.py",
        "passes/requantise.py": "tests/passes/test_integer_constants.py tests/passes/test_quantise.py",
        "isa/phases.py": "tests/backends/test_phases.py",
    },
    "instruction set": {
        "isa/encode.py": f"tests/isa/test_encode.py {TEXTS}",
        "isa/binary.py": f"tests/isa/test_container.py tests/isa/test_sections.py {TEXTS}",
        "isa/assemble.py": f"{TEXTS} tests/isa/test_formats.py",
        "isa/disassemble.py": TEXTS,
        "isa/operands.py": f"tests/backends/test_operands.py {LINT}",
        "isa/streams.py": f"tests/isa/test_streams.py tests/backends/test_streams.py {LINT}",
        "isa/lint_rules.py": LINT,
        "isa/lint_state.py": LINT,
    },
    "noise": {
        "backends/noise/draws.py": BITS,
        "backends/noise/philox.py": f"tests/backends/test_philox.py {BITS}",
        "backends/noise/gaussian.py": f"tests/backends/test_gaussian.py {BITS}",
        "backends/noise/gaussian_table.py": "tests/backends/test_gaussian.py",
        "backends/noise/fixed_point.py": f"{FIXED} {NOISE}",
        "backends/noise/converters.py": NOISE,
        "backends/noise/device_tables.py": NOISE,
        "backends/noise/wires.py": f"tests/backends/test_wires.py {NOISE}",
        "backends/noise/profiles/curve.py": NOISE,
        "backends/reference/devices.py": "tests/backends/test_known_answers.py tests/backends/test_noise.py",
        "backends/reference/read_noise.py": "tests/backends/test_noise.py",
        "backends/plan/devices.py": f"{FIXED} {BITS}",
        "backends/plan/read_noise.py": f"{FIXED} {BITS} tests/backends/test_turns.py",
    },
    "passes": {
        "passes/fold_affine.py": f"{PASSES} tests/passes/test_canonical.py",
        "passes/fold_pads.py": f"{PASSES} tests/passes/test_canonical.py",
        "passes/fold_reshapes.py": f"{PASSES} tests/passes/test_canonical.py",
        "passes/fuse_clamp.py": f"{PASSES} tests/passes/test_fuse_clamp.py",
        "passes/conductance.py": f"{COLUMNS} tests/passes/test_integer_constants.py tests/passes/test_slices.py",
        "passes/column_ranges.py": f"tests/passes/test_statistics.py {COLUMNS} tests/passes/test_mapping.py",
        "passes/gains.py": COLUMNS,
        "passes/split.py": f"{COLUMNS} tests/passes/test_mapping.py",
        "passes/im2col.py": f"{PASSES} tests/passes/test_im2col.py tests/passes/test_integer_constants.py",
        "passes/digital/digital.py": f"{PASSES} tests/passes/test_integer_constants.py tests/passes/test_digital.py",
        "passes/digital/matrices.py": f"{PASSES} tests/passes/test_digital.py",
        "passes/digital/strided.py": f"tests/passes/test_strided.py {PASSES} tests/passes/test_digital.py",
        "passes/code_types.py": "tests/passes/test_code_types.py tests/passes/test_quantise.py",
        "passes/quantise.py": f"{PASSES} {QUANTISED} tests/passes/test_slices.py {STATES}",
        "passes/layout/forward.py": f"{PASSES} tests/passes/test_canonical.py tests/passes/test_natures.py",
        "passes/packing.py": f"{PASSES} tests/passes/test_place.py",
    },
    "kernels' lowering": {
        "backends/kernels/lowering.py": f"{KERNELS} tests/backends/test_accumulators.py",
        "backends/kernels/certainty.py": KERNELS,
        "backends/kernels/layout.py": KERNELS,
    },
    "proof": {
        "compiler/proof/programs.py": f"{PROVER} tests/verification/test_damage.py",
        "compiler/proof/tensors.py": f"tests/verification/test_tensors.py {PROVER}",
        "compiler/proof/agreement.py": "tests/verification/test_agreement.py tests/verification/test_float_graph.py",
        "compiler/proof/prover.py": f"{PROVER} tests/verification/test_damage.py",
    },
}
"""Group -> file -> the tests of its subject."""


Change = tuple[str, str, str]
"""A file, the line that is changed, and what it becomes: what a mutant is, wherever in its file it lies."""


@dataclass(frozen=True)
class Mutant:
    """One change: a file, the place of the text that is replaced, and what stands there then."""

    group: str
    file: str
    source: str
    start: int
    stop: int
    new: str
    line: int

    @property
    def change(self) -> Change:
        first, last = self.source.rfind("\n", 0, self.start) + 1, self.source.find("\n", self.stop)
        before, after = (
            self.source[first:last],
            self.source[first : self.start] + self.new + self.source[self.stop : last],
        )
        return self.file, before.strip(), after.strip()

    @property
    def mutated(self) -> str:
        """The text of the file with the change."""
        return self.source[: self.start] + self.new + self.source[self.stop :]


OPERATORS: Mapping[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum",
         "rint": "floor", "floor": "ceil", "ceil": "floor"}  # fmt: skip
LEFT_ALONE = (ast.Raise, ast.Assert, ast.JoinedStr, ast.ImportFrom, ast.Import)
"""Messages, our own assertions, and what is imported mean nothing to a program."""


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node changed in each way that its kind can be."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)  # type: ignore[arg-type]
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
        yield ast.Compare(node.left, [OPERATORS[type(node.ops[0])](), *node.ops[1:]], node.comparators)  # type: ignore[list-item]
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(OPERATORS[type(node.op)](), node.values)  # type: ignore[arg-type]
    elif isinstance(node, ast.Constant) and type(node.value) in (int, bool):
        yield ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Name) and node.id in NAMES:
        yield ast.Name(NAMES[node.id])
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield ast.Attribute(node.value, NAMES[node.attr])


def within(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree that mean something: no messages, no types."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, LEFT_ALONE):
                yield child
                yield from within(child)


def mutants(group: str, file: str) -> list[Mutant]:
    """Return every mutant of a file."""
    source = (ROOT / file).read_text()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node in within(ast.parse(source)):
        for changed in changes(node):
            start, stop = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
            new = f"({ast.unparse(ast.fix_missing_locations(changed))})"
            found.append(Mutant(group, file, source, start, stop, new, node.lineno))  # type: ignore[attr-defined]
    return found


def drawn(count: int, seed: int, only: str) -> list[Mutant]:
    """Return so many mutants, as many of each group, in an order that mixes the groups."""
    chosen = []
    for group, files in GROUPS.items():
        every = [mutant for file in files for mutant in mutants(group, file)]
        share = min(count // len(GROUPS), len(every))
        chosen += random.Random(f"{seed} {group}").sample(every, share)
    random.Random(seed).shuffle(chosen)
    return [mutant for mutant in chosen if only in ("", mutant.group)]


def every(file: str) -> list[Mutant]:
    """Return all mutants of a file of the core."""
    return [mutant for group, files in GROUPS.items() if file in files for mutant in mutants(group, file)]


def lay(tree: Path) -> None:
    """Lay a copy of the package."""
    for folder, place in FOLDERS.items():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tree / "cimc" / place, dirs_exist_ok=True, ignore=ignored)


def laid(tree: Path, file: str) -> Path:
    """Return where a file lies in the copy."""
    folder, _, rest = file.partition("/")
    return tree / "cimc" / FOLDERS[folder] / rest


def tested(tree: Path, tests: str) -> str:
    """Run tests on the copy in a fork; return "caught", "late" (out of time) or "survived"."""
    child = os.fork()
    if not child:
        run_tests(tree, tests)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if status == 0 else "caught"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "late"


def run_tests(tree: Path, tests: str) -> None:
    """Run tests in this process, which ends with their status."""
    import pytest

    os.setsid()
    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    os.environ["PYTHONPATH"] = str(tree)
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = True
    options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    os._exit(int(pytest.main([*options, *tests.split()])))


Row = dict[str, str | int]
Place = tuple[int, Change]


def rows(results: Path) -> dict[Place, Row]:
    """Return what became of each mutant when it was last tried."""
    lines = results.read_text().splitlines() if results.exists() else []
    return {(row["line"], (row["file"], row["before"], row["after"])): row for row in map(json.loads, lines)}


def try_all(chosen: list[Mutant], tree: Path, results: Path, known: Container[Place]) -> None:
    """Try what is not known yet, and keep each result as it comes."""
    for mutant in (one for one in chosen if (one.line, one.change) not in known):
        place = laid(tree, mutant.file)
        place.write_text(mutant.mutated)
        started = time.monotonic()
        end = tested(tree, GROUPS[mutant.group][mutant.file])
        place.write_text(mutant.source)
        keep(results, mutant, end, round(time.monotonic() - started))


def keep(results: Path, mutant: Mutant, end: str, seconds: int) -> None:
    """Put a result behind the others, and show it."""
    file, before, after = mutant.change
    facts = {"group": mutant.group, "file": file, "line": mutant.line, "before": before, "after": after, "end": end}
    with results.open("a") as out:
        out.write(json.dumps(facts | {"seconds": seconds}) + "\n")
    print(f"{end:10} {seconds:4} s  {shown(facts)}", flush=True)


def shown(row: Row) -> str:
    return f"{row['file']} {row['line']}: `{row['before']}` became `{row['after']}`"


def equivalents() -> dict[Change, str]:
    """Return the changes that nobody can see, and why. Exits where one is no mutant of its file any more."""
    reasons = tomllib.loads(EQUIVALENT.read_text())["reason"]
    found = {(file, before, after): one["why"] for one in reasons for file, before, after in one["changes"]}
    possible = {mutant.change for group, files in GROUPS.items() for file in files for mutant in mutants(group, file)}
    for file, before, after in sorted(found.keys() - possible):
        raise SystemExit(f"{EQUIVALENT.name}: {file} has no mutant of `{before}` that is `{after}`: take it out")
    return found


def table(results: Path) -> None:
    """Print the score of every group, and who survived; late ones count as caught."""
    alike, found = equivalents(), list(rows(results).values())
    tried = [row for row in found if (row["file"], row["before"], row["after"]) not in alike]
    for group in (*GROUPS, "all"):
        ends = [row["end"] for row in tried if group in ("all", row["group"])]
        drawn = sum(group in ("all", row["group"]) for row in found)
        caught = len(ends) - ends.count("survived")
        share = f"{100 * caught / max(len(ends), 1):.1f} %"
        print(f"| {group} | {drawn} | {drawn - len(ends)} | {len(ends)} | {caught} | {share} |")
    print(*sorted(f"- {shown(row)}" for row in tried if row["end"] == "survived"), sep="\n")


def unbroken(tree: Path, only: str) -> None:
    """Exit unless the tests pass on the copy without a mutant, each file once."""
    sets = [tests for group, files in GROUPS.items() if only in ("", group) for tests in files.values()]
    for file in sorted(set(" ".join(sets).split())):
        started = time.monotonic()
        if tested(tree, file) != "survived":
            raise SystemExit(f"without any mutant these tests fail: {file}")
        print(f"sound {time.monotonic() - started:9.0f} s  {file}", flush=True)


def require_kernels(tree: Path, chosen: list[Mutant]) -> None:
    """Exit where mutants of the kernels' files are to be judged and the copy has no compiled library."""
    files = sorted({mutant.file for mutant in chosen if mutant.file.startswith("backends/kernels/")})
    asked = "from cimc.backends.kernels.library import library; raise SystemExit(library() is None)"
    environment = os.environ | {"PYTHONPATH": str(tree)}
    if files and subprocess.run([sys.executable, "-c", asked], env=environment, cwd=tree).returncode:
        raise SystemExit(
            f"{', '.join(files)} cannot be judged: tests skip the kernels where the compiled library is missing or of "
            "other sources; build it (pip install --no-deps -e .), or take another group with --only"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", choices=["", *GROUPS])
    parser.add_argument("--file", default="", help="every mutant of this file instead of those drawn")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "mutants.jsonl")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--again", action="store_true", help="try those that survived once more")
    parser.add_argument("--trust-tests", action="store_true", help="do not run the tests without a mutant before")
    given = parser.parse_args()
    if given.table:
        table(given.results)
    else:
        try_drawn(given)


def try_drawn(given: argparse.Namespace) -> None:
    """Try what the options ask for, once, or again where it survived."""
    for shared in ("hypothesis", "networkx", "numpy", "onnx", "onnxruntime", "pytest", "xdsl.ir"):
        import_module(shared)
    os.chdir(ROOT)
    chosen, alike = every(given.file) or drawn(given.count, given.seed, given.only), equivalents()
    for mutant in (one for one in chosen if one.change in alike and (one.line, one.change) not in rows(given.results)):
        keep(given.results, mutant, "equivalent", 0)
    known = {place for place, row in rows(given.results).items() if not (given.again and row["end"] == "survived")}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        lay(tree)
        require_kernels(tree, chosen)
        if not given.trust_tests:
            unbroken(tree, given.only)
        try_all([one for one in chosen if one.change not in alike], tree, given.results, known)


if __name__ == "__main__":
    main()
