"""Reading columns of known types: as a stream, whole, or a few rows to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from shared.tables.column_types import canonical_type
from shared.tables.contracts import Limits, Piece
from shared.tables.conversion import iso_text
from shared.tables.csv_account import read_csv_rows
from shared.tables.csv_reader import read_csv
from shared.tables.jsonl_account import read_jsonl_rows
from shared.tables.jsonl_reader import read_jsonl
from shared.tables.parquet_reader import read_parquet
from shared.tables.rows import Rows

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import Column, Format

BATCH_ROWS = 65_536


def read(
    path: Path,
    format: Format,
    columns: Sequence[Column],
    batch_rows: int = BATCH_ROWS,
    limits: Limits = Limits(),  # noqa: B008
    piece: Piece | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of the file, in its order and in constant memory, as batches of at most `batch_rows` rows.

    Every batch has exactly `columns`, in that order; batches of wide rows have fewer rows. CSV and JSON Lines
    columns come in `canonical_type(column.type)`, Parquet columns in the file's own type, decoded (see
    `column_types`). With a `piece` the file is the local copy that the piece is read from. Raises InvalidInput
    where the file is damaged, lacks a column (`missing_column`) or a cell does not fit the declared type
    (`type_mismatch`), always naming the row; those before it are yielded.
    """
    match format:
        case "csv":
            return read_csv(path, columns, batch_rows, limits)
        case "parquet":
            return read_parquet(path, columns, batch_rows, limits, piece)
        case "jsonl":
            return read_jsonl(path, columns, batch_rows, limits)


def read_rows(
    path: Path,
    format: Format,
    columns: Sequence[Column],
    batch_rows: int = BATCH_ROWS,
    limits: Limits = Limits(),  # noqa: B008
    piece: Piece | None = None,
) -> Iterator[Rows]:
    """The same with an account of every row: one that only by itself is bad is listed, and the others are read.

    Rows and lines are those of the whole file, also with a `piece` of it.

    Each `Rows` is to be done with before the next is asked for. Raises InvalidInput where the whole file is damaged, or
    where it is uncertain where a row ends.
    """
    match format:
        case "csv" | "jsonl":
            reader = read_csv_rows if format == "csv" else read_jsonl_rows
            for rows in reader(path, columns, batch_rows, limits):
                yield rows.moved(piece.first_row - 1, piece.lines_before) if piece else rows
        case "parquet":
            first = piece.first_row if piece else 1
            for batch in read_parquet(path, columns, batch_rows, limits, piece):
                yield Rows(first, batch.num_rows, batch)
                first += batch.num_rows


def read_all(
    path: Path,
    format: Format,
    columns: Sequence[Column],
    limits: Limits = Limits(),  # noqa: B008
) -> pa.Table:
    """The same as one table in memory. Only `columns` are decoded."""
    batches = list(read(path, format, columns, limits=limits))
    if batches:
        return pa.Table.from_batches(batches)
    return pa.schema([(column.name, canonical_type(column.type)) for column in columns]).empty_table()


def preview(
    path: Path,
    format: Format,
    columns: Sequence[Column],
    rows: int = 20,
    piece: Piece | None = None,
) -> list[dict[str, object]]:
    """The first rows, ready for JSON: dates as ISO 8601 text, what JSON has no number for (NaN) as None."""
    shown: list[dict[str, object]] = []
    for batch in read(path, format, columns, batch_rows=max(1, rows), piece=piece):
        first = batch.slice(0, rows - len(shown))
        shown += pa.table([_json_ready(c) for c in first.columns], names=first.schema.names).to_pylist()
        if len(shown) >= rows:
            break
    return shown


def _json_ready(values: pa.Array) -> pa.Array:
    """As integers, finite floats, booleans and text. Dates become text: Python's end at 9999."""
    if pt.is_decimal(values.type):
        values = values.cast(pa.float64())
    if pt.is_floating(values.type):
        return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))
    if pt.is_temporal(values.type):
        return iso_text(values)
    return values
