"""Scores every row of a table with one model version, in constant memory.

Rows in = rows out + failed rows, always: a row that the model cannot take is either named and ends the job
(`on_bad_row: fail`) or is listed in `_errors.jsonl` and counted (`skip`), up to `max_error_rate`.
Files whose names begin with `_` are not data to pyarrow.dataset and Spark, so an output reads as it lies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from shared.contracts.tables import Column, Format
from shared.errors import InvalidInput
from shared.modeling import Alignment, BadCell, Model, Prediction, align
from shared.tables import joint_columns, open_writer, profile, read
from worker.handlers.base import Assignment, Context, Outcome, OutputFile, TableFiles
from worker.handlers.source import model_file, open_model

PART_ROWS = 1_000_000
"""Rows of one output file, unless `shard_rows` says otherwise."""
ERRORS = "_errors.jsonl"
PREDICTION = "prediction"

_ERROR_SCHEMA = pa.schema(
    [("file", pa.string()), ("row", pa.int64()), ("column", pa.string()), ("reason", pa.string())]
)


def run(assignment: Assignment, context: Context) -> Outcome:
    """Score `assignment.tables["dataset"]` with the spec's model; the outputs are still local files."""
    model = open_model(model_file(assignment, assignment.spec["model"]))
    table = _known(assignment.tables["dataset"], context)
    spec = assignment.spec
    kept = _kept_columns(spec, table.columns)
    _check_columns(model, table.columns, kept, context)
    with ExitStack() as stack:
        output = stack.enter_context(
            _Parts(assignment.workdir, spec["output"]["format"], spec["shard_rows"] or PART_ROWS)
        )
        errors = stack.enter_context(_Errors(assignment.workdir, spec, table.rows))
        scorer = _Scorer(model, kept, probabilities=spec["output"]["probabilities"])
        done = 0
        for name, first_row, batch in _batches(table):
            good, bad = scorer.split(batch)
            errors.add(name, first_row, bad)
            if good.table.num_rows:
                output.write(scorer.score(batch, good))
            done += batch.num_rows
            context.progress("scoring", done, table.rows, "rows")
        schema = output.schema or scorer.empty(table)
    succeeded = sum(file.rows for file in output.files)
    counts = {"total": done, "succeeded": succeeded, "failed": errors.rows}
    if succeeded + errors.rows != done:
        raise AssertionError(f"rows do not add up: {counts}")
    described = [{"name": field.name, "type": str(field.type)} for field in schema]
    return Outcome(result={"columns": described}, outputs=(*output.files, *errors.files), counts=counts)


def _known(table: TableFiles, context: Context) -> TableFiles:
    """A table whose columns and rows are known: objects named by a URI are profiled first."""
    if table.columns:
        return table
    profiles = []
    for number, (path, name) in enumerate(zip(table.paths, table.names, strict=True)):
        context.progress("profiling", number, len(table.paths), "files")
        try:
            profiles.append(profile(path, table.format))
        except InvalidInput as error:
            raise InvalidInput(f"{name}: {error.message}", code=error.code) from error
    columns = joint_columns([found.columns for found in profiles], table.names)
    return dataclasses.replace(table, columns=columns, rows=sum(found.rows for found in profiles))


def _kept_columns(spec: Mapping[str, Any], columns: tuple[Column, ...]) -> list[str]:
    """The input columns that go into the output."""
    names = [column.name for column in columns]
    id_column = spec["id_column"]
    if id_column is not None and id_column not in names:
        raise InvalidInput(
            f"the input has no column {id_column}, which id_column names", code="unknown_column"
        )
    return {"all": names, "id": [id_column], "none": []}[spec["output"]["columns"]]


def _check_columns(model: Model, columns: tuple[Column, ...], kept: list[str], context: Context) -> None:
    """Find what cannot work before the first row is scored."""
    names = {column.name for column in columns}
    inputs = [item["name"] for item in model.schema()["inputs"]]
    if missing := [name for name in inputs if name not in names]:
        raise InvalidInput(f"the input lacks the columns {', '.join(missing)}", code="missing_columns")
    added = [PREDICTION, *(_probability(label) for label in model.classes)]
    if clash := [name for name in added if name in kept]:
        raise InvalidInput(
            f"the input has a column {clash[0]}, which the output adds; ask for columns id or none",
            code="column_collision",
        )
    extra = sorted(names - set(inputs) - {model.target})
    if extra and len(extra) < len(names):
        context.warn(f"columns that the model does not use: {', '.join(extra[:20])}")


