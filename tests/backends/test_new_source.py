"""A source of a device and one of a product, added to a copy by noise/table.py's list: three files each."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Insertions = tuple[tuple[str, str, str], ...]
"""A file of backends/, the text that something goes before, and what goes there."""


def record(name: str, purpose: int) -> Insertions:
    """What the table gets: a number of draws, and a source with one number."""
    source = f'    Source("{name}", "a made-up thing", numbers={{"{name}.sigma": Scalar("1", "300")}}),\n'
    return (
        ("noise/table.py", '"""What a random word is for.', f"{name.upper()} = {purpose}\n"),
        ("noise/table.py", ")\n\nNAMES = ", source),
    )


JUMP = (
    *record("jump", 12),
    (
        "reference/devices.py",
        '        if self.noise.has("drift"):\n            drift =',
        '        if self.noise.has("jump"):\n'
        "            from cimc.backends.noise.table import JUMP\n"
        '            sigma = scaled(self.numbers["jump.sigma"], FINE_BITS)\n'
        "            z = self._normal(JUMP, place, writes)\n"
        "            value = clamp(value + rounded(sigma * z, NORMAL_BITS), 0, self.ceiling)\n",
    ),
    (
        "plan/devices.py",
        '        if self.noise.has("drift"):\n            drift =',
        '        if self.noise.has("jump"):\n'
        "            from cimc.backends.noise.table import JUMP\n"
        '            sigma = scaled(self.numbers["jump.sigma"], FINE_BITS)\n'
        "            z = self._by_writes(JUMP, cells, part)\n"
        "            value = np.clip(value + rounded(sigma * z, NORMAL_BITS), 0, self.ceiling)\n",
    ),
)
"""A device lands beside its target, by a spread in codes."""

ON = (
    "    return tuple(found)",
    '    if noise.has("hum"):\n        found.append(Hum(scaled(noise.profile.numbers["hum.sigma"], 0)))\n',
)
HUM_OF_ONE = """\
from cimc.backends.noise.table import HUM


@dataclass(frozen=True)
class Hum:
    purpose: ClassVar[int] = HUM
    sigma: int

    def of(self, inputs: Sequence[int], j: int, z: int) -> int:
        return rounded(self.sigma * z, NORMAL_BITS)


"""
HUM_OF_MANY = """\
from cimc.backends.noise.table import HUM


@dataclass(frozen=True)
class Hum:
    purpose: ClassVar[int] = HUM
    sigma: int

    @property
    def peak(self) -> int:
        return rounded(self.sigma * gaussian.largest(), NORMAL_BITS)

    def of(self, inputs: Array, z: Array) -> Array:
        return rounded(self.sigma * z, NORMAL_BITS).astype(np.float64)


"""
HUM = (
    *record("hum", 13),
    ("reference/read_noise.py", "def read_noise(", HUM_OF_ONE),
    ("reference/read_noise.py", *ON),
    ("plan/read_noise.py", "def read_noise(", HUM_OF_MANY),
    ("plan/read_noise.py", *ON),
)
"""Each array sum is off by a spread in units of codes times conductances."""


@pytest.mark.parametrize(("name", "insertions"), [("jump", JUMP), ("hum", HUM)])
def test_a_new_source_takes_three_files(tmp_path: Path, name: str, insertions: Insertions):
    """The tests of every source, among them that both interpreters agree, hold for it as well."""
    assert len({file for file, _, _ in insertions}) == 3
    package = tmp_path / "cimc"
    shutil.copytree(ROOT / "compiler", package)
    for folder in ("passes", "backends", "isa"):
        shutil.copytree(ROOT / folder, package / folder)
    for file, before, text in insertions:
        path = package / "backends" / file
        assert path.read_text().count(before) == 1
        path.write_text(path.read_text().replace(before, text + before))
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/backends/test_noise.py"]
    found = subprocess.run(
        [*tests, "-k", f"{name}-pcm or difference and {name}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "2 passed" in found.stdout, found.stdout
