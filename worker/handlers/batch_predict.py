"""Scores every row of a table with one model version, in constant memory.

Rows in = rows out + failed rows, always: a row that the model cannot take is either named and ends the job
(`on_bad_row: fail`) or is listed in `_errors.jsonl` and counted (`skip`), up to `max_error_rate`.
Files whose names begin with `_` are not data to pyarrow.dataset and Spark, so an output reads as it lies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.modeling import Model
from shared.tables import joint_columns, profile, read
from worker.handlers.base import Assignment, Context, Outcome, TableFiles
from worker.handlers.batch_output import BatchOutput
from worker.handlers.scoring import PREDICTION, Scorer, probability_column
from worker.handlers.source import model_file, open_model

SHARD_ROWS = 250_000
"""Input rows that become one output file, unless `shard_rows` says otherwise. Between two there may be a checkpoint."""


def run(assignment: Assignment, context: Context) -> Outcome:
    """Score `assignment.tables["dataset"]` with the spec's model; the outputs are still local files."""
    model = open_model(model_file(assignment, assignment.spec["model"]))
    table = _known(assignment.tables["dataset"], context)
    spec = assignment.spec
    kept = _kept_columns(spec, table.columns)
    _check_columns(model, table.columns, kept, context)
    shard_rows = spec["shard_rows"] or SHARD_ROWS
    scorer = Scorer(model, kept, probabilities=spec["output"]["probabilities"])
    with BatchOutput(assignment.workdir, spec, table.rows) as output:
        if assignment.checkpoint:
            output.restore(assignment.checkpoint)
        read_columns = scorer.needed(table.columns)
        for name, first_row, batch in _batches(table, read_columns, shard_rows, skip=output.done):
            good, bad = scorer.split(batch)
            output.errors.add(name, first_row, bad)
            if good.table.num_rows:
                output.parts.write(scorer.score(batch, good))
            output.done += batch.num_rows
            if output.done % shard_rows == 0:
                output.end_shard()
                context.checkpoint(output.save, output.done, "rows")
            context.progress("scoring", output.done, table.rows, "rows")
    succeeded = sum(file.rows for file in output.parts.files)
    counts = {"total": output.done, "succeeded": succeeded, "failed": output.errors.rows}
    if succeeded + output.errors.rows != output.done:
        raise AssertionError(f"rows do not add up: {counts}")
    schema = output.parts.schema or scorer.empty(table.columns)
    described = [{"name": field.name, "type": str(field.type)} for field in schema]
    return Outcome(result={"columns": described}, outputs=output.files, counts=counts)


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
    added = [PREDICTION, *(probability_column(label) for label in model.classes)]
    if clash := [name for name in added if name in kept]:
        raise InvalidInput(
            f"the input has a column {clash[0]}, which the output adds; ask for columns id or none",
            code="column_collision",
        )
    extra = sorted(names - set(inputs) - {model.target})
    if extra and len(extra) < len(names):
        context.warn(f"columns that the model does not use: {', '.join(extra[:20])}")


def _batches(
    table: TableFiles, columns: Sequence[Column], shard_rows: int, *, skip: int = 0
) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """(file, number of the first row in it, batch) in order, behind the first `skip` rows of the whole input.

    Rows of a file count from 1. A batch ends where a shard ends, that is at each multiple of `shard_rows`.
    """
    seen = 0
    for path, name in zip(table.paths, table.names, strict=True):
        row = 1
        for batch in read(path, table.format, columns):
            start = max(0, min(skip - seen, batch.num_rows))
            while start < batch.num_rows:
                room = shard_rows - (seen + start) % shard_rows
                piece = batch.slice(start, room)
                yield name, row + start, piece
                start += piece.num_rows
            seen += batch.num_rows
            row += batch.num_rows