def _batches(table: TableFiles) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """(file, number of the first row in it, batch) in order; rows count from 1."""
    for path, name in zip(table.paths, table.names, strict=True):
        row = 1
        for batch in read(path, table.format, table.columns):
            yield name, row, batch
            row += batch.num_rows


class _Scorer:
    """Turns batches of input into batches of output."""

    def __init__(self, model: Model, kept: list[str], *, probabilities: bool) -> None:
        self._model = model
        self._schema = model.schema()
        self._kept = kept
        self._probabilities = probabilities and model.task == "classification"

    def split(self, batch: pa.RecordBatch) -> tuple[Alignment, tuple[BadCell, ...]]:
        """The batch as the model wants it, without its bad rows, and what is wrong with those."""
        aligned = align(batch, self._schema)
        if aligned.bad:
            good = aligned.table.filter(pa.array(~aligned.bad_rows))
            return dataclasses.replace(aligned, table=good), aligned.bad
        return aligned, ()

    def score(self, batch: pa.RecordBatch, good: Alignment) -> pa.RecordBatch:
        kept = batch.select(self._kept)
        if good.bad:
            kept = kept.filter(pa.array(~good.bad_rows))
        return self._compose(kept, self._model.predict(good.table))

    def empty(self, table: TableFiles) -> pa.Schema:
        """The output's schema when no row could be scored."""
        known = [field for field in next(_batches(table))[2].schema if field.name in self._kept]
        return pa.schema([*known, (PREDICTION, pa.null())])

    def _compose(self, kept: pa.RecordBatch, prediction: Prediction) -> pa.RecordBatch:
        names, arrays = list(kept.schema.names), list(kept.columns)
        names.append(PREDICTION)
        arrays.append(_labels(prediction.values))
        if self._probabilities and prediction.probabilities is not None:
            columns = prediction.probabilities.astype(np.float32, order="F")
            for position, label in enumerate(self._model.classes):
                names.append(_probability(label))
                arrays.append(pa.array(columns[:, position]))
        return pa.RecordBatch.from_arrays(arrays, names=names)


def _labels(values: Any) -> pa.Array:
    return pa.array(values.tolist() if values.dtype.kind in "OU" else values)


def _probability(label: Any) -> str:
    return f"probability_{str(label).lower() if isinstance(label, bool) else label}"


class _Parts:
    """Output files of `rows` rows each, in the order of the input."""

    def __init__(self, folder: Path, format: Format, rows: int) -> None:
        self._folder = folder
        self._format = format
        self._most = rows
        self._writer: Any = None
        self._open: ExitStack = ExitStack()
        self._rows = 0
        self.files: list[OutputFile] = []
        self.schema: pa.Schema | None = None

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def write(self, batch: pa.RecordBatch) -> None:
        if self.schema is None:
            self.schema = batch.schema
        elif batch.schema != self.schema:
            batch = batch.cast(self.schema)
        while batch.num_rows:
            if self._writer is None:
                self._start()
            room = self._most - self._rows
            self._writer.write(batch.slice(0, room))
            self._rows += min(room, batch.num_rows)
            batch = batch.slice(room)
            if self._rows == self._most:
                self._close()

    def _start(self) -> None:
        self._path = self._folder / f"part-{len(self.files):05d}.{self._format}"
        self._writer = self._open.enter_context(open_writer(self._path, self._format, self.schema))
        self._rows = 0

    def _close(self) -> None:
        if self._writer is None:
            return
        self._open.close()
        self._writer = None
        self.files.append(OutputFile(name=self._path.name, path=self._path, rows=self._rows))


class _Errors:
    """The rows that could not be scored. Fails the job at the first, or when there are too many."""

    def __init__(self, folder: Path, spec: Mapping[str, Any], total: int) -> None:
        self._path = folder / ERRORS
        self._fail = spec["on_bad_row"] == "fail"
        self._rate = spec["max_error_rate"]
        self._allowed = int(self._rate * total)
        self._total = total
        self._open = ExitStack()
        self._writer: Any = None
        self.rows = 0
        self.files: list[OutputFile] = []

    def __enter__(self) -> _Errors:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        if self._writer is not None:
            self.files.append(OutputFile(name=ERRORS, path=self._path, rows=self.rows, role="errors"))

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
        if self._writer is None:
            self._writer = self._open.enter_context(open_writer(self._path, "jsonl", _ERROR_SCHEMA))
        self._writer.write(pa.RecordBatch.from_pylist(lines, schema=_ERROR_SCHEMA))
