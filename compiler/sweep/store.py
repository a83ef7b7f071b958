"""Results on disk: a small Parquet file for each finished trial, a table of the whole grid. Needs the extra `sweep`."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet

from cimc.diagnostics import fail
from cimc.isa.atomic import write_files
from cimc.sweep.work import Row

COLUMNS = {
    "model": "string",
    "target": "string",
    "passes": "string",
    "noise": "string",
    "sources": "string",
    "compensation": "string",
    "seed": "uint64",
    "time": "string",
    "seconds": "int64",
    "metric": "string",
    "samples": "int64",
    "trial": "string",
    "score": "float64",
}
"""Column of a finished trial -> its Arrow type."""
ORIGINS = {"program": "string", "feeding": "string"}
"""Columns of the table alone: hash of the program, and what its data were taken for."""
COSTS = {"latency_us": "float64", "energy_uj": "float64", "chip_tops_per_w": "float64"}
"""Columns of the table alone: what one sample takes on the target, whatever the chip."""


class Store:
    """The files of a sweep: OUT.parquet, and a folder OUT.trials with what is finished."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output.with_name(f"{output.stem}.trials")

    def known(self, key: str) -> list[Row] | None:
        """Return the rows of a finished trial; None where there are none, or where its file is damaged."""
        path = self._part(key)
        if not path.exists():
            return None
        try:
            found: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
        except (OSError, pyarrow.ArrowException):
            return None
        return found if found and all(list(row) == list(COLUMNS) for row in found) else None

    def count(self) -> int:
        """Return how many trials are kept, of whatever grid."""
        return sum(1 for _ in self.folder.glob("*.parquet"))

    def keep(self, key: str, rows: Sequence[Row]) -> None:
        """Write the rows of one finished trial, whole or not at all."""
        self._write(self._part(key), rows, COLUMNS)

    def finish(self, rows: Iterable[Row]) -> None:
        """Write the table of the whole grid: the same rows give the same bytes."""
        self._write(self.output, list(rows), {**COLUMNS, **ORIGINS, **COSTS})

    def _part(self, key: str) -> Path:
        return self.folder / f"{key}.parquet"

    def _write(self, path: Path, rows: Sequence[Row], columns: Mapping[str, str]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_files({path: (to_parquet(rows, columns),)})
        except OSError as error:
            hint = "check the folder, its permissions and the free space; a repeated sweep goes on where this one ended"
            raise fail("CIM0002", f"cannot write {path}: {error.strerror or error}", hint=hint) from None


def to_parquet(rows: Sequence[Row], columns: Mapping[str, str]) -> bytes:
    """Return the bytes of a Parquet table."""
    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in columns.items()])
    table, buffer = pyarrow.Table.from_pylist(list(rows), schema=schema), io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_table(path: str) -> list[Row]:
    """Return the rows of the table of a sweep. Raises CimcError CIM0001 where there is no file, CIM0201."""
    if not Path(path).is_file():
        raise fail("CIM0001", f"cannot read the table {path}: there is no such file", hint="`cimc sweep` writes one")
    try:
        found: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise fail(
            "CIM0201", f"{path} is no table of a sweep: {error}", hint="give the .parquet that it wrote"
        ) from None
    return found
