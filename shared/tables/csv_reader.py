"""CSV: comma separated, quoted by RFC 4180, UTF-8, with a header.

Blank lines are skipped, everywhere. Profiling parses every cell as text and asks which types the text fits;
reading lets Arrow's own typed parser do all the work and looks for a place only once that has failed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.csv

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.tables.blocks import BLOCK_BYTES, UTF8_BOM, Block, blocks
from shared.tables.column_checks import check_names, require_columns
from shared.tables.column_types import canonical_type
from shared.tables.contracts import Limits, Profile
from shared.tables.conversion import (
    FALSE,
    MISSING,
    TRUE,
    first_misfit,
    in_calendar,
    may_hold_codes,
    to_type,
    widened,
)
from shared.tables.csv_rows import csv_row_end, rows_of
from shared.tables.places import excerpt, line_at

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import ColumnType

_TYPE_PHRASES: Final[dict[ColumnType, str]] = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "date": "a date (YYYY-MM-DD)",
    "datetime": "a date and time (ISO 8601)",
}


@dataclass(frozen=True, slots=True)
class _Header:
    names: list[str]
    #: Where the row after the header starts in the file.
    end: int


def profile_csv(path: Path, limits: Limits, *, block_bytes: int = BLOCK_BYTES) -> Profile:
    header = _read_header(path, limits)
    text = dict.fromkeys(header.names, pa.string())
    types: dict[str, ColumnType | None] = dict.fromkeys(header.names)
    nulls = dict.fromkeys(header.names, 0)
    rows = 0
    for block in blocks(path, limits, csv_row_end(path), start=header.end, block_bytes=block_bytes):
        try:
            table = _parse(block, header.names, text, threads=False)
        except pa.ArrowInvalid as error:
            raise _misfit(path, block, header.names, {}, rows, error) from error
        codes = may_hold_codes(block.data)
        for name, values in zip(header.names, _single_chunks(table), strict=True):
            types[name] = widened(values, types[name], may_hold_codes=codes)
            nulls[name] += values.null_count
        rows += table.num_rows
    if rows == 0:
        raise InvalidInput("the file has a header but no rows", code="no_rows")
    columns = (Column(name=name, type=types[name] or "string", nulls=nulls[name]) for name in header.names)
    return Profile("csv", rows, tuple(columns))


def read_csv(
    path: Path, columns: Sequence[Column], batch_rows: int, limits: Limits, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[pa.RecordBatch]:
    header = _read_header(path, limits)
    require_columns(columns, header.names)
    declared = {column.name: column.type for column in columns}
    # Arrow's parser takes datetimes with a zone or without, never both: those are converted from text.
    parsed = {name: pa.string() if t == "datetime" else canonical_type(t) for name, t in declared.items()}
    schema = pa.schema([(name, canonical_type(t)) for name, t in declared.items()])
    rows = 0
    for block in blocks(path, limits, csv_row_end(path), start=header.end, block_bytes=block_bytes):
        try:
            table = _parse(block, header.names, parsed)
            arrays = [
                to_type(values, t) if t == "datetime" else in_calendar(values, t)
                for values, t in zip(_single_chunks(table), declared.values(), strict=True)
            ]
        except pa.ArrowInvalid as error:
            raise _misfit(path, block, header.names, declared, rows, error) from error
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        rows += batch.num_rows
        for start in range(0, batch.num_rows, batch_rows):
            yield batch.slice(start, batch_rows)


def header_end(path: Path, limits: Limits) -> int:
    """Where the row after the header starts in the file. Raises InvalidInput as `read_csv` does."""
    return _read_header(path, limits).end


def _read_header(path: Path, limits: Limits) -> _Header:
    """The first row that is not blank. Raises InvalidInput: `empty_table` and what `check_names` raises."""
    for block in blocks(path, limits, csv_row_end(path), block_bytes=2**16):
        for start, end, _ in rows_of(block.data):
            return _Header(_header_names(str(block.data[start:end], "utf-8"), limits), block.offset + end)
    raise InvalidInput("the file is empty", code="empty_table")


def _header_names(text: str, limits: Limits) -> list[str]:
    try:
        names = next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InvalidInput(f"the header cannot be read: {error}", code="bad_column_name") from error
    check_names(names, limits)
    return names


def _parse(
    block: Block, names: list[str], types: dict[str, pa.DataType], *, threads: bool = True
) -> pa.Table:
    """The columns that `types` names, in its order. Raises ArrowInvalid.

    Without threads it needs half the memory, as each of Arrow's threads keeps a heap of its own: the API, which
    profiles uploads, has that to spare less than time (benchmarks/upload.py).
    """
    data = pa.py_buffer(block.data)
    if block.data[: len(UTF8_BOM)] == UTF8_BOM:
        # Inside the file this is a character of the first value, but Arrow drops it from whatever it is given.
        data = pa.py_buffer(b"\n" + bytes(block.data))
    return pyarrow.csv.read_csv(
        pa.BufferReader(data),
        # One block here, one block for Arrow: its parser then returns one chunk per column.
        read_options=pyarrow.csv.ReadOptions(
            column_names=names, block_size=data.size + 1, use_threads=threads
        ),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            check_utf8=False,  # `blocks` has
            column_types=types,
            include_columns=list(types),
            null_values=MISSING,
            true_values=TRUE,
            false_values=FALSE,
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _single_chunks(table: pa.Table) -> Iterator[pa.Array]:
    for column in table.columns:
        yield column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _misfit(
    path: Path,
    block: Block,
    names: list[str],
    declared: dict[str, ColumnType],
    rows_before: int,
    error: pa.ArrowInvalid,
) -> InvalidInput:
    """What is wrong in this block, and where: a ragged row, else the first value that does not convert."""
    starts: list[int] = []
    for row, (start, _, values) in enumerate(rows_of(block.data), rows_before + 1):
        if values != len(names):
            place = f"row {row} (line {line_at(path, block.offset + start)})"
            return InvalidInput(f"{place} has {values} values, expected {len(names)}", code="ragged_row")
        starts.append(start)
    first = _first_misfit(block, names, declared) if declared else None
    if first is None:
        return InvalidInput(f"the CSV cannot be read: {str(error)[:120]!a}", code="bad_csv")
    at, name, value = first
    line = line_at(path, block.offset + starts[at])
    problem = f"{excerpt(value)} is not {_TYPE_PHRASES[declared[name]]}"
    return InvalidInput(
        f"row {rows_before + at + 1} (line {line}), column {excerpt(name)}: {problem}", code="type_mismatch"
    )


def _first_misfit(
    block: Block, names: list[str], declared: dict[str, ColumnType]
) -> tuple[int, str, str] | None:
    """(row in the block, column, text) of the first value that is not of its declared type."""
    table = _parse(block, names, dict.fromkeys(declared, pa.string()))
    misfits = (
        (at, name, values[at].as_py())
        for name, values in zip(declared, _single_chunks(table), strict=True)
        if (at := first_misfit(values, declared[name])) is not None
    )
    return min(misfits, default=None)
