"""What scoring writes: one part file of good rows, and one file that lists the bad ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from shared.contracts.tables import Format
from shared.errors import InvalidInput
from shared.modeling import BadCell
from shared.tables import BadRow, Rows, open_writer
from worker.handlers.base import OutputFile

ERRORS = "_errors.jsonl"


class Part:
    """A file of good rows; without any there is none."""

    def __init__(self, folder: Path, number: int, format: Format) -> None:
        self._path = folder / f"part-{number:05d}.{format}"
        self._format = format
        self._open = ExitStack()
        self._writer: Any = None
        self.rows = 0
        self.schema: pa.Schema | None = None

    @property
    def files(self) -> tuple[OutputFile, ...]:
        return (OutputFile(self._path.name, self._path, self.rows),) if self.rows else ()

    def write(self, batch: pa.RecordBatch) -> None:
        if self.schema is None:
            self.schema = batch.schema
            self._writer = self._open.enter_context(open_writer(self._path, self._format, self.schema))
        elif batch.schema != self.schema:
            batch = batch.cast(self.schema)
        self._writer.write(batch)
        self.rows += batch.num_rows

    def close(self) -> None:
        self._open.close()


class Errors:
    """The rows that could not be scored. Fails the job at the first, or when there are too many of all its rows."""

    def __init__(self, folder: Path, spec: Mapping[str, Any], job_rows: int) -> None:
        self._path = folder / ERRORS
        self._spec = spec
        self._job_rows = job_rows
        self._file: TextIO | None = None
        self.rows = 0
        self.latest = ""

    @property
    def files(self) -> tuple[OutputFile, ...]:
        return (OutputFile(ERRORS, self._path, self.rows, role="errors"),) if self.rows else ()

    def add(self, name: str, rows: Rows, cells: tuple[BadCell, ...]) -> None:
        """One line for each failed row: those that could not be read, and those with `cells` the model cannot take."""
        if not rows.bad and not cells:
            return
        lines = [_entry(name, rows, bad) for bad in _failed(rows, cells)]
        first = lines[0]
        line = f" (line {first['line']})" if "line" in first else ""
        column = f", column {first['column']}" if first["column"] is not None else ""
        self.latest = f"{name}, row {first['row']}{line}{column}: {first['reason']}"
        if self._spec["on_bad_row"] == "fail":
            raise InvalidInput(f"a row cannot be scored: {self.latest}", code="bad_row")
        self.rows += len(lines)
        if self.rows > allowed_errors(self._spec, self._job_rows):
            raise too_many_errors(self._spec, self._job_rows, self.latest)
        if self._file is None:
            self._file = self._path.open("w")
        self._file.writelines(json.dumps(line) + "\n" for line in lines)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _failed(rows: Rows, cells: tuple[BadCell, ...]) -> list[BadRow]:
    """In order; of a row with several bad cells the first."""
    failed = {bad.row: bad for bad in rows.bad}
    numbers = rows.numbers
    for cell in cells:
        row = int(numbers[cell.row])
        failed.setdefault(row, BadRow(row, cell.column, cell.reason))
    return [failed[row] for row in sorted(failed)]


def _entry(name: str, rows: Rows, bad: BadRow) -> dict[str, Any]:
    line = rows.line(bad.row)
    where = {"file": name, "row": bad.row, **({} if line is None else {"line": line})}
    return {**where, "column": bad.column, "reason": bad.reason}


def allowed_errors(spec: Mapping[str, Any], job_rows: int) -> int:
    """How many rows of a job may fail."""
    return int(spec["max_error_rate"] * job_rows)


def too_many_errors(spec: Mapping[str, Any], job_rows: int, latest: str) -> InvalidInput:
    rate = spec["max_error_rate"]
    return InvalidInput(
        f"more than {rate:.2%} of {job_rows} rows cannot be scored; the latest: {latest}",
        code="too_many_bad_rows",
    )


class BatchOutput:
    """Both of them, and how many input rows they account for. Leaving the `with` block closes the files."""

    def __init__(self, folder: Path, spec: Mapping[str, Any], *, part: int, job_rows: int) -> None:
        self.part = Part(folder, part, spec["output"]["format"])
        self.errors = Errors(folder, spec, job_rows)
        self.seen = 0

    def __enter__(self) -> BatchOutput:
        return self

    def __exit__(self, *_: object) -> None:
        self.part.close()
        self.errors.close()

    @property
    def files(self) -> tuple[OutputFile, ...]:
        return (*self.part.files, *self.errors.files)

    @property
    def counts(self) -> dict[str, int]:
        return {"total": self.seen, "succeeded": self.part.rows, "failed": self.errors.rows}
