"""What a batch writes: part files of good rows, and one file that lists the bad ones.

A part holds what came of one shard, a fixed number of input rows. Between shards everything is closed, so that it can
be saved as a checkpoint, and another attempt can go on behind the last shard.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from shared.contracts.tables import Format
from shared.errors import InvalidInput
from shared.modeling import BadCell
from shared.tables import open_writer
from worker.handlers.base import OutputFile

ERRORS = "_errors.jsonl"


class Parts:
    """The output files, in the order of the input; a shard without good rows has none."""

    def __init__(self, folder: Path, format: Format) -> None:
        self._folder = folder
        self._format = format
        self._open = ExitStack()
        self._writer: Any = None
        self._rows = 0
        self.files: list[OutputFile] = []
        self.schema: pa.Schema | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self.schema is None:
            self.schema = batch.schema
        elif batch.schema != self.schema:
            batch = batch.cast(self.schema)
        if self._writer is None:
            self._writer = self._open.enter_context(open_writer(self._next, self._format, self.schema))
        self._writer.write(batch)
        self._rows += batch.num_rows

    def end_shard(self) -> None:
        """Close the part that is open, if one is."""
        if self._writer is None:
            return
        path, rows = self._next, self._rows
        self._open.close()
        self._writer, self._rows = None, 0
        self.files.append(OutputFile(name=path.name, path=path, rows=rows))

    @property
    def _next(self) -> Path:
        return self._folder / f"part-{len(self.files):05d}.{self._format}"

    def save(self, folder: Path) -> dict[str, Any]:
        for file in self.files:
            os.link(file.path, folder / file.name)
        schema = None if self.schema is None else base64.b64encode(self.schema.serialize()).decode()
        return {"parts": {file.name: file.rows for file in self.files}, "schema": schema}

    def restore(self, folder: Path, saved: Mapping[str, Any]) -> None:
        if saved["schema"] is not None:
            self.schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(saved["schema"])))
        for name, rows in saved["parts"].items():
            path = (folder / name).rename(self._folder / name)
            self.files.append(OutputFile(name=name, path=path, rows=rows))


class Errors:
    """The rows that could not be scored. Fails the job at the first, or when there are too many."""

    def __init__(self, folder: Path, spec: Mapping[str, Any], total: int) -> None:
        self._path = folder / ERRORS
        self._fail = spec["on_bad_row"] == "fail"
        self._rate = spec["max_error_rate"]
        self._allowed = int(self._rate * total)
        self._total = total
        self._file: TextIO | None = None
        self.rows = 0

    @property
    def files(self) -> Sequence[OutputFile]:
        return [OutputFile(ERRORS, self._path, self.rows, role="errors")] if self.rows else []

    def add(self, name: str, first_row: int, bad: tuple[BadCell, ...]) -> None:
        """One line for each failed row: its first bad cell."""
        firsts: dict[int, BadCell] = {}
        for cell in bad:
            firsts.setdefault(cell.row, cell)
        if not firsts:
            return
        lines = [
            {"file": name, "row": first_row + row, "column": cell.column, "reason": cell.reason}
            for row, cell in sorted(firsts.items())
        ]
        first = lines[0]
        where = f"{name}, row {first['row']}, column {first['column']}: {first['reason']}"
        if self._fail:
            raise InvalidInput(f"a row cannot be scored: {where}", code="bad_row")
        self.rows += len(lines)
        if self.rows > self._allowed:
            raise InvalidInput(
                f"more than {self._rate:.2%} of {self._total} rows cannot be scored; the latest: {where}",
                code="too_many_bad_rows",
            )
        if self._file is None:
            self._file = self._path.open("a")
        self._file.writelines(json.dumps(line) + "\n" for line in lines)

    def end_shard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def save(self, folder: Path) -> dict[str, Any]:
        if self.rows:
            shutil.copy(self._path, folder / f"errors-{self.rows}.jsonl")
        return {"failed": self.rows}

    def restore(self, folder: Path, saved: Mapping[str, Any]) -> None:
        self.rows = saved["failed"]
        if self.rows:
            (folder / f"errors-{self.rows}.jsonl").rename(self._path)


class BatchOutput:
    """Both of them, and how many input rows they account for. Leaving the `with` block closes the files."""

    def __init__(self, folder: Path, spec: Mapping[str, Any], total: int) -> None:
        self.parts = Parts(folder, spec["output"]["format"])
        self.errors = Errors(folder, spec, total)
        self.done = 0

    def __enter__(self) -> BatchOutput:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_shard()

    def end_shard(self) -> None:
        self.parts.end_shard()
        self.errors.end_shard()

    @property
    def files(self) -> tuple[OutputFile, ...]:
        return (*self.parts.files, *self.errors.files)

    def save(self, folder: Path) -> None:
        """Put everything into a checkpoint's folder; between shards only."""
        saved = {"done": self.done, **self.parts.save(folder), **self.errors.save(folder)}
        (folder / f"rows-{self.done}.json").write_text(json.dumps(saved))

    def restore(self, folder: Path) -> None:
        """Go on from what `save` has left."""
        (path,) = folder.glob("rows-*.json")
        saved = json.loads(path.read_text())
        self.parts.restore(folder, saved)
        self.errors.restore(folder, saved)
        self.done = saved["done"]
