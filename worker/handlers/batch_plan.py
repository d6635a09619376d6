"""Looks at the input of a batch before anything is scored: what its columns are, and how it is split into shards.

Of Parquet files only the footers are there; of others, every byte is looked at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from shared.contracts.tables import ColumnType, Format
from shared.errors import InvalidInput
from shared.modeling import Model
from shared.tables import columns_of, joint_columns, profile, split
from worker.handlers.base import Assignment, Context, Outcome, Shard, TableFiles
from worker.handlers.batch_columns import check_columns
from worker.handlers.source import model_file, open_model
from worker.learning.target import Renames

SHARD_ROWS = 2**20
"""Rows of a shard, unless `shard_rows` says otherwise: as many as Parquet writers put into a row group by default."""

MOST_SHARDS = 4_000
"""Of a job: more rows make larger shards. Redis makes, stops and forgets that many in a fifth of a second each."""


def run(assignment: Assignment, context: Context) -> Outcome:
    """Plan `assignment.tables["dataset"]`: its columns and rows as the result, and the shards."""
    spec = assignment.spec
    model = open_model(model_file(assignment, spec["model"]))
    lenient_for = model if spec["on_bad_row"] == "skip" else None
    table = _known(assignment.tables["dataset"], context, lenient_for, Renames.of(spec))
    check_columns(model, table.columns, spec, context)
    rows = max(spec["shard_rows"] or SHARD_ROWS, -(-table.rows // MOST_SHARDS))
    columns = [column.model_dump() for column in table.columns]
    return Outcome(
        result={"columns": columns, "rows": table.rows}, shards=tuple(_shards(table, rows, context))
    )


def _known(table: TableFiles, context: Context, lenient_for: Model | None, renames: Renames) -> TableFiles:
    """A table whose columns and rows are known: files that are no dataset are looked at first.

    With `lenient_for`, bad rows of text are left to the scoring, which lists them.
    """
    if table.columns:
        return table
    found = []
    for number, (path, name) in enumerate(zip(table.paths, table.names, strict=True)):
        context.progress("profiling", number, len(table.paths), "files")
        try:
            if table.format == "parquet":
                found.append(columns_of(path))
            else:
                profiled = profile(path, table.format, lenient=lenient_for is not None)
                found.append((profiled.columns, profiled.rows))
        except InvalidInput as error:
            raise InvalidInput(f"{name}: {error.message}", code=error.code) from error
    settle = _types_for(lenient_for, table.format, renames) if lenient_for else lambda _: None
    columns = joint_columns([columns for columns, _ in found], table.names, settle)
    return dataclasses.replace(table, columns=columns, rows=sum(rows for _, rows in found))


def _types_for(model: Model, format: Format, renames: Renames) -> Callable[[str], ColumnType | None]:
    """Where text files differ on a column the model's type rules; what it does not use is text, as all of CSV is."""
    types: dict[str, ColumnType] = {item["name"]: item["type"] for item in model.schema()["inputs"]}
    unused: ColumnType | None = "string" if format == "csv" else None

    def settle(name: str) -> ColumnType | None:
        if format == "parquet":
            return None
        kind = types.get(renames.column(name), unused)
        return "number" if kind == "integer" else kind

    return settle


def _shards(table: TableFiles, rows: int, context: Context) -> Iterator[Shard]:
    """Cuts at every multiple of `rows` of the whole table, so a shard may have pieces of several files."""
    shard: Shard = ()
    room = rows
    for number, path in enumerate(table.paths):
        context.progress("planning", number, len(table.paths), "files")
        for piece in split(path, table.format, first=room, rows=rows):
            shard = (*shard, (number, piece))
            room -= piece.rows
            if room <= 0:  # a compressed file cannot be cut
                yield shard
                shard, room = (), rows
    if shard:
        yield shard
